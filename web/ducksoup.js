// SPDX-License-Identifier: MPL-2.0

// The documented embedding is a classic <script src>, from any origin, under any prefix: this
// loader exposes `window.DuckSoup` at once and takes the modules that lie beside itself.
(() => {
  const script = /** @type {HTMLScriptElement} */ (document.currentScript);
  /** @type {Promise<typeof import("./lib/player.js")>} */
  const player = import(new URL("./lib/player.js", script.src).href);
  // Whoever calls `render` gets this failure; nobody calling it is no unhandled rejection.
  player.catch(() => {});
  window.DuckSoup = {
    render: async (...options) => (await player).render(...options),
  };
})();
