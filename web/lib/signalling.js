// SPDX-License-Identifier: MPL-2.0

import { decode, encode } from "./protocol.js";
import { report } from "./error.js";

/** Messages kept until the socket is open; ours: a page that says more than this before is broken. */
const MAX_WAITING = 100;

/** @typedef {Pick<WebSocket, "readyState" | "send" | "close" | "onopen" | "onmessage" | "onclose">} Socket */

/** The WebSocket, as typed messages. */
export class Signalling {
  /** @type {Socket} */
  #socket;
  /** Frames for a socket that is not open yet. @type {string[]} */
  #waiting = [];
  /** @type {"connecting" | "open" | "closed"} */
  #state = "connecting";

  /**
   * @param {Socket} socket
   * @param {object} listeners
   * @param {(message: import("./protocol.js").ServerMessage) => void} listeners.message
   * @param {() => void} listeners.gone once, however the socket ends
   */
  constructor(socket, { message, gone }) {
    this.#socket = socket;
    socket.onopen = () => {
      this.#state = "open";
      for (const frame of this.#waiting.splice(0)) socket.send(frame);
    };
    socket.onmessage = ({ data }) => {
      let decoded;
      try {
        decoded = decode(String(data));
      } catch (reason) {
        report("a message of the server is ignored", reason);
        return;
      }
      message(decoded);
    };
    socket.onclose = () => {
      this.#state = "closed";
      socket.onopen = socket.onmessage = socket.onclose = null;
      gone();
    };
  }

  /**
   * Sends at once or as soon as the socket is open; after its end, nothing.
   * @param {string} kind
   * @param {unknown} [payload]
   */
  send(kind, payload) {
    const frame = encode(kind, payload);
    if (this.#state === "open") this.#socket.send(frame);
    else if (this.#state === "connecting" && this.#waiting.length < MAX_WAITING) this.#waiting.push(frame);
  }

  /**
   * Closes without waiting for the end, of which nobody hears.
   * @param {number} code
   */
  drop(code) {
    const socket = this.#socket;
    this.#state = "closed";
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close(code);
  }

  /** @param {number} code */
  close(code) {
    this.#socket.onmessage = null;
    this.#socket.close(code);
  }
}
