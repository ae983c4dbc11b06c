// SPDX-License-Identifier: MPL-2.0

/**
 * @file Camera and microphone.
 *
 * By default the browser leaves the voice as it is: its echo canceller, noise suppressor and gain
 * control would change what an experiment measures and transforms, and in a mirror the canceller
 * takes one's own voice away. Participants wear headphones; a page whose participants do not asks
 * for `audio: { echoCancellation: true }`.
 */

/** @typedef {Omit<import("../ducksoup.js").PeerOptions, "signalingUrl" | "interactionName" | "userId">} Wishes */

/** The picture when the page names none (the README's defaults). */
const DEFAULT_PICTURE = { width: 800, height: 600, framerate: 25 };

/**
 * What getUserMedia is asked for.
 * @param {Wishes} options
 * @returns {{ audio: MediaTrackConstraints, video: MediaTrackConstraints | false }}
 */
export function constraints(options) {
  const { width, height, framerate } = DEFAULT_PICTURE;
  return {
    audio: { autoGainControl: false, echoCancellation: false, noiseSuppression: false, channelCount: { ideal: 1 }, ...options.audio },
    video: !options.audioOnly && {
      width: { ideal: options.width ?? width },
      height: { ideal: options.height ?? height },
      frameRate: { ideal: options.framerate ?? options.frameRate ?? framerate },
      facingMode: { ideal: "user" },
      ...options.video,
    },
  };
}

/**
 * Asks for camera and microphone.
 * @param {Wishes} options
 * @param {Pick<MediaDevices, "getUserMedia"> | undefined} devices
 * @returns {Promise<MediaStream>}
 */
export async function capture(options, devices) {
  if (!devices) throw new Error("no camera or microphone on a page without HTTPS (localhost excepted)");
  return devices.getUserMedia(constraints(options));
}

/**
 * Gives camera and microphone back.
 * @param {MediaStream} stream
 */
export function release(stream) {
  for (const track of stream.getTracks()) track.stop();
}
