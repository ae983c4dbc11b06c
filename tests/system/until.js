// SPDX-License-Identifier: MPL-2.0

/** Waiting for a condition, with a limit. */

import { setTimeout as pause } from "node:timers/promises";

/** What a probe throws when waiting any longer is no use. */
export class Hopeless extends Error {}

/**
 * Asks until the answer is truthy. A probe that throws has not answered yet; what it threw or said
 * last is in the error when the limit is reached.
 * @template T
 * @param {string} what a sentence: what is waited for
 * @param {() => T | Promise<T>} probe
 * @param {{limit?: number, every?: number, last?: () => unknown}} [options] ms; `last` describes the
 *   state for the error, the probe's last answer by default
 * @returns {Promise<Exclude<T, false | null | undefined | 0 | ''>>}
 */
export async function until(what, probe, { limit = 15_000, every = 50, last } = {}) {
  const deadline = performance.now() + limit;
  /** @type {unknown} */
  let answer;
  for (;;) {
    try {
      answer = await probe();
      if (answer) return /** @type {any} */ (answer);
    } catch (error) {
      if (error instanceof Hopeless) throw error;
      answer = error;
    }
    if (performance.now() > deadline) {
      const state = last ? await last() : answer;
      const text = state instanceof Error ? state.message : JSON.stringify(state);
      throw new Error(`not within ${limit} ms: ${what}; last: ${text}`);
    }
    await pause(every);
  }
}

/**
 * The promise's value, or an error after the limit.
 * @template T
 * @param {string} what
 * @param {number} limit ms
 * @param {Promise<T>} promise
 * @returns {Promise<T>}
 */
export async function within(what, limit, promise) {
  const stop = new AbortController();
  const late = pause(limit, undefined, { signal: stop.signal }).then(() => {
    throw new Error(`not within ${limit} ms: ${what}`);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    stop.abort();
    late.catch(() => {});
  }
}

/**
 * The values of all, when all are settled; the first failure, if there is one. Other than with
 * `Promise.all`, nothing goes on behind the back of a test that has failed.
 * @template T
 * @param {Promise<T>[]} promises
 * @returns {Promise<T[]>}
 */
export async function together(promises) {
  const results = await Promise.allSettled(promises);
  return results.map((result) => {
    if (result.status === "rejected") throw result.reason;
    return result.value;
  });
}
