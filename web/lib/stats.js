// SPDX-License-Identifier: MPL-2.0

/**
 * @file From the browser's statistics to numbers; pure.
 */

/**
 * What one report says; counters count since the call began. What the browser does not tell is 0.
 * @typedef {object} Sample
 * @property {number} at ms
 * @property {number} audioUp bytes
 * @property {number} audioDown bytes
 * @property {number} videoUp bytes
 * @property {number} videoDown bytes
 * @property {number} width of the picture being sent
 * @property {number} height of the picture being sent
 * @property {number} framerate of the picture being sent
 * @property {number} roundTrip ms
 * @property {number} lost incoming packets
 * @property {number} keyframesEncoded
 * @property {number} keyframesDecoded
 * @property {number} pliReceived
 * @property {number} firReceived
 */

/**
 * Reads one report.
 * @param {Iterable<Record<string, any>>} report the values of an RTCStatsReport
 * @param {number} at ms
 * @returns {Sample}
 */
export function sample(report, at) {
  /** @type {Sample} */
  const sum = {
    at, audioUp: 0, audioDown: 0, videoUp: 0, videoDown: 0, width: 0, height: 0, framerate: 0, roundTrip: 0, lost: 0,
    keyframesEncoded: 0, keyframesDecoded: 0, pliReceived: 0, firReceived: 0,
  };
  for (const entry of report) {
    if (entry.type === "outbound-rtp" && entry.kind === "audio") sum.audioUp += entry.bytesSent ?? 0;
    if (entry.type === "outbound-rtp" && entry.kind === "video") {
      sum.videoUp += entry.bytesSent ?? 0;
      sum.width = entry.frameWidth ?? 0;
      sum.height = entry.frameHeight ?? 0;
      sum.framerate = Math.round(entry.framesPerSecond ?? 0);
      sum.keyframesEncoded += entry.keyFramesEncoded ?? 0;
      sum.pliReceived += entry.pliCount ?? 0;
      sum.firReceived += entry.firCount ?? 0;
    }
    if (entry.type === "inbound-rtp" && (entry.kind === "audio" || entry.kind === "video")) {
      sum[entry.kind === "audio" ? "audioDown" : "videoDown"] += entry.bytesReceived ?? 0;
      sum.lost += entry.packetsLost ?? 0;
      sum.keyframesDecoded += entry.keyFramesDecoded ?? 0;
    }
    if (entry.type === "candidate-pair" && entry.nominated && entry.state === "succeeded") {
      sum.roundTrip = Math.round((entry.currentRoundTripTime ?? 0) * 1000);
    }
  }
  return sum;
}

/**
 * What happened between two samples.
 * @param {Sample} before
 * @param {Sample} now
 * @returns {import("../ducksoup.js").Stats}
 */
export function measure(before, now) {
  const seconds = Math.max(now.at - before.at, 1) / 1000;
  /** @param {"audioUp" | "audioDown" | "videoUp" | "videoDown"} counter */
  // A counter falls when a track ends: that second has no number.
  const kbits = (counter) => Math.round((Math.max(now[counter] - before[counter], 0) * 8) / 1000 / seconds);
  return {
    audioUp: kbits("audioUp"),
    audioDown: kbits("audioDown"),
    videoUp: kbits("videoUp"),
    videoDown: kbits("videoDown"),
    width: now.width,
    height: now.height,
    framerate: now.framerate,
    roundTrip: now.roundTrip,
    lost: Math.max(now.lost - before.lost, 0),
  };
}

/** The figures that the server logs and plots: kind of the message, and text of its payload. @type {[string, (sample: Sample) => string][]} */
const REPORTED = [
  ["client_video_resolution_updated", ({ width, height }) => (width ? `${width}x${height}` : "")],
  ["client_video_fps_updated", ({ framerate }) => (framerate ? String(framerate) : "")],
  ["client_keyframe_encoded_count_updated", counted("keyframesEncoded")],
  ["client_keyframe_decoded_count_updated", counted("keyframesDecoded")],
  ["client_pli_received_count_updated", counted("pliReceived")],
  ["client_fir_received_count_updated", counted("firReceived")],
];

/** @param {"keyframesEncoded" | "keyframesDecoded" | "pliReceived" | "firReceived"} counter */
function counted(counter) {
  return (/** @type {Sample} */ sample) => (sample[counter] ? String(sample[counter]) : "");
}

/**
 * What the server is told of a new sample: the figures that changed.
 * @param {Sample | undefined} before
 * @param {Sample} now
 * @returns {{ kind: string, payload: string }[]}
 */
export function changes(before, now) {
  return REPORTED.map(([kind, text]) => ({ kind, payload: text(now), old: before ? text(before) : "" }))
    .filter(({ payload, old }) => payload !== "" && payload !== old)
    .map(({ kind, payload }) => ({ kind, payload }));
}
