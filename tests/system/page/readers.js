// SPDX-License-Identifier: MPL-2.0

/** Reads what a page shows and plays. */

import { look } from "../picture.js";
import { levelOf, loudest } from "../tone.js";

/**
 * @typedef {object} Shown one video element that plays
 * @property {string} streamId
 * @property {number} width of the stream as it comes, before scaling for display
 * @property {number} height
 * @property {number} frames decoded so far
 */
/** @typedef {Shown & import('../picture.js').Sight} PictureSeen */
/** @typedef {{streamId: string} & import('../tone.js').Tone} SoundHeard */
/** @typedef {{streamId: string, level: number}} LevelHeard */

/** Samples a tone is read from: a third of a second at 48 kHz, three hertz a bin. */
const TONE_SAMPLES = 16_384;
/** Samples a momentary level is read from: 43 ms at 48 kHz, seventeen periods of the lowest tone. */
const LEVEL_SAMPLES = 2048;

const canvas = document.createElement("canvas");
const context = canvas.getContext("2d", { willReadFrequently: true });

/** @param {HTMLMediaElement} element */
const streamOf = (element) => (element.srcObject instanceof MediaStream ? element.srcObject : null);

/**
 * What a video element shows now; null before its first picture.
 * @param {HTMLVideoElement} video
 * @returns {PictureSeen | null}
 */
export function readPicture(video) {
  const stream = streamOf(video);
  const { videoWidth: width, videoHeight: height } = video;
  if (!stream || !context || video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA || !width) return null;
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  context.drawImage(video, 0, 0);
  const { data } = context.getImageData(0, 0, width, height);
  return {
    streamId: stream.id,
    width,
    height,
    frames: video.getVideoPlaybackQuality().totalVideoFrames,
    ...look({ width, height, channels: 4, data }),
  };
}

/** Listens to the audio tracks of elements, each for itself. */
export class Ears {
  #context = new AudioContext();
  /** @type {Map<string, AnalyserNode>} by track id */
  #analysers = new Map();

  /**
   * @param {MediaStreamTrack} track
   * @returns {AnalyserNode}
   */
  #analyser(track) {
    const known = this.#analysers.get(track.id);
    if (known) return known;
    const analyser = new AnalyserNode(this.#context, { fftSize: TONE_SAMPLES });
    this.#context.createMediaStreamSource(new MediaStream([track])).connect(analyser);
    this.#analysers.set(track.id, analyser);
    return analyser;
  }

  /**
   * @param {HTMLMediaElement} element
   * @returns {{streamId: string, samples: Float32Array<ArrayBuffer>} | null} null when nothing can sound
   */
  #samples(element) {
    const stream = streamOf(element);
    const track = stream?.getAudioTracks().find(({ readyState }) => readyState === "live");
    if (!stream || !track || element.paused) return null;
    const samples = new Float32Array(TONE_SAMPLES);
    this.#analyser(track).getFloatTimeDomainData(samples);
    return { streamId: stream.id, samples };
  }

  /**
   * The tone an element plays, over the last third of a second.
   * @param {HTMLMediaElement} element
   * @returns {SoundHeard | null}
   */
  tone(element) {
    const heard = this.#samples(element);
    return heard && { streamId: heard.streamId, ...loudest(heard.samples, this.#context.sampleRate) };
  }

  /**
   * The level an element plays at, over the last 43 ms.
   * @param {HTMLMediaElement} element
   * @returns {LevelHeard | null}
   */
  level(element) {
    const heard = this.#samples(element);
    return heard && { streamId: heard.streamId, level: levelOf(heard.samples.subarray(-LEVEL_SAMPLES)) };
  }
}
