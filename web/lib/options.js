// SPDX-License-Identifier: MPL-2.0

import { DuckSoupError } from "./error.js";

/** What of the peerOptions the server is told. */
const TOLD = /** @type {const} */ ([
  "interactionName", "userId", "duration", "size", "audioOnly", "width", "height", "framerate",
  "audioFx", "videoFx", "namespace", "videoFormat", "recordingMode", "gpu", "overlay",
]);

/**
 * The README shows `render(embedOptions, peerOptions)` and, elsewhere, `render(mountEl,
 * peerOptions, embedOptions)`: both count.
 * @param {any} first
 * @param {any} [third]
 * @returns {import("../ducksoup.js").EmbedOptions}
 */
export function embedding(first, third) {
  return typeof first?.appendChild === "function" ? { ...third, mountEl: first } : first;
}

/**
 * @param {unknown} options
 * @returns {asserts options is import("../ducksoup.js").EmbedOptions}
 */
export function checkEmbedOptions(options) {
  const { mountEl, callback } = /** @type {Record<string, any>} */ (options ?? {});
  if (mountEl && typeof mountEl.appendChild !== "function") throw new DuckSoupError("embed-options", "mountEl is no element");
  if (callback && typeof callback !== "function") throw new DuckSoupError("embed-options", "callback is no function");
  if (!mountEl && !callback) throw new DuckSoupError("embed-options", "mountEl or callback is needed");
}

/**
 * What the server needs to be reached; the rest is checked there (`error-join`).
 * @param {unknown} options
 * @returns {asserts options is import("../ducksoup.js").PeerOptions}
 */
export function checkPeerOptions(options) {
  const given = /** @type {Record<string, unknown>} */ (options ?? {});
  for (const name of ["signalingUrl", "interactionName", "userId"]) {
    if (typeof given[name] !== "string" || given[name] === "") throw new DuckSoupError("peer-options", `${name} must be a text`);
  }
}

/**
 * The payload of `join`.
 * @param {import("../ducksoup.js").PeerOptions} options
 * @returns {Record<string, unknown>}
 */
export function joinPayload(options) {
  const all = { ...options, framerate: options.framerate ?? options.frameRate };
  return Object.fromEntries(TOLD.filter((name) => all[name] !== undefined && all[name] !== null).map((name) => [name, all[name]]));
}

/**
 * The configuration of the peer connection.
 * @param {RTCConfiguration | undefined} rtcConfig the page's
 * @param {RTCIceServer[]} iceServers the server's
 * @returns {RTCConfiguration}
 */
export function connectionConfig(rtcConfig, iceServers) {
  return { ...rtcConfig, iceServers: [...iceServers, ...(rtcConfig?.iceServers ?? [])] };
}
