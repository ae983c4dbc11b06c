// SPDX-License-Identifier: MPL-2.0

/**
 * @file When the browser is made to find out what its way up can take. Pure.
 *
 * After a narrow time Chromium raises what it sends by 8 % a second, peer to peer as here: from 600 kbit/s it takes 14 s
 * to 1.5 Mbit/s. It tries with a few packets, which takes a tenth of a second, only at the beginning, where it sends less than
 * it may, and when a description allows more than the one before (Chromium 156). So it is given such a
 * description, while it sends less than there is to send. On a line that is still narrow those packets wait for
 * some 50 ms.
 */

/** How long it may send less, and the time between two tries, in ms. Ours: back within 10 s whenever the line is. */
const PERIOD = 8000;
/** A share of what there is to send that is enough; ours. */
const ENOUGH = 0.8;
/** What descriptions allow, in kbit/s, and one more each time. Ours: above all that is ever sent, repairs included. */
const ALLOWED = 2000;

/**
 * `since`: when it began to have too little, or the last try; `allowed`: what descriptions allow, none before the first try.
 * @typedef {{ since: number | undefined, allowed: number | undefined }} Uplink
 */

/** @type {Uplink} */
export const UNTRIED = { since: undefined, allowed: undefined };

/**
 * What the browser thinks it can send, in bit/s; undefined where it does not tell (Firefox, 2026).
 * @param {Iterable<Record<string, any>>} stats
 * @returns {number | undefined}
 */
export function available(stats) {
  for (const { type, nominated, availableOutgoingBitrate } of stats) {
    if (type === "candidate-pair" && nominated && availableOutgoingBitrate > 0) return availableOutgoingBitrate;
  }
  return undefined;
}

/**
 * @param {Uplink} uplink
 * @param {number | undefined} available bit/s
 * @param {number} wanted all there is to send, in bit/s
 * @param {number} now ms
 * @returns {{ uplink: Uplink, due: boolean }} `due`: it is to be tried now
 */
export function judged(uplink, available, wanted, now) {
  if (available === undefined || available >= ENOUGH * wanted) return { uplink: { ...uplink, since: undefined }, due: false };
  if (uplink.since === undefined) return { uplink: { ...uplink, since: now }, due: false };
  if (now - uplink.since < PERIOD) return { uplink, due: false };
  return { uplink: { since: now, allowed: (uplink.allowed ?? ALLOWED) + 1 }, due: true };
}

/**
 * A description as the browser reads it: so much is allowed for pictures (`b=AS`, RFC 4566 §5.8).
 * @param {string} sdp
 * @param {number | undefined} allowed kbit/s
 */
export function allowing(sdp, allowed) {
  if (allowed === undefined) return sdp;
  return sdp.replace(/^m=video [^]*?(?=^m=|$(?![^]))/gm, (section) =>
    section.replace(/^b=AS:.*\r?\n/gm, "").replace(/^(m=.*\r?\n(?:i=.*\r?\n)?(?:c=.*\r?\n)?)/, `$1b=AS:${allowed}\r\n`),
  );
}
