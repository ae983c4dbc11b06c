// SPDX-License-Identifier: MPL-2.0

/** The connections of a page, for whoever wants to look at their statistics. */

/** Runs in the page: keeps each connection, as `window.connections`. */
export function keepConnections() {
  const page = /** @type {any} */ (window);
  page.connections = [];
  page.RTCPeerConnection = class extends RTCPeerConnection {
    /** @param {RTCConfiguration} config */
    constructor(config) {
      super(config);
      page.connections.push(this);
    }
  };
}
