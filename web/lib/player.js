// SPDX-License-Identifier: MPL-2.0

import { Call } from "./call.js";
import { DuckSoupError, report } from "./error.js";
import { checkEmbedOptions, checkPeerOptions, embedding } from "./options.js";
import { connect, pageClock } from "./peer.js";

export { DuckSoupError };

/** @import { Player as PublicPlayer } from "../ducksoup.js" */

/**
 * The public face: `DuckSoup.render` gives one.
 * @implements {PublicPlayer}
 */
export class Player {
  /** @type {() => Call} */
  #newCall;
  /** @type {Call} */
  #call;

  /** @param {() => Call} newCall */
  constructor(newCall) {
    this.#newCall = newCall;
    this.#call = newCall();
  }

  /** Starts the call; after its end, another one with the same options. */
  start() {
    if (this.#call.over) this.#call = this.#newCall();
    this.#call.start();
  }

  /** Leaves the call; a second time does nothing. */
  stop() {
    this.#call.stop();
  }

  /**
   * @param {string} name the effect's
   * @param {string} property
   * @param {number} value
   * @param {number} [duration] ms
   * @param {string} [userId] whose effect; one's own by default
   */
  controlFx(name, property, value, duration = 0, userId) {
    const number = Number(value);
    if (!Number.isFinite(number)) throw new DuckSoupError("control", `${name}.${property}: the value is no number`);
    this.#call.send("client_control", { name, property, value: number, ...(duration > 0 && { duration }), ...(userId && { userId }) });
  }

  /**
   * @param {string} name the effect's
   * @param {string} property
   * @param {"float" | "double" | "int" | "uint64" | "string"} kind a hint: the property's own type decides
   * @param {string | number} value
   * @param {string} [userId] whose effect; one's own by default
   */
  polyControlFx(name, property, kind, value, userId) {
    this.#call.send("client_polycontrol", { name, property, kind, value: String(value), ...(userId && { userId }) });
  }

  /**
   * @param {string} kind
   * @param {unknown} [payload]
   */
  serverLog(kind, payload) {
    this.#call.send(`ext_${kind}`, payload);
  }

  /**
   * @param {string} kind
   * @param {unknown} [payload]
   */
  log(kind, payload) {
    this.serverLog(kind, payload);
  }
}

/**
 * Joins an interaction from this page.
 * @param {import("../ducksoup.js").EmbedOptions | HTMLElement} embedOptions
 * @param {import("../ducksoup.js").PeerOptions} peerOptions
 * @param {Omit<import("../ducksoup.js").EmbedOptions, "mountEl">} [more] after an element as the first argument
 * @returns {Promise<Player>}
 * @throws {DuckSoupError} when the options cannot be right
 */
export async function render(embedOptions, peerOptions, more) {
  return play(embedding(embedOptions, more), peerOptions, browser());
}

/**
 * Joins an interaction.
 * @param {import("../ducksoup.js").EmbedOptions} embedOptions
 * @param {import("../ducksoup.js").PeerOptions} peerOptions
 * @param {import("./call.js").Environment} environment
 * @returns {Promise<Player>}
 * @throws {DuckSoupError} when the options cannot be right
 */
export async function play(embedOptions, peerOptions, environment) {
  checkEmbedOptions(embedOptions);
  try {
    checkPeerOptions(peerOptions);
  } catch (reason) {
    // Documented as an event, too.
    tell(embedOptions, "error-join");
    throw reason;
  }
  const player = new Player(() => new Call(embedOptions, peerOptions, environment));
  player.start();
  return player;
}

/**
 * @param {import("../ducksoup.js").EmbedOptions} embedOptions
 * @param {"error-join"} kind
 */
function tell({ callback }, kind) {
  try {
    callback?.({ kind });
  } catch (reason) {
    report(`the callback threw on ${kind}`, reason);
  }
}

/** @returns {import("./call.js").Environment} */
function browser() {
  return {
    openSocket: (url) => new WebSocket(url),
    connect,
    devices: navigator.mediaDevices,
    href: location.href,
    page: window,
    clock: pageClock(),
  };
}
