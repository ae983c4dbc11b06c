// SPDX-License-Identifier: MPL-2.0

/** @file The server's figures, once a second, as the stats socket tells them. */

import { element, find, show } from "../dom.js";
import { History, bits, bytes, clock, share } from "./figures.js";

/** ms until a lost socket is tried again; ours. */
const PATIENCE = 3000;
/** Bitrates of the last minute, by what they are of. */
const history = new History(60);

connect();

function connect() {
  const url = new URL("../ws?type=stats", location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  url.searchParams.set("href", location.href);
  const socket = new WebSocket(url);
  socket.onopen = () => show("running", "connected");
  socket.onclose = () => {
    show("error", "not connected, trying again");
    setTimeout(connect, PATIENCE);
  };
  socket.onmessage = ({ data }) => {
    const { kind, payload } = JSON.parse(String(data));
    if (kind === "stats") draw(payload);
  };
}

/** @param {{ server: any, interactions: any[] }} payload */
function draw({ server, interactions }) {
  const users = interactions.reduce((sum, { users }) => sum + users.length, 0);
  const cpu = interactions.reduce((sum, { cost }) => sum + (cost?.cpu ?? 0), server.cost?.cpu ?? 0);
  const memory = interactions.reduce((sum, { cost }) => sum + (cost?.memory ?? 0), server.cost?.memory ?? 0);
  const cores = ` of ${server.cores} core${server.cores === 1 ? "" : "s"}`;
  const figures = /** @type {[string, string, string?][]} */ ([
    ["Interactions", String(interactions.length)],
    ["Participants", String(users)],
    ["CPU", share(cpu), cores],
    ["Machine's load", server.load?.toFixed(1) ?? "–", cores],
    ["Memory", bytes(memory)],
  ]);
  find("#server").replaceChildren(...figures.map(([name, value, more]) => element("div", {}, element("dt", {}, name), element("dd", {}, value, more ? element("small", {}, more) : null))));
  find("#interactions").replaceChildren(...interactions.map(interaction));
  find("#nothing").hidden = interactions.length > 0;
  history.forget();
}

/** @param {any} run */
function interaction({ origin, namespace, interaction, id, phase, users, stats, cost }) {
  const running = typeof stats.running === "number" ? clock(stats.running) : phase;
  const people = stats.participants ?? users.map((/** @type {string} */ user) => ({ user }));
  return element(
    "article",
    { class: "card interaction", "data-interaction": interaction },
    element("header", {}, element("h2", {}, `${namespace} / ${interaction}`), element("span", { class: `pill ${typeof stats.running === "number" ? "on" : ""}` }, running)),
    element("p", { class: "hint first" }, `${origin} · run ${id} · CPU ${share(cost?.cpu)} · ${bytes(cost?.memory)} · ${cost?.threads ?? "–"} threads`),
    people.length > 0 ? element("div", { class: "people" }, ...people.map((/** @type {any} */ person) => participant(id, person))) : element("p", { class: "soft" }, "Nobody is connected now."),
  );
}

/**
 * @param {string} run
 * @param {any} person
 */
function participant(run, { user, connections, recordingMode, videoFormat, audioFx, videoFx, reached, targets, figures, recorded }) {
  const trip = figures?.routes.map((/** @type {any} */ route) => route.rtt).find((/** @type {unknown} */ rtt) => typeof rtt === "number");
  const facts = [
    [recordingMode, videoFormat].filter(Boolean).join(", "),
    trip === undefined ? null : `${Math.round(trip)} ms there and back`,
    figures?.estimate ? `can take ${bits(figures.estimate)}bit/s` : null,
    figures?.limit ? `may send ${bits(figures.limit)}bit/s` : null,
    connections > 1 ? `connection ${connections}` : null,
    recorded ? `${bytes(recorded.bytes)} recorded${recorded.dropped ? `, ${recorded.dropped} lost` : ""}` : "not recorded",
  ];
  const effects = [audioFx, videoFx].filter(Boolean).map((text) => element("code", {}, text));
  const moved = Object.entries(reached ?? {}).map(([target, value]) => element("span", { class: "pill" }, `${target} = ${Number.isNaN(Number(value)) ? value : Number(Number(value).toFixed(3))}`));
  return element(
    "section",
    { class: "person", "data-user": user },
    element("h3", {}, user),
    element("p", { class: "hint first" }, facts.filter(Boolean).join(" · ")),
    effects.length + moved.length > 0 ? element("p", { class: "effects" }, ...effects, ...moved) : null,
    figures ? element("div", { class: "scroll" }, table(`${run} ${user}`, figures, targets ?? {})) : null,
  );
}

/**
 * One line for each stream: from the browser, out of its chain, to the browser.
 * @param {string} key
 * @param {any} figures as the server's `measures` has them
 * @param {Record<string, number>} targets of the encoders
 */
function table(key, figures, targets) {
  const head = ["", "bit/s", "last minute", "lost", ""].map((title) => element("th", { scope: "col", class: title === "bit/s" || title === "lost" ? "number" : null }, title));
  const sent = ["audio", "video"].flatMap((kind) => [
    ...(figures.in[kind] ? [arrived(`${key} ${kind} in`, kind, figures.in[kind])] : []),
    ...(figures.out[kind] ? [made(`${key} ${kind} out`, kind, figures.out[kind], targets[kind])] : []),
  ]);
  const got = figures.routes.map((/** @type {any} */ route) => delivered(`${key} ${route.source} ${route.kind}`, route));
  return element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...sent, ...got));
}

/** @param {string} key @param {string} kind @param {any} figures */
function arrived(key, kind, { bitrate, lost, late, repaired, jitter, keyframe_requests: asked }) {
  const more = [asked ? `${asked} PLI sent` : "", `jitter ${Math.round(jitter)} ms`, late ? `${late} late` : "", repaired ? `${repaired} repaired` : ""];
  return row(`${kind} in`, key, bitrate, lost, more.filter(Boolean).join(", "));
}

/** @param {string} key @param {string} kind @param {any} figures @param {number | undefined} target */
function made(key, kind, { bitrate, estimate, frames_out: frames, frames_repeated: repeated, keyframes }, target) {
  const more = [frames ? `${frames} frames, ${repeated} repeated` : "", keyframes ? "keyframe" : "", target ? `encoder's target ${bits(target)}` : "", estimate ? `receivers can take ${bits(estimate)}` : ""];
  return row(`${kind} out`, key, bitrate, "", more.filter(Boolean).join(", "));
}

/** @param {string} key @param {any} figures */
function delivered(key, { source, kind, bitrate, drops, paused, fraction_lost: lost, jitter, keyframe_requests: asked }) {
  const more = [paused ? "paused: no room for it" : "", asked ? `${asked} PLI received` : "", jitter ? `jitter ${Math.round(jitter)} ms` : "", drops ? `${drops} dropped here` : ""];
  return row(`gets ${source}'s ${kind}`, key, bitrate, `${(lost * 100).toFixed(1)} %`, more.filter(Boolean).join(", "));
}

/**
 * @param {string} title
 * @param {string} key
 * @param {number} rate bit/s
 * @param {string | number} lost
 * @param {string} more
 */
function row(title, key, rate, lost, more) {
  const points = history.add(key, rate);
  return element(
    "tr",
    {},
    element("th", { scope: "row" }, title),
    element("td", { class: "number" }, bits(rate)),
    element("td", {}, spark(points)),
    element("td", { class: "number" }, lost),
    element("td", { class: "soft" }, more),
  );
}

/**
 * A line of the last minute.
 * @param {number[]} values
 */
function spark(values) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 60 16");
  svg.setAttribute("class", "spark");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  const line = document.createElementNS(svg.namespaceURI, "polyline");
  const top = Math.max(...values, 1);
  line.setAttribute("points", values.map((value, index) => `${60 - values.length + index},${(15 - (14 * value) / top).toFixed(1)}`).join(" "));
  svg.append(line);
  return svg;
}
