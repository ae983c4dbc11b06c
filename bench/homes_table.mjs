// SPDX-License-Identifier: MPL-2.0

/** What is told of a call from a home whose network fails, or lets little through. Pure. */

import { median } from "./table.mjs";

/** @typedef {import("../tests/system/page/participant.js").Sample} Sample */
/** @typedef {import("../tests/system/page/participant.js").PageEvent} PageEvent */

/** ms after which a picture that the camera showed is no answer any more to whether pictures come. */
const FRESH = 1000;
/** Least level that counts as heard, as in tests/system/participant.js. */
const HEARD = 0.01;
/** ms without a picture, or without sound, that count as a break: above what browsers call a freeze at 15 pictures a second. */
const BREAK = 500;

/** Times in ms since 1970. */
/**
 * @typedef {object} Watched what somebody saw and heard of the other one
 * @property {Sample[]} samples
 * @property {number[]} shownAt when the other one's camera showed each number
 */
/**
 * @typedef {object} Call
 * @property {Watched} there by the other one, whose network is well
 * @property {Watched} here by the one at home
 * @property {PageEvent[]} told the page at home
 * @property {PageEvent[]} toldThere
 * @property {{at: number, level: string, message: string}[]} log
 * @property {string} files what the recordings are
 * @property {boolean} decodes
 * @property {number} from when the fault began; for a way through, when the page was let in
 * @property {number} until when the fault was over
 * @property {number} end of what is looked at
 */

/** How late the picture in a sample is, in ms; nothing where there is none of late. @param {Watched} watched @param {Sample} sample */
function lateness({ shownAt }, { at, pictures }) {
  const ages = pictures.flatMap(({ number }) => (number === null || !shownAt[number] ? [] : [at - shownAt[number]]));
  const least = Math.min(...ages);
  return least < FRESH ? least : undefined;
}

/** When there was a picture. @param {Watched} watched */
const seen = (watched) => watched.samples.filter((sample) => lateness(watched, sample) !== undefined).map(({ at }) => at);

/** When there was a sound. @param {Watched} watched */
const heard = ({ samples }) => samples.filter(({ levels }) => levels.some(({ level }) => level > HEARD)).map(({ at }) => at);

/**
 * Pauses of something that should never pause.
 * @param {number[]} times at which it was there
 * @param {number} from
 * @param {number} end
 * @returns {{from: number, to: number}[]} `to` is infinite for one that does not end
 */
export function breaks(times, from, end) {
  const within = times.filter((at) => at > from && at < end);
  const before = times.filter((at) => at <= from).at(-1) ?? from;
  const edges = [before, ...within];
  const all = edges.map((at, index) => ({ from: at, to: edges[index + 1] ?? (end - at > BREAK ? Infinity : at) }));
  return all.filter(({ from, to }) => to - from > BREAK);
}

/** @param {number} ms */
const seconds = (ms) => (ms / 1000).toFixed(1);

/**
 * How long it took until something was there for good, and how long it was not there in all.
 * @param {number[]} times
 * @param {Call} call
 */
function recovery(times, { from, until, end }) {
  const all = breaks(times, from, end);
  if (all.length === 0) return "no break";
  const last = all[all.length - 1].to;
  if (last === Infinity) return "**never back**";
  const missing = all.reduce((sum, { from, to }) => sum + (to - from), 0);
  const count = all.length > 1 ? ` in ${all.length} breaks` : "";
  return `${seconds(Math.max(0, last - until))} (${seconds(missing)}${count})`;
}

/** @param {PageEvent[]} events @param {string[]} kinds @param {Call} call */
const told = (events, kinds, { from, end }) =>
  events
    .filter(({ kind, at }) => (kinds.includes(kind) || kind.startsWith("error")) && at > from && at < end)
    .map(({ kind, at }) => `\`${kind}\` ${seconds(at - from)}`)
    .join(", ") || "nothing";

/** Names of the entries that tell of the course of things and of errors, in order. @param {Call} call */
function logged({ log, from, end }) {
  /** @type {Map<string, number>} */
  const counts = new Map();
  for (const { at, level, message } of log) {
    if (at > from && at < end && !["debug", "trace"].includes(level)) counts.set(message, (counts.get(message) ?? 0) + 1);
  }
  return [...counts].map(([message, count]) => `\`${message}\`${count > 1 ? ` × ${count}` : ""}`).join(", ") || "nothing";
}

/** @param {Watched} watched @param {number} from @param {number} end */
const late = (watched, from, end) =>
  median(
    watched.samples
      .filter(({ at }) => at > from && at < end)
      .map((sample) => lateness(watched, sample))
      .filter((age) => age !== undefined),
  ).toFixed(0);

/** ms before the fault, and at the end, over which delays are looked at. */
const SPAN = 4000;

export const FAULT_HEAD = [
  ...["network", "picture back after (missing): at the other end", "at one's own", "sound: at the other end", "at one's own"],
  ...["picture at the other end late by, before → at the end", "the page is told, s after it began", "the other page"],
  ...["recordings", "files decode", "log: course and errors", "measured"],
];

/** @param {string} name @param {Call} call @param {string} how */
export const faultRow = (name, call, how) => [
  ...[name, recovery(seen(call.there), call), recovery(seen(call.here), call), recovery(heard(call.there), call), recovery(heard(call.here), call)],
  `${late(call.there, call.from - SPAN, call.from)} → ${late(call.there, call.end - SPAN, call.end)} ms`,
  told(call.told, ["reconnecting", "reconnected"], call),
  told(call.toldThere, ["other_left", "other_joined"], call),
  ...[call.files, call.decodes ? "all" : "**not all**", logged(call), how],
];

export const WAY_HEAD = [
  ...["network", "way of media", "first picture after: at the other end", "at one's own", "first sound: at the other end", "at one's own"],
  ...["picture late by: at the other end, at one's own", "breaks of the picture, of the sound, a minute", "recordings", "files decode", "log: errors", "measured"],
];

/** @param {string} name @param {string} way @param {Call} call @param {string} how */
export function wayRow(name, way, call, how) {
  const { from, end, there, here } = call;
  const first = (/** @type {number[]} */ times) => {
    const at = times.find((time) => time > from);
    return at === undefined ? "**never**" : `${seconds(at - from)} s`;
  };
  const [pictures, sounds] = [seen, heard].map((of) =>
    [there, here].flatMap((watched) => {
      const times = of(watched);
      return breaks(times, times[0] ?? from, end);
    }),
  );
  const a = (/** @type {unknown[]} */ all) => ((all.length * 60_000) / 2 / (end - from)).toFixed(1);
  const errors = logged({ ...call, log: call.log.filter(({ level }) => level !== "info") });
  return [
    ...[name, way, first(seen(there)), first(seen(here)), first(heard(there)), first(heard(here))],
    ...[`${late(there, from, end)}, ${late(here, from, end)} ms`, `${a(pictures)}, ${a(sounds)}`],
    ...[call.files, call.decodes ? "all" : "**not all**", errors, how],
  ];
}
