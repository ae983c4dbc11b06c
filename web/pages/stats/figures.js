// SPDX-License-Identifier: MPL-2.0

/** @file Numbers as the live page says them; pure. What is unknown is a dash. */

/** @param {number | null | undefined} rate bit/s */
export function bits(rate) {
  if (rate === null || rate === undefined) return "–";
  if (rate < 1000) return `${Math.round(rate)}`;
  if (rate < 1_000_000) return `${Math.round(rate / 1000)} k`;
  return `${(rate / 1_000_000).toFixed(2)} M`;
}

/** @param {number | null | undefined} size */
export function bytes(size) {
  if (size === null || size === undefined) return "–";
  if (size < 1_000_000) return `${Math.round(size / 1000)} kB`;
  if (size < 1_000_000_000) return `${Math.round(size / 1_000_000)} MB`;
  return `${(size / 1_000_000_000).toFixed(1)} GB`;
}

/** @param {number | null | undefined} part of one core */
export function share(part) {
  return part === null || part === undefined ? "–" : `${Math.round(part * 100)} %`;
}

/** @param {number} seconds */
export function clock(seconds) {
  return `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;
}

/** The last values of each of many figures. */
export class History {
  /** @type {Map<string, number[]>} */
  #values = new Map();
  #seen = new Set();
  #length;

  /** @param {number} length how many are kept */
  constructor(length) {
    this.#length = length;
  }

  /**
   * @param {string} key
   * @param {number} value
   * @returns {number[]} the last ones, this one included
   */
  add(key, value) {
    const values = [...(this.#values.get(key) ?? []), value].slice(-this.#length);
    this.#values.set(key, values);
    this.#seen.add(key);
    return values;
  }

  /** Drops the figures that got no value since it was called last. */
  forget() {
    for (const key of this.#values.keys()) if (!this.#seen.has(key)) this.#values.delete(key);
    this.#seen.clear();
  }
}
