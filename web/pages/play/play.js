// SPDX-License-Identifier: MPL-2.0

/** @file A mirror with a live table of effects, from the server's gallery. */

import { element, find } from "../dom.js";
import { fillForm } from "../fields.js";
import { checked, freshName, peerOptions, prefill } from "../form.js";
import { loadGallery } from "../gallery.js";
import { showKnob, turn } from "../knobs.js";
import { Meeting } from "../meeting.js";
import { actions, rampField } from "../panels.js";
import { MAX_LINKS, add, fx, raise, remove, set } from "./chain.js";

/** ms after the last change of a chain until the call begins anew with it; ours. */
const PATIENCE = 700;
/** ms that a knob takes to its new value: a hand moves on before that. */
const RAMP = 60;
/** What of the settings below the mirror is shown; the rest is fixed. */
const WITHOUT = ["interactionName", "userId", "size", "namespace", "recordingMode", "mount", "duration"];
const FIXED = { size: 1, recordingMode: "none", namespace: "play", duration: 600 };

/** @typedef {"audio" | "video"} Kind */
/** @type {Record<Kind, { prefix: string, chain: import("./chain.js").Link[] }>} */
const racks = { audio: { prefix: "voice", chain: [] }, video: { prefix: "face", chain: [] } };

const call = /** @type {HTMLFormElement} */ (find("#call"));
call.append(actions("Start", "Stop"));
const form = /** @type {HTMLFormElement} */ (find("#settings"));
fillForm(form, ["picture", "more"], WITHOUT);
const mute = element("input", { type: "checkbox" });
form.prepend(element("label", { class: "check" }, mute, "do not play my own voice to me"), element("div", { class: "pair" }, rampField()));
const ramp = /** @type {HTMLInputElement} */ (find("#ramp"));
ramp.value = String(RAMP);
prefill(form, new URLSearchParams(location.search));

/** One interaction for the whole visit, reloads included: another chain of effects is a reconnection to it. */
const who = {
  interactionName: sessionStorage.getItem("interaction") ?? freshName("play"),
  userId: sessionStorage.getItem("user") ?? freshName("user"),
};
sessionStorage.setItem("interaction", who.interactionName);
sessionStorage.setItem("user", who.userId);

const meeting = new Meeting();
const gallery = await loadGallery();
/** @type {ReturnType<typeof setTimeout> | undefined} */
let restart;

for (const kind of /** @type {Kind[]} */ (["audio", "video"])) {
  find(`#${kind}`).append(element("ol", { class: "links" }), offer(kind));
  show(kind);
}
call.addEventListener("submit", (event) => {
  event.preventDefault();
  join();
});
form.addEventListener("submit", (event) => event.preventDefault());
find("#stop").addEventListener("click", () => {
  clearTimeout(restart);
  meeting.leave();
});
mute.addEventListener("change", silence);
// An element comes with each call.
new MutationObserver(silence).observe(find("#stage"), { childList: true });
find("#copy").addEventListener("click", copy);
if (checked(form, "auto")) join();

function join() {
  const effects = Object.fromEntries(Object.entries(texts()).filter(([, text]) => text !== ""));
  meeting.join(() => ({ ...peerOptions(form), ...FIXED, ...who, ...effects }), true);
}

function texts() {
  return { audioFx: fx(racks.audio.chain), videoFx: fx(racks.video.chain) };
}

/**
 * Another chain: shown at once, heard and seen as soon as nobody changes it any more.
 * @param {Kind} kind
 * @param {import("./chain.js").Link[]} chain
 */
function change(kind, chain) {
  if (chain === racks[kind].chain) return;
  racks[kind].chain = chain;
  show(kind);
  clearTimeout(restart);
  if (meeting.busy) restart = setTimeout(join, PATIENCE);
}

/** @param {Kind} kind */
function show(kind) {
  const { chain } = racks[kind];
  const links = chain.map((link, place) => showLink(kind, link, place));
  find(`#${kind} .links`).replaceChildren(...links);
  for (const button of document.querySelectorAll(`#${kind} .gallery button`)) /** @type {HTMLButtonElement} */ (button).disabled = chain.length >= MAX_LINKS;
  showOptions();
}

/**
 * @param {Kind} kind
 * @param {import("./chain.js").Link} link
 * @param {number} place
 */
function showLink(kind, { name, entry, values }, place) {
  const earlier = element("button", { type: "button", class: "icon", disabled: place === 0, "aria-label": `${entry.title} one place earlier`, title: "Earlier" }, "↑");
  earlier.addEventListener("click", () => change(kind, raise(racks[kind].chain, name)));
  const away = element("button", { type: "button", class: "icon", "aria-label": `Take ${entry.title} away`, title: "Take away" }, "×");
  away.addEventListener("click", () => change(kind, remove(racks[kind].chain, name)));
  const knobs = entry.knobs.map((knob) => {
    const now = /** @type {import("../gallery.js").Knob} */ ({ ...knob, value: values[knob.property] ?? knob.value });
    return showKnob(now, knob.label, (value) => {
      racks[kind].chain = set(racks[kind].chain, name, knob.property, value);
      turn(meeting.player, name, knob.property, value, ramp.valueAsNumber || 0);
      showOptions();
    });
  });
  const head = element("div", { class: "head" }, element("h3", {}, entry.title), element("code", {}, entry.element), earlier, away);
  return element("li", { class: "link", "data-name": name }, head, element("p", { class: "hint" }, entry.about), ...knobs);
}

/**
 * The gallery of a rack.
 * @param {Kind} kind
 */
function offer(kind) {
  const buttons = gallery[kind].map((entry) => {
    const button = element("button", { type: "button", class: "chip", title: entry.about, "data-element": entry.element }, entry.title);
    button.addEventListener("click", () => change(kind, add(racks[kind].chain, entry, racks[kind].prefix)));
    return button;
  });
  return element("div", { class: "gallery", role: "group", "aria-label": `Add an effect to the ${racks[kind].prefix}` }, ...buttons);
}

/** What a page of one's own would pass to `render`. */
function showOptions() {
  const lines = Object.entries(texts()).filter(([, text]) => text !== "").map(([name, text]) => `${name}: ${JSON.stringify(text)},`);
  find("#options").textContent = lines.length > 0 ? lines.join("\n") : "// no effect yet";
}

async function copy() {
  await navigator.clipboard.writeText(find("#options").textContent ?? "").then(
    () => (find("#copied").textContent = "copied"),
    () => (find("#copied").textContent = "the browser does not allow it"),
  );
}

function silence() {
  for (const audio of document.querySelectorAll("#stage audio")) /** @type {HTMLAudioElement} */ (audio).muted = mute.checked;
}
