// SPDX-License-Identifier: MPL-2.0

/** The server's end of a WebSocket, in a test's hand. */
export class FakeSocket {
  readyState = 0;
  /** @type {any} */ onopen = null;
  /** @type {any} */ onmessage = null;
  /** @type {any} */ onclose = null;
  /** What the client said. @type {{ kind: string, payload?: string }[]} */
  said = [];
  /** Codes of the client's closes. @type {(number | undefined)[]} */
  closes = [];

  /** @param {string} url */
  constructor(url) {
    this.url = url;
  }

  /** @param {any} text */
  send(text) {
    if (this.readyState !== 1) throw new Error("InvalidStateError");
    this.said.push(JSON.parse(text));
  }

  /** @param {number} [code] */
  close(code) {
    this.closes.push(code);
  }

  open() {
    this.readyState = 1;
    this.onopen?.({});
  }

  /** The server says something. @param {string} kind @param {unknown} [payload] */
  hear(kind, payload) {
    this.onmessage?.({ data: JSON.stringify(payload === undefined ? { kind } : { kind, payload }) });
  }

  /** The socket ends. @param {number} [code] */
  end(code = 1000) {
    this.readyState = 3;
    this.onclose?.({ code });
  }

  kinds() {
    return this.said.map(({ kind }) => kind);
  }
}
