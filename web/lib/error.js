// SPDX-License-Identifier: MPL-2.0

/** What goes wrong by a caller's hand: `code` is a stable identifier, `message` a sentence. */
export class DuckSoupError extends Error {
  /**
   * @param {"embed-options" | "peer-options" | "control"} code
   * @param {string} message
   */
  constructor(code, message) {
    super(message);
    this.name = "DuckSoupError";
    this.code = code;
  }
}

/**
 * A sentence for whatever was thrown.
 * @param {unknown} reason
 * @returns {string}
 */
export function sentence(reason) {
  return reason instanceof Error ? `${reason.name}: ${reason.message}` : String(reason);
}

/**
 * Tells the page's developer; the only place that writes to the console.
 * @param {string} what
 * @param {unknown} [reason]
 */
export function report(what, reason) {
  // eslint-disable-next-line no-console
  console.error(`DuckSoup: ${what}`, ...(reason === undefined ? [] : [reason]));
}
