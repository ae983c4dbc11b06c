// SPDX-License-Identifier: MPL-2.0

/** @file The chain of effects that is being put together for voice or face; pure. */

import { write } from "../gallery.js";

/**
 * @typedef {import("../gallery.js").Entry} Entry
 * @typedef {import("../gallery.js").Value} Value
 * @typedef {{ name: string, entry: Entry, values: Record<string, Value> }} Link
 */

/** Effects in a row that the server takes (`MAX_EFFECTS` of `fxcontrol`). */
export const MAX_LINKS = 8;

/**
 * The chain with another effect at its end, under a name that none has yet.
 * @param {Link[]} chain
 * @param {Entry} entry
 * @param {string} prefix of the name
 * @returns {Link[]}
 */
export function add(chain, entry, prefix) {
  if (chain.length >= MAX_LINKS) return chain;
  let number = 1;
  while (chain.some(({ name }) => name === `${prefix}${number}`)) number += 1;
  return [...chain, { name: `${prefix}${number}`, entry, values: {} }];
}

/**
 * @param {Link[]} chain
 * @param {string} name
 * @returns {Link[]}
 */
export function remove(chain, name) {
  return chain.filter((link) => link.name !== name);
}

/**
 * The chain with that effect one place earlier.
 * @param {Link[]} chain
 * @param {string} name
 * @returns {Link[]}
 */
export function raise(chain, name) {
  const place = chain.findIndex((link) => link.name === name);
  if (place < 1) return chain;
  const moved = [...chain];
  [moved[place - 1], moved[place]] = [moved[place], moved[place - 1]];
  return moved;
}

/**
 * The chain with a knob turned.
 * @param {Link[]} chain
 * @param {string} name
 * @param {string} property
 * @param {Value} value
 * @returns {Link[]}
 */
export function set(chain, name, property, value) {
  return chain.map((link) => (link.name === name ? { ...link, values: { ...link.values, [property]: value } } : link));
}

/**
 * The chain as a text for `audioFx` or `videoFx`.
 * @param {Link[]} chain
 */
export function fx(chain) {
  return chain.map(({ name, entry, values }) => write(entry, name, values)).join(" ! ");
}
