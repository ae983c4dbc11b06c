// SPDX-License-Identifier: MPL-2.0

/** WebSockets without a player: for clients that do not keep to the protocol. */

/** @typedef {{kind: string, payload?: any}} Message */
/** @typedef {{state: 'opening' | 'open' | 'closed', code: number | null, messages: Message[]}} SocketSeen */
/** @typedef {SocketSeen & {socket: WebSocket}} Line */

/** @type {Line[]} */
const lines = [];

/**
 * Opens a socket and gives its index.
 * @param {string} url
 */
function open(url) {
  const socket = new WebSocket(url);
  /** @type {Line} */
  const line = { socket, state: "opening", code: null, messages: [] };
  socket.onopen = () => (line.state = "open");
  socket.onclose = ({ code }) => Object.assign(line, { state: "closed", code });
  socket.onmessage = ({ data }) => line.messages.push(JSON.parse(data));
  return lines.push(line) - 1;
}

/**
 * Sends a text, or so many random bytes.
 * @param {number} index
 * @param {string | number} content
 */
function send(index, content) {
  const { socket } = lines[index];
  if (typeof content === "string") return socket.send(content);
  for (let left = content; left > 0; left -= 65_536) {
    socket.send(crypto.getRandomValues(new Uint8Array(Math.min(left, 65_536))));
  }
}

/**
 * What happened on a socket.
 * @param {number} index
 * @returns {SocketSeen}
 */
const seen = (index) => {
  const { state, code, messages } = lines[index];
  return { state, code, messages };
};

/** @param {number} index */
const close = (index) => lines[index].socket.close(1000);

Object.assign(window, { raw: { open, send, seen, close } });

export {};
