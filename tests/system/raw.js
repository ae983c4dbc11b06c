// SPDX-License-Identifier: MPL-2.0

/** Clients that speak to the server without a player: as they like. */

import { until } from "./until.js";

/** @typedef {import('./page/raw.js').SocketSeen} SocketSeen */

/** One WebSocket. */
export class RawClient {
  #page;
  #index;

  /**
   * @param {import('playwright-core').Page} page
   * @param {number} index
   */
  constructor(page, index) {
    this.#page = page;
    this.#index = index;
  }

  /** @returns {Promise<SocketSeen>} */
  seen() {
    return this.#page.evaluate((index) => /** @type {any} */ (window).raw.seen(index), this.#index);
  }

  /**
   * Sends a text as it stands, or so many random bytes.
   * @param {string | number} content
   */
  async send(content) {
    await this.#page.evaluate(
      ([index, what]) => /** @type {any} */ (window).raw.send(index, what),
      /** @type {const} */ ([this.#index, content]),
    );
  }

  /**
   * Sends a message of the protocol; an object becomes JSON in a string, as the protocol has it.
   * @param {string} kind
   * @param {unknown} [payload]
   */
  say(kind, payload) {
    const text = payload === undefined || typeof payload === "string" ? payload : JSON.stringify(payload);
    return this.send(JSON.stringify({ kind, payload: text }));
  }

  async close() {
    await this.#page.evaluate((index) => /** @type {any} */ (window).raw.close(index), this.#index);
  }

  /**
   * Waits for a message of a kind.
   * @param {string | RegExp} kind
   * @param {number} [limit] ms
   * @returns {Promise<import('./page/raw.js').Message>}
   */
  async told(kind, limit = 15_000) {
    const fits = (/** @type {string} */ it) => (typeof kind === "string" ? it === kind : kind.test(it));
    return until(
      `a raw client is told ${kind}`,
      async () => (await this.seen()).messages.find((message) => fits(message.kind)),
      { limit, last: () => this.seen() },
    );
  }

  /**
   * Waits for the end of the socket.
   * @param {number} [limit] ms
   * @returns {Promise<SocketSeen>}
   */
  async closed(limit = 15_000) {
    return until(
      "a raw client is hung up on",
      async () => {
        const seen = await this.seen();
        return seen.state === "closed" && seen;
      },
      { limit, last: () => this.seen() },
    );
  }
}

/** A page full of them. */
export class RawClients {
  #page;
  #signalling;

  /**
   * @param {import('playwright-core').Page} page
   * @param {string} signalling
   */
  constructor(page, signalling) {
    this.#page = page;
    this.#signalling = signalling;
  }

  /**
   * @param {import('playwright-core').Browser} browser
   * @param {string} site origin of the page
   * @param {string} signalling address of the WebSocket
   */
  static async open(browser, site, signalling) {
    const page = await (await browser.newContext()).newPage();
    await page.goto(`${site}/page/raw.html`);
    return new RawClients(page, signalling);
  }

  /**
   * Opens a socket; whether it opens, {@link RawClient.seen} tells.
   * @param {string} [query] of the address
   */
  async dial(query = `?href=${encodeURIComponent(this.#page.url())}`) {
    const index = await this.#page.evaluate(
      (url) => /** @type {any} */ (window).raw.open(url),
      this.#signalling + query,
    );
    return new RawClient(this.#page, index);
  }

  /** Opens a socket and waits until it is open. */
  async connect() {
    const client = await this.dial();
    await until("a raw client is connected", async () => (await client.seen()).state === "open", {
      last: () => client.seen(),
    });
    return client;
  }

  /**
   * Joins.
   * @param {Record<string, unknown>} options
   */
  async join(options) {
    const client = await this.connect();
    await client.say("join", options);
    return client;
  }

  async close() {
    await this.#page.context().close();
  }
}
