// SPDX-License-Identifier: MPL-2.0

/**
 * @file Whether a connection for media is alive: something comes over it all the time, be it sound, reports of
 * the server's, or answers to the browser's checks of the way (every 2.5 s). Pure.
 *
 * A way that is silent may heal: a new connection would come later than the old one's next packet. But when the
 * server can be reached anew while the old way stays silent, the way is another one now, as after a change of
 * address, of which no browser tells its page, nor closes the WebSocket (Chromium 156, tried).
 */

/** How long nothing comes before somebody looks whether the server is there, in ms. Ours: above the 2.5 s between two checks. */
const QUIET = 2600;
/** How long the old way may take to heal after the server was reached anew, in ms. Ours: a healed one is back within 1 s (docs/network.md), and a server that stands still for a moment, though its door opens, mostly goes on within so much. */
const SETTLING = 3000;

/**
 * - `received`: all that ever came, in the unit of {@link received}
 * - `heard`: when that last grew
 * - `reached`: when the server was reached by a new way, since then
 * @typedef {{ received: number, heard: number, reached: number }} Pulse
 */

/** A connection that has just begun to work. @param {number} now ms @returns {Pulse} */
export const begun = (now) => ({ received: 0, heard: now, reached: Infinity });

/**
 * How much came in: bytes of media, and answers. Only whether it grows means something.
 * @param {Iterable<Record<string, any>>} stats
 */
export function received(stats) {
  let sum = 0;
  for (const { type, bytesReceived = 0, responsesReceived = 0 } of stats) {
    if (type === "candidate-pair") sum += bytesReceived + responsesReceived;
  }
  return sum;
}

/**
 * @param {Pulse} pulse
 * @param {number} received 0 where a browser does not count: such a one is not judged
 * @param {number} now ms
 * @returns {Pulse}
 */
export const felt = (pulse, received, now) =>
  received > 0 && received === pulse.received ? pulse : { received, heard: now, reached: Infinity };

/**
 * The server was reached by a new way: that counts once.
 * @param {Pulse} pulse
 * @param {number} now ms
 * @returns {Pulse}
 */
export const reached = (pulse, now) => ({ ...pulse, reached: Math.min(pulse.reached, now) });

/**
 * @param {Pulse} pulse
 * @param {number} now ms
 * @returns {"alive" | "doubtful" | "broken"} `doubtful`: it is to be seen whether the server can be reached
 */
export function verdict({ heard, reached }, now) {
  if (now - heard < QUIET) return "alive";
  return now - reached < SETTLING || reached === Infinity ? "doubtful" : "broken";
}
