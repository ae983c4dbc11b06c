// SPDX-License-Identifier: MPL-2.0

/** The networks, and what is told of a call in one. Pure. */

import { median } from "./table.mjs";

/**
 * @typedef {object} Condition
 * @property {string} name
 * @property {string[]} link options of `ducksoup-bench network`, for one participant
 * @property {number} [seconds] that are looked at, where not as many as usual
 */
/** ms missing in the dry files of both participants, and whether all files decode to the end. @typedef {{sound: number, picture: number, decodes: boolean}} Recorded */
/** What has gone through the connections of a call until then, ms of the page. @typedef {{at: number, flows: import("./live_page.mjs").Flow[]}} Flowing */
/** @typedef {{round: import("./live_page.mjs").Round, length: number, flows?: Flowing[], recorded?: Recorded, log?: string[]}} Call */

/** Each participant has such a network, both ways. @type {Condition[]} */
export const CONDITIONS = [
  { name: "clean", link: [] },
  { name: "loss 1 %", link: ["--loss", "0.01"] },
  { name: "loss 2 %", link: ["--loss", "0.02"] },
  { name: "loss 5 %", link: ["--loss", "0.05"] },
  { name: "loss 10 %", link: ["--loss", "0.1"] },
  { name: "jitter 30 ms", link: ["--jitter", "30"] },
  { name: "jitter 100 ms", link: ["--jitter", "100"] },
  { name: "loss 2 %, jitter 30 ms, delay 20 ms", link: ["--loss", "0.02", "--jitter", "30", "--delay", "20"] },
  { name: "rate 1000 kbit/s", link: ["--rate", "1000000"] },
  { name: "rate 600 kbit/s", link: ["--rate", "600000"] },
  { name: "rate 300 kbit/s", link: ["--rate", "300000"] },
  { name: "way down 600 kbit/s from 12 s on", link: ["--way", "down", "--then", "12:600000"], seconds: 20 },
  { name: "way up 600 kbit/s for 8 s", link: ["--way", "up", "--then", "8:600000", "--then", "16:any"], seconds: 25 },
  { name: "way down 80 kbit/s", link: ["--way", "down", "--rate", "80000", "--queue", "16000"] },
  { name: "reordered 2 %", link: ["--reorder", "0.02"] },
  { name: "twice 2 %", link: ["--duplicate", "0.02"] },
  { name: "blackout 5 s", link: ["--blackout", "12..17"], seconds: 20 },
];

/** Shares of packets that independent links in a row affect together. */
const SHARES = ["--loss", "--reorder", "--duplicate"];
/** Times that add up. */
const TIMES = ["--delay", "--jitter"];

/**
 * Two links in a row as one: what lies between two participants without a server.
 * @param {string[]} link
 */
export const doubled = (link) =>
  link.map((value, index) => {
    const option = link[index - 1];
    if (SHARES.includes(option)) return String(1 - (1 - Number(value)) ** 2);
    return TIMES.includes(option) ? String(2 * Number(value)) : value;
  });

/** What is in the columns; of two figures the first one is peer to peer, the second one through the server. */
export const HEAD = [
  ...["network, format", "picture late by: peer to peer → server", "adds (goal ≤ 25)", "sound late by", "adds (goal ≤ 25)", "pictures shown a second"],
  ...["freezes a minute", "longest pause in the picture", "sound made up", "kbit/s of picture", "keyframes a minute", "asked for by the receiver"],
  ...["missing in the dry files: sound, picture", "files decode", "measured"],
];

/**
 * A call, half a second a line, from its beginning on: what the ends send and receive, what the browser thinks it can
 * send, and, from where it is measured on, how late pictures are and how many came.
 * @param {Call} call
 */
export function seconds(call) {
  const { round, flows = [] } = call;
  const kilobits = (/** @type {number} */ bytes, /** @type {number} */ ms) => ((bytes * 8) / ms).toFixed(0);
  const lines = ["s | kbit/s sent: caller, callee | received | can send | pictures late by, ms | worst | pictures"];
  const begin = flows.find(({ flows: ends }) => ends.some(({ sent }) => sent > 0))?.at ?? 0;
  for (let index = 2; index < flows.length; index += 2) {
    const [before, now] = [flows[index - 2], flows[index]];
    if (now.flows.length < 2 || before.flows.length < 2 || now.at < begin) continue;
    const ends = [0, 1].map((end) => ({ before: before.flows[end], now: now.flows[end] }));
    const rate = (/** @type {"sent" | "received"} */ what) => ends.map((end) => kilobits(end.now[what] - end.before[what], now.at - before.at)).join(", ");
    const late = round.pictures.filter(({ at }) => at > before.at && at <= now.at).map(({ delay }) => delay);
    const [middle, worst] = late.length > 0 ? [median(late).toFixed(0), Math.max(...late).toFixed(0)] : ["", ""];
    const can = ends.map((end) => (end.now.available / 1000).toFixed(0)).join(", ");
    lines.push([((now.at - begin) / 1000).toFixed(1), rate("sent"), rate("received"), can, middle, worst, late.length].join(" | "));
  }
  const all = Object.entries(figures(call)).map(([what, value]) => `${what} ${value.toFixed(1)}`);
  return [...lines, all.join(", ")].join("\n");
}

/** @param {Call} call */
function figures({ round: { pictures, sounds, video, audio, sent }, length }) {
  const minutes = length / 60_000;
  const pauses = pictures.slice(1).map(({ at }, index) => at - pictures[index].at);
  return {
    picture: median(pictures.map(({ delay }) => delay)),
    sound: median(sounds),
    // ms that the receiving browser keeps sound back; it plays it so much later for half a minute after a queue.
    kept: (audio.jitterBufferDelay * 1000) / audio.jitterBufferEmittedCount,
    shown: (video.framesDecoded * 1000) / length,
    freezes: video.freezeCount / minutes,
    pause: Math.max(0, ...pauses),
    concealed: (100 * (audio.concealedSamples - audio.silentConcealedSamples)) / audio.totalSamplesReceived,
    bitrate: (video.bytesReceived * 8) / length,
    keyframes: (video.keyFramesDecoded ?? sent.keyFramesEncoded) / minutes,
    requests: (video.pliCount + video.firCount) / minutes,
  };
}

/**
 * The row of a condition; medians over the rounds.
 * @param {string} name
 * @param {{peer: Call[], server: Call[]}} calls of the same rounds
 * @param {string} how it was measured
 */
export function row(name, calls, how) {
  const all = { peer: calls.peer.map(figures), server: calls.server.map(figures) };
  /** @typedef {keyof ReturnType<typeof figures>} Figure */
  const both = (/** @type {Figure} */ what, digits = 0) =>
    [all.peer, all.server].map((of) => median(of.map((one) => one[what])).toFixed(digits)).join(" → ");
  const added = (/** @type {Figure} */ what) => {
    const middle = median(all.server.map((one, round) => one[what] - all.peer[round][what]));
    return `${middle < 0 ? "" : "+"}${middle.toFixed(0)}${middle <= 25 ? "" : " **missed**"}`;
  };
  const recorded = calls.server.flatMap(({ recorded }) => (recorded ? [recorded] : []));
  const missing = (/** @type {"sound" | "picture"} */ what) => median(recorded.map((one) => one[what])).toFixed(0);
  return [
    ...[name, `${both("picture")} ms`, added("picture"), `${both("sound")} ms`, added("sound"), both("shown", 1), both("freezes", 1)],
    ...[`${both("pause")} ms`, `${both("concealed", 1)} %`, both("bitrate"), both("keyframes", 1), both("requests", 1)],
    ...[`${missing("sound")}, ${missing("picture")} ms`, recorded.every(({ decodes }) => decodes) ? "all" : "**not all**", how],
  ];
}
