// SPDX-License-Identifier: MPL-2.0

import { find, show } from "./dom.js";
import { Journal } from "./journal.js";
import { People } from "./people.js";

/** @typedef {import("../ducksoup.js").Player} Player */

/**
 * A test page's calls, one after another: who is seen, what is told, how things stand. The running player and all
 * events are at hand in the console (and for tests) as `window.lab`.
 */
export class Meeting {
  /** @type {Player | undefined} */
  player;
  /** All but `stats`, since the last join. @type {{ kind: string, payload?: any }[]} */
  events = [];
  #stage = find("#stage");
  #journal = new Journal(find("#events"));
  #people = new People(this.#stage);
  /** What the next call joins as soon as this one is closed. @type {(() => void) | undefined} */
  #next;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #countdown;
  #changed;

  /** @param {(users: string[]) => void} [changed] hears who else is there */
  constructor(changed) {
    this.#changed = changed;
    Object.assign(window, { lab: this });
    this.#show("idle", "not joined");
  }

  /** Whether a call runs, or soon will. */
  get busy() {
    return ["joining", "waiting", "running", "ending"].includes(document.body.dataset.state ?? "");
  }

  /**
   * Joins; a call that runs is left first.
   * @param {() => any} peerOptions asked for at the moment of the join
   * @param {boolean} mounts whether `mountEl` renders, not `callback`
   */
  join(peerOptions, mounts) {
    const begin = () => void this.#begin(peerOptions(), mounts);
    if (!this.busy) return begin();
    this.#next = begin;
    this.player?.stop();
  }

  leave() {
    this.#next = undefined;
    this.player?.stop();
  }

  /**
   * @param {any} options
   * @param {boolean} mounts
   */
  async #begin(options, mounts) {
    this.events = [];
    this.#journal.restart();
    this.#show("joining", "joining");
    try {
      this.player = await window.DuckSoup.render({ mountEl: mounts ? this.#stage : undefined, callback: (event) => this.#heard(event), stats: true }, options);
    } catch (reason) {
      this.#show("error", reason instanceof Error ? reason.message : String(reason));
    }
  }

  /** @param {any} event */
  #heard({ kind, payload }) {
    if (kind === "stats") return figures(payload);
    this.events.push({ kind, payload });
    this.#journal.add(kind, payload);
    if (kind === "joined") this.#show("waiting", "waiting for everyone");
    else if (kind === "other_joined") this.#people.meet(payload);
    else if (kind === "other_left") this.#people.part(payload);
    else if (kind === "track") this.#people.show(payload);
    else if (kind === "start") this.#count(payload);
    else if (kind === "ending") document.body.dataset.state = "ending";
    else if (kind.startsWith("error")) this.#show("error", payload ? `${kind}: ${payload}` : kind);
    else if (kind === "closed") this.#over();
    this.#changed?.(this.#people.users);
  }

  #over() {
    clearInterval(this.#countdown);
    this.#people.clear();
    const next = this.#next;
    this.#next = undefined;
    if (document.body.dataset.state !== "error") this.#show("over", "over");
    next?.();
  }

  /** @param {number} seconds */
  #count(seconds) {
    const end = performance.now() + seconds * 1000;
    const tick = () => this.#show(document.body.dataset.state === "ending" ? "ending" : "running", `running, ${Math.max(0, Math.ceil((end - performance.now()) / 1000))} s left`);
    clearInterval(this.#countdown);
    this.#countdown = setInterval(tick, 500);
    document.body.dataset.state = "running";
    tick();
  }

  /** @param {string} state @param {string} words */
  #show(state, words) {
    show(state, words);
    /** @type {HTMLButtonElement} */ (find("#start")).disabled = this.busy;
    /** @type {HTMLButtonElement} */ (find("#stop")).disabled = !this.busy;
  }
}

/** @param {import("../ducksoup.js").Stats} stats */
function figures({ audioUp, audioDown, videoUp, videoDown, width, height, framerate, roundTrip, lost }) {
  const picture = width ? ` · ${width}×${height} at ${framerate}/s` : "";
  find("#figures").textContent = `up ${audioUp} + ${videoUp} kbit/s${picture} · down ${audioDown} + ${videoDown} kbit/s · ${roundTrip} ms · ${lost} lost`;
}
