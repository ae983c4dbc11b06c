// SPDX-License-Identifier: MPL-2.0

/**
 * @file How far the browser may go when it sends: raised over a few seconds, so that the first
 * ones do not flood a path that nobody knows yet.
 */

/** Where the ceilings end, in bit/s (PROTOCOL "Negotiation"). @type {Record<string, number>} */
const CEILING = { audio: 64_000, video: 1_500_000 };
/** All that a browser sends. */
export const WHOLE = CEILING.audio + CEILING.video;
/** Length of the way up, in ms (PROTOCOL "Negotiation"). */
const RAMP = 3000;
/** Where it starts, as a share of the ceiling. Ours: 32 kbit/s is the server's floor for audio. */
const START = 1 / 2;
/** Time between two steps, in ms; ours. */
export const STEP = 500;

/**
 * The ceiling at a time.
 * @param {string} kind `audio` or `video`
 * @param {number} elapsed ms since the first answer
 * @returns {number} bit/s
 */
export function ceiling(kind, elapsed) {
  const share = START + (1 - START) * Math.min(Math.max(elapsed / RAMP, 0), 1);
  return Math.round((CEILING[kind] ?? 0) * share);
}

/**
 * Whether the way up is done.
 * @param {number} elapsed ms since the first answer
 */
export function reached(elapsed) {
  return elapsed >= RAMP;
}
