// SPDX-License-Identifier: MPL-2.0

/** A synthetic camera and microphone: one colour, a frame number, one tone. */

import { blockArea, blocks } from "../barcode.js";

/**
 * @typedef {object} CameraOptions
 * @property {import('../colour.js').Rgb} colour
 * @property {number} frequency Hz
 * @property {number} width
 * @property {number} height
 * @property {number} fps
 * @property {'all' | 'no picture' | 'nothing'} [deliver] 'no picture': a camera that never gives a frame;
 *   'nothing': a person who never answers the browser's question
 */

/** @type {number[]} When each frame number was drawn, in ms since 1970. */
export const shownAt = [];

/**
 * Draws one frame.
 * @param {CanvasRenderingContext2D} context
 * @param {import('../colour.js').Rgb} colour
 * @param {number} number
 */
function draw(context, colour, number) {
  const { width, height } = context.canvas;
  context.fillStyle = `rgb(${colour.join(" ")})`;
  context.fillRect(0, 0, width, height);
  blocks(number).forEach((white, index) => {
    const area = blockArea(index);
    context.fillStyle = white ? "white" : "black";
    context.fillRect(
      Math.round(area.x * width),
      Math.round(area.y * height),
      Math.ceil(area.width * width),
      Math.ceil(area.height * height),
    );
  });
}

/**
 * Sends what the canvas shows.
 * @param {MediaStreamTrack} track
 * @param {MediaStream} stream
 */
function takeFrame(track, stream) {
  // In Firefox it is the stream's affair (2026).
  const source = /** @type {CanvasCaptureMediaStreamTrack} */ ("requestFrame" in track ? track : stream);
  source.requestFrame();
}

/**
 * @param {CameraOptions} options
 * @returns {MediaStreamTrack}
 */
function pictureTrack({ colour, width, height, fps, deliver }) {
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d");
  if (!context) throw new Error("no canvas");
  const stream = canvas.captureStream(0);
  const [track] = stream.getVideoTracks();
  if (deliver === "no picture") return track;
  let number = 0;
  const timer = setInterval(() => {
    if (track.readyState === "ended") return clearInterval(timer);
    shownAt[number] = performance.timeOrigin + performance.now();
    draw(context, colour, number++);
    takeFrame(track, stream);
  }, 1000 / fps);
  return track;
}

/**
 * @param {CameraOptions} options
 * @returns {MediaStreamTrack}
 */
function soundTrack({ frequency }) {
  const context = new AudioContext();
  const tone = new OscillatorNode(context, { frequency });
  const volume = new GainNode(context, { gain: 0.25 });
  const microphone = context.createMediaStreamDestination();
  tone.connect(volume).connect(microphone);
  tone.start();
  return microphone.stream.getAudioTracks()[0];
}

/**
 * What getUserMedia gives for these constraints.
 * @param {CameraOptions} options
 * @param {MediaStreamConstraints} [constraints]
 * @returns {Promise<MediaStream>}
 */
export async function capture(options, constraints = { audio: true, video: true }) {
  if (options.deliver === "nothing") return new Promise(() => {});
  const tracks = [];
  if (constraints.audio) tracks.push(soundTrack(options));
  if (constraints.video) tracks.push(pictureTrack(options));
  return new MediaStream(tracks);
}

/**
 * Puts the synthetic devices in place of the real ones.
 * @param {CameraOptions} options
 */
export function installCamera(options) {
  navigator.mediaDevices.getUserMedia = (constraints) => capture(options, constraints);
}
