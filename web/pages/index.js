// SPDX-License-Identifier: MPL-2.0

// The example shows this server's own addresses, prefix included.
const example = document.querySelector("#embedding");
const server = new URL("./", location.href);
const socket = new URL("ws", server);
socket.protocol = server.protocol === "https:" ? "wss:" : "ws:";
if (example?.textContent) {
  example.textContent = example.textContent
    .replace("assets/v1.5/js/ducksoup.js", new URL("assets/v1.5/js/ducksoup.js", server).href)
    .replace('"ws"', `"${socket.href}"`);
}
