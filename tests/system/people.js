// SPDX-License-Identifier: MPL-2.0

/** Who takes part: each has a colour and a tone of their own, so that content tells who is who. */

/**
 * @typedef {object} Person
 * @property {string} userId
 * @property {import('./colour.js').Rgb} colour
 * @property {number} frequency Hz
 */

// Colours lie 70 or more apart in some channel and far from clipping. Neighbouring tones have the ratio 1.32:
// none is near a harmonic of another, or near another times 0.8 or 1.25 (the pitch effects used).
/** @type {[string, import('./colour.js').Rgb, number][]} */
const PEOPLE = [
  ["ann", [190, 60, 60], 400],
  ["ben", [60, 150, 70], 528],
  ["cleo", [60, 80, 200], 697],
  ["dan", [190, 170, 60], 920],
  ["eve", [170, 60, 180], 1214],
  ["fay", [60, 180, 190], 1603],
  ["gus", [130, 130, 130], 2116],
  ["hal", [230, 220, 220], 2793],
];

/** @type {readonly Person[]} */
export const people = PEOPLE.map(([userId, colour, frequency]) => ({ userId, colour, frequency }));
