// SPDX-License-Identifier: MPL-2.0

/**
 * @file The messages between this library and the server: one JSON object a text frame,
 * `{kind, payload}`. Towards the server a payload is always a string.
 */

/**
 * What the server says. Every kind that begins with `error` ends the call; any kind that is not
 * listed is handed to the page as it is.
 * @typedef {{ kind: "joined", payload: { context: import("../ducksoup.js").JoinContext, iceServers: RTCIceServer[] } }
 *   | { kind: "offer", payload: RTCSessionDescriptionInit }
 *   | { kind: "candidate", payload: RTCIceCandidateInit }
 *   | { kind: "other_joined", payload: { userId: string, streamId: string } }
 *   | { kind: "other_left", payload: { userId: string, streamId?: string } }
 *   | { kind: "start", payload: number }
 *   | { kind: "ending" | "end", payload?: undefined }
 *   | { kind: "files", payload: Record<string, string[]> }
 *   | { kind: "error", name: string, payload: unknown }
 *   | { kind: "other", name: string, payload: unknown }
 * } ServerMessage
 */

/** Close code of a normal end. */
export const CLOSE_NORMAL = 1000;
/** Close code after an error. */
export const CLOSE_ERROR = 4000;
/** Close code of a client that is about to join again. */
export const CLOSE_RETURNING = 4001;

/**
 * The address of the WebSocket.
 * @param {string} signalingUrl
 * @param {string} href the embedding page's address
 */
export function socketUrl(signalingUrl, href) {
  const joint = signalingUrl.includes("?") ? "&" : "?";
  return `${signalingUrl}${joint}href=${encodeURIComponent(href)}`;
}

/**
 * A message for the server as a text frame.
 * @param {string} kind
 * @param {unknown} [payload] a string goes as it is, everything else as JSON in a string
 */
export function encode(kind, payload) {
  if (payload === undefined) return JSON.stringify({ kind });
  const text = typeof payload === "string" ? payload : JSON.stringify(payload) ?? String(payload);
  return JSON.stringify({ kind, payload: text });
}

/**
 * Reads one text frame.
 * @param {string} text
 * @returns {ServerMessage}
 * @throws {Error} when it is not what the server may say
 */
export function decode(text) {
  /** @type {unknown} */
  const message = JSON.parse(text);
  if (!isObject(message) || typeof message.kind !== "string") throw new Error("a message without a kind");
  const { kind, payload } = message;
  switch (kind) {
    case "joined": {
      const fields = object(kind, payload);
      // Null in the field: the library must go on with an empty list.
      const iceServers = Array.isArray(fields.iceServers) ? fields.iceServers : [];
      const context = /** @type {import("../ducksoup.js").JoinContext} */ (string(kind, fields.context));
      return { kind, payload: { ...fields, context, iceServers } };
    }
    case "offer": {
      const { type, sdp } = object(kind, JSON.parse(string(kind, payload)));
      if (type !== "offer") throw new Error("an offer of another type");
      return { kind, payload: { type, sdp: string(kind, sdp) } };
    }
    case "candidate":
      return { kind, payload: object(kind, JSON.parse(string(kind, payload))) };
    case "other_joined": {
      const fields = object(kind, payload);
      return { kind, payload: { ...fields, userId: string(kind, fields.userId), streamId: string(kind, fields.streamId) } };
    }
    case "other_left": {
      const fields = object(kind, payload);
      return { kind, payload: { ...fields, userId: string(kind, fields.userId) } };
    }
    case "start":
      return { kind, payload: Number(payload) };
    case "files":
      return { kind, payload: /** @type {Record<string, string[]>} */ (payload) };
    case "ending":
    case "end":
      return { kind };
    default:
      return { kind: kind.startsWith("error") ? "error" : "other", name: kind, payload };
  }
}

/**
 * @param {unknown} value
 * @returns {value is Record<string, any>}
 */
function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * @param {string} kind
 * @param {unknown} value
 */
function object(kind, value) {
  if (!isObject(value)) throw new Error(`${kind}: the payload is no object`);
  return value;
}

/**
 * @param {string} kind
 * @param {unknown} value
 */
function string(kind, value) {
  if (typeof value !== "string") throw new Error(`${kind}: a text is missing`);
  return value;
}
