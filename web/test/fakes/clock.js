// SPDX-License-Identifier: MPL-2.0

/** Time that a test moves by hand. */
export class FakeClock {
  #time = 0;
  #next = 1;
  /** @type {Map<number, { at: number, every?: number, work: () => unknown }>} */
  #timers = new Map();

  now = () => this.#time;
  /** @type {any} */
  setInterval = (/** @type {() => void} */ work, /** @type {number} */ every) => this.#add({ at: this.#time + every, every, work });
  /** @type {any} */
  setTimeout = (/** @type {() => void} */ work, /** @type {number} */ delay) => this.#add({ at: this.#time + delay, work });
  /** @type {any} */
  clearInterval = (/** @type {number} */ id) => this.#timers.delete(id);
  /** @type {any} */
  clearTimeout = (/** @type {number} */ id) => this.#timers.delete(id);

  /** @param {{ at: number, every?: number, work: () => unknown }} timer */
  #add(timer) {
    this.#timers.set(this.#next, timer);
    return this.#next++;
  }

  /**
   * Lets time pass, timer by timer, and lets promises settle after each.
   * @param {number} ms
   */
  async pass(ms) {
    const end = this.#time + ms;
    for (;;) {
      const [due] = [...this.#timers].filter(([, { at }]) => at <= end).sort(([, a], [, b]) => a.at - b.at);
      if (!due) break;
      const [id, timer] = due;
      this.#time = timer.at;
      if (timer.every) timer.at += timer.every;
      else this.#timers.delete(id);
      await timer.work();
      await settle();
    }
    this.#time = end;
  }
}

/** Lets every promise settle that can without time passing. */
export function settle() {
  return new Promise((resolve) => setImmediate(resolve));
}
