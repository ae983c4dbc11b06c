// SPDX-License-Identifier: MPL-2.0

/**
 * @file The few things this library reads in and writes into session descriptions.
 */

/**
 * Asks the server for mono: every Opus format line of the answer gets `stereo=0` (RFC 7587 §6.1).
 * For the copy that the server reads; the browser's own stays as it made it.
 * @param {string} sdp
 */
export function askForMono(sdp) {
  const formats = new Set([...sdp.matchAll(/^a=rtpmap:(\d+) opus\/48000/gim)].map((match) => match[1]));
  return sdp.replace(/^a=fmtp:(\d+) ([^\r\n]*)/gm, (line, format, parameters) => {
    if (!formats.has(format)) return line;
    const others = parameters.split(";").filter((/** @type {string} */ one) => !/^\s*stereo=/.test(one));
    return `a=fmtp:${format} ${[...others, "stereo=0"].join(";")}`;
  });
}

/**
 * The media (`audio`, `video`) that were offered and that the answer refuses: the browser has none
 * of the formats. A section that shares another one's transport has port 0 as well, and says so
 * (`bundle-only`, RFC 9143 §6).
 * @param {string} offer
 * @param {string} answer
 * @returns {string[]}
 */
export function refusedMedia(offer, answer) {
  const offered = sections(offer);
  return sections(answer).flatMap(({ media, open }, index) => (!open && offered[index]?.open ? [media] : []));
}

/** @param {string} sdp */
function sections(sdp) {
  return sdp.split(/^(?=m=)/m).slice(1).map((section) => {
    const [, media = "", port] = /^m=(\w+) (\d+)/.exec(section) ?? [];
    return { media, open: Number(port) !== 0 || /^a=bundle-only\s*$/m.test(section) };
  });
}
