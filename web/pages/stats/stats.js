// SPDX-License-Identifier: MPL-2.0

/** @file The server's figures as they come, each kind in its latest state. */

const place = /** @type {HTMLElement} */ (document.querySelector("#figures"));
const words = /** @type {HTMLElement} */ (document.querySelector("#state"));
/** By kind. @type {Map<string, HTMLElement>} */
const shown = new Map();

const url = new URL("../ws?type=stats", location.href);
url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
url.searchParams.set("href", location.href);
const socket = new WebSocket(url);
socket.onopen = () => show("running", "connected");
socket.onclose = () => show("error", "not connected; reload the page to try again");
socket.onmessage = (/** @type {MessageEvent} */ { data }) => {
  /** @type {any} */
  let message;
  try {
    message = JSON.parse(String(data));
  } catch {
    message = String(data);
  }
  const kind = typeof message?.kind === "string" ? message.kind : "stats";
  const box = shown.get(kind) ?? document.createElement("pre");
  if (!shown.has(kind)) place.append(box);
  shown.set(kind, box);
  box.textContent = JSON.stringify(message?.payload ?? message, null, 2);
};

/** @param {string} state @param {string} text */
function show(state, text) {
  document.body.dataset.state = state;
  words.textContent = text;
}
