#!/usr/bin/env node
// SPDX-License-Identifier: MPL-2.0

/**
 * What the server adds to a call between two Chromiums, and how long it takes to join one. Both ends are in
 * one page, so on one clock; rounds peer to peer and through the server take turns.
 *
 *     node bench/live.mjs [--format VP8] [--rounds 5] [--seconds 6] [--size 640x480] [--ways identity,bypass] [--page bench/RESULTS.md]
 *     node bench/live.mjs --joins 15 [--format H264] [--page bench/RESULTS.md]
 */

import { parseArgs } from "node:util";
import { openBrowser } from "../tests/system/browser.js";
import { Server } from "../tests/system/server.js";
import { openSite } from "./live_site.mjs";
import { measured, median, write } from "./table.mjs";

/** ms that a call goes on before it is measured: senders raise their bitrate for 3 s, and the buffer for sound grows in the commotion of the start and shrinks slowly. */
const WARM = 8000;
/** ms that the first participant is there before the last one joins: by then the next stage has rehearsed. */
const ALONE = 2500;
/** What the server may add, in ms. */
const GOALS = { picture: 8, sound: 10 };
/** ms from `render` to the first picture of the other. */
const JOIN_GOAL = 500;
const TITLE = "## In browsers";

const { values } = parseArgs({
  options: {
    format: { type: "string", default: "VP8" },
    rounds: { type: "string", default: "5" },
    seconds: { type: "string", default: "6" },
    size: { type: "string", default: "640x480" },
    ways: { type: "string", default: "peer to peer,identity" },
    joins: { type: "string" },
    page: { type: "string" },
    verbose: { type: "boolean", default: false },
  },
});
const { format, rounds, seconds, joins, page: results, verbose } = values;
const [width, height] = values.size.split("x").map(Number);

/** The ways that a call can go; `identity` decodes, passes effects that change nothing as long as they are told nothing, encodes and records. */
const ALL_WAYS = [
  { name: "peer to peer", path: "peer", peer: {} },
  { name: "identity", path: "server", peer: { audioFx: "volume name=a", videoFx: "videobalance name=v" } },
  { name: "bypass", path: "server", peer: { recordingMode: "bypass" } },
];
const [DIRECT, IDENTITY] = ALL_WAYS;
const WAYS = ALL_WAYS.filter(({ name }) => name === DIRECT.name || values.ways.includes(name));

/** @param {number[]} values */
const sorted = (values) => [...values].sort((a, b) => a - b);
/** @param {number[]} values @param {number} share */
const quantile = (values, share) => sorted(values)[Math.min(values.length - 1, Math.floor(values.length * share))] ?? NaN;
/** @param {number[]} values */
const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
/** @param {number} value */
const ms = (value) => value.toFixed(1);
/** @param {number} value */
const signed = (value) => (value < 0 ? "" : "+") + ms(value);
/** @param {number[]} values the middle and both ends */
const spread = (values) => `${signed(median(values))} (${signed(Math.min(...values))} … ${signed(Math.max(...values))})`;

/** What a round comes to, all in ms. @param {import("./live_page.mjs").Round} round */
function summary({ pictures, sounds, video, audio, sent }) {
  const delays = pictures.map(({ delay }) => delay);
  const steps = pictures.slice(1).map(({ at }, index) => at - pictures[index].at);
  const coming = pictures.flatMap(({ coming }) => (coming === undefined ? [] : [coming]));
  const each = (/** @type {string} */ total, /** @type {string} */ count, /** @type {Record<string, number>} */ of) => ((of[total] ?? NaN) * 1000) / of[count];
  return {
    // Pictures are shown at the screen's own beat, so a mean says more than a median.
    picture: mean(delays),
    "picture p95": quantile(delays, 0.95),
    coming: mean(coming),
    sound: median(sounds),
    // What is not the browser's own buffer: the way, and the codecs on it.
    way: median(sounds) - each("jitterBufferDelay", "jitterBufferEmittedCount", audio),
    "sound spread": quantile(sounds, 0.95) - quantile(sounds, 0.05),
    pictures: pictures.length,
    sounds: sounds.length,
    step: quantile(steps, 0.95),
    "picture buffer": each("jitterBufferDelay", "jitterBufferEmittedCount", video),
    "picture target": each("jitterBufferTargetDelay", "jitterBufferEmittedCount", video),
    decode: each("totalDecodeTime", "framesDecoded", video),
    processing: each("totalProcessingDelay", "framesDecoded", video),
    "picture jitter": video.jitter * 1000,
    "sound buffer": each("jitterBufferDelay", "jitterBufferEmittedCount", audio),
    "sound target": each("jitterBufferTargetDelay", "jitterBufferEmittedCount", audio),
    "sound least": each("jitterBufferMinimumDelay", "jitterBufferEmittedCount", audio),
    "sound jitter": audio.jitter * 1000,
    lost: video.packetsLost + audio.packetsLost,
    "kbit/s in": (video.bytesReceived * 8) / Number(seconds) / 1000,
    "kbit/s out": (sent.bytesSent * 8) / Number(seconds) / 1000,
    width: video.frameWidth,
    freezes: video.freezeCount,
  };
}

/** @typedef {Record<string, number>} Summary */

/**
 * @param {(path: "peer" | "server", peer: Record<string, unknown>) => Promise<import("./live_page.mjs").Round>} call
 */
async function adds(call) {
  /** @type {Map<string, Summary[]>} */
  const found = new Map(WAYS.map(({ name }) => [name, []]));
  for (let round = 0; round < Number(rounds); round++) {
    for (const { name, path, peer } of WAYS) {
      const result = summary(await call(/** @type {"peer" | "server"} */ (path), peer));
      found.get(name)?.push(result);
      if (verbose) console.log(name, JSON.stringify(result, (_, value) => (typeof value === "number" ? Math.round(value * 10) / 10 : value)));
    }
  }
  const of = (/** @type {string} */ name, /** @type {string} */ what) => (found.get(name) ?? []).map((summary) => summary[what]);
  return WAYS.map(({ name }) => {
    const added = (/** @type {string} */ what) => of(name, what).map((value, round) => value - of(DIRECT.name, what)[round]);
    const judged = (/** @type {"picture" | "sound"} */ what) =>
      name === DIRECT.name ? "–" : `${spread(added(what))}${median(added(what)) <= GOALS[what] ? "" : " **missed**"}`;
    const middle = (/** @type {string} */ what) => ms(median(of(name, what)));
    return [
      `${format} ${name}`,
      ...[judged("picture"), judged("sound"), middle("picture"), middle("coming"), middle("picture buffer"), middle("decode")],
      ...[middle("sound"), middle("sound buffer"), name === DIRECT.name ? "–" : spread(added("way")), middle("sound jitter"), middle("step"), middle("kbit/s in"), middle("lost")],
    ];
  });
}

const HEAD = [
  ...["way", "adds to a picture (goal ≤ 8)", "adds to a sound (goal ≤ 10)", "picture", "until it has come", "its buffer", "its decoder"],
  ...["sound", "its buffer", "added without it", "its jitter", "between pictures, p95", "kbit/s", "packets lost"],
];

/** When a step of a trace happened first. @param {import("./live_page.mjs").Joining} joining @param {number} who @param {string} what */
const at = ({ trace }, who, what) => trace.find((step) => step.who === who && step.what === what)?.at ?? NaN;
/** The second time. @param {import("./live_page.mjs").Joining} joining @param {number} who @param {string} what */
const again = ({ trace }, who, what) => trace.filter((step) => step.who === who && step.what === what)[1]?.at ?? NaN;

/** What a join consists of, for the last participant (1) and the one who waits (0). */
const STEPS = /** @type {[string, (joining: import("./live_page.mjs").Joining) => number][]} */ ([
  ["`join` sent", (joining) => at(joining, 1, "> join")],
  ["`joined`", (joining) => at(joining, 1, "< joined")],
  ["offer", (joining) => at(joining, 1, "< offer")],
  ["answer", (joining) => at(joining, 1, "> client_answer")],
  ["ICE", (joining) => at(joining, 1, "ice connected")],
  ["DTLS", (joining) => at(joining, 1, "dtls connected")],
  ["`start`", (joining) => at(joining, 1, "< start")],
  ["second offer", (joining) => again(joining, 1, "< offer")],
  ["second answer", (joining) => again(joining, 1, "> client_answer")],
  ["sees the other (goal ≤ 500)", ({ last }) => last],
  ["is seen", ({ first }) => first],
  ["offer to the one who came first", ({ offered }) => offered],
]);

/** @param {(peer: Record<string, unknown>) => Promise<import("./live_page.mjs").Joining>} join */
async function joined(join) {
  /** @type {import("./live_page.mjs").Joining[]} */
  const all = [];
  for (let n = 0; n < Number(joins); n++) {
    const joining = await join(IDENTITY.peer);
    all.push(joining);
    if (verbose) {
      console.log(joining.trace.map(({ at, who, what }) => `${ms(at)} ${who} ${what}`).join("\n"));
      console.log(`sees ${ms(joining.last)} is seen ${ms(joining.first)}\n`);
    }
  }
  const middle = STEPS.map(([, value]) => median(all.map(value)));
  const missed = median(all.map(({ last }) => last)) <= JOIN_GOAL ? "" : " **missed**";
  const p95 = ms(quantile(all.map(({ last }) => last), 0.95));
  return [`${format}, ${joins} joins`, ...middle.map((value, index) => (STEPS[index][0].startsWith("sees") ? `${ms(value)}${missed}, p95 ${p95}` : ms(value)))];
}

const site = await openSite();
const { origin, module } = site;
const server = await Server.start([origin]);
const chromium = await openBrowser({ givesWay: false });
try {
  const page = await (await chromium.browser.newContext()).newPage();
  page.on("pageerror", (error) => console.error(String(error)));
  page.on("console", (message) => message.type() === "error" && console.error(message.text()));
  await page.goto(origin);
  await page.evaluate(async ({ module, settings }) => (await import(module)).prepare(settings), {
    module,
    settings: { width, height, script: server.script },
  });
  let count = 0;
  const peerOptions = () => ({
    ...{ interactionName: `live-${count++}`, namespace: "bench", size: 2, width, height, framerate: 25, duration: 60 },
    ...{ videoFormat: format, signalingUrl: server.signalling, recordingMode: "forced" },
  });
  const command = `node bench/live.mjs ${process.argv.slice(2).filter((word, n, all) => ![word, all[n - 1]].includes("--page")).join(" ")}`;
  const how = [command, measured(chromium.browser.version())].join(", ");
  const tables = [];
  if (joins) {
    const row = await joined((peer) =>
      page.evaluate(async ({ module, options, alone }) => (await import(module)).join(options, alone), {
        ...{ module, options: { ...peerOptions(), ...peer }, alone: ALONE },
      }),
    );
    tables.push({ name: `join ${format}`, head: ["join", ...STEPS.map(([name]) => name), "measured"], rows: [[...row, how]] });
  } else {
    const rows = await adds((path, peer) =>
      page.evaluate(async ({ module, call }) => (await import(module)).round(call), {
        module,
        call: { path, format, options: { ...peerOptions(), ...peer }, warm: WARM, length: Number(seconds) * 1000 },
      }),
    );
    tables.push({ name: `live ${format}`, head: [...HEAD, "measured"], rows: rows.map((row) => [...row, how]) });
  }
  for (const { head, rows } of tables) {
    for (const row of rows) console.log(row.map((cell, n) => `${head[n]}: ${cell}`).join("\n  "));
  }
  if (results) await write(results, TITLE, tables);
} catch (error) {
  console.error(server.log().slice(-3000));
  throw error;
} finally {
  await chromium.close();
  await server.stop();
  site.close();
}
