// SPDX-License-Identifier: MPL-2.0

/**
 * A page whose camera flashes and whose microphone beeps, as `src/recordings/schedule.rs`, `picture.rs`
 * and `sound.rs` describe it, so that the same program measures what is recorded of it.
 */

/** Pictures a second. */
export const FRAMERATE = 25;
/** ms that a picture lasts. */
const FRAME = 1000 / FRAMERATE;
/** Pictures that a flash lasts. */
const FLASH = 3;
const [SHORTEST, VARIETY] = [15, 21];
/** Blocks in the row of the number: 16 bits, and 4 that check them. */
const [BITS, BLOCKS] = [16, 20];
/** Hz. */
const RATE = 48_000;
/** s that a beep lasts; Hz from which and to which it rises; samples in which it swells and fades; its volume. */
const [LENGTH, FROM, TO, EDGE, LOUDNESS] = [0.04, 500, 3500, 192, 0.5];
/** ms before an event at which its beep is given to the browser. */
const AHEAD = 300;
/** Readings of the clock of the sound from which the best one is taken, 20 ms apart: 4 s. */
const READINGS = 200;

/** @param {number} number */
function scatter(number) {
  let x = Math.imul(number + 1, 2_654_435_761) >>> 0;
  x = (x ^ (x >>> 15)) >>> 0;
  x = Math.imul(x, 2_246_822_519) >>> 0;
  return (x ^ (x >>> 13)) >>> 0;
}

/**
 * The pictures with which the events begin.
 * @param {number} limit
 */
export function events(limit) {
  const all = [];
  for (let number = 0, at = 0; ; number++) {
    at += SHORTEST + (scatter(number) % VARIETY);
    if (at >= limit) return all;
    all.push(at);
  }
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {number} number
 * @param {boolean} flash
 */
function draw(context, number, flash) {
  const { width, height } = context.canvas;
  const row = Math.floor(height / 4);
  // Luma 235 or 40 of video's 16 to 235.
  context.fillStyle = flash ? "rgb(255 255 255)" : "rgb(28 28 28)";
  context.fillRect(0, row, width, height - row);
  const check = [12, 8, 4, 0].reduce((sum, shift) => sum ^ ((number >> shift) & 0xf), 0b1010);
  const word = number * 2 ** (BLOCKS - BITS) + check;
  for (let block = 0; block < BLOCKS; block++) {
    const [left, right] = [block, block + 1].map((edge) => Math.ceil((edge * width) / BLOCKS));
    context.fillStyle = (word >> (BLOCKS - 1 - block)) & 1 ? "white" : "black";
    context.fillRect(left, 0, right - left, row);
  }
}

/** What the browser itself does not do in time: it is in the recordings, and no fault of theirs. */
export const faults = {
  /** @type {number[]} ms by which pictures were drawn too late */
  pictures: [],
  /** @type {number[]} where the sound's clock has its zero, in ms since 1970 */
  zeros: [],
};

/** ms since 1970, the same in all pages of a machine. */
const now = () => performance.timeOrigin + performance.now();

/**
 * A camera; picture `n` is taken at `origin + n * FRAME`.
 * @param {number} origin ms since 1970
 * @param {{width: number, height: number}} size
 * @param {number[]} all the events
 */
function camera(origin, size, all) {
  const canvas = Object.assign(document.createElement("canvas"), size);
  const context = canvas.getContext("2d");
  if (!context) throw new Error("no canvas");
  const [track] = /** @type {CanvasCaptureMediaStreamTrack[]} */ (canvas.captureStream(0).getVideoTracks());
  const white = new Set(all.flatMap((first) => Array.from({ length: FLASH }, (_, n) => first + n)));
  let last = -1;
  const take = () => {
    const number = Math.floor((now() - origin) / FRAME);
    // A timer may fire a little early.
    if (number > last) {
      last = number;
      draw(context, number & 0xffff, white.has(number));
      track.requestFrame();
      faults.pictures.push(now() - origin - number * FRAME);
    }
    setTimeout(take, origin + (last + 1) * FRAME - now());
  };
  take();
  return track;
}

function beep() {
  const samples = new Float32Array(Math.round(LENGTH * RATE));
  samples.forEach((_, n) => {
    const t = n / RATE;
    const edge = Math.min(n, samples.length - 1 - n, EDGE) / EDGE;
    const phase = 2 * Math.PI * (FROM * t + ((TO - FROM) * t * t) / (2 * LENGTH));
    samples[n] = LOUDNESS * (0.5 - 0.5 * Math.cos(Math.PI * edge)) * Math.sin(phase);
  });
  return samples;
}

/**
 * A microphone.
 * @param {number} origin ms since 1970
 * @param {number[]} all the events
 */
function microphone(origin, all) {
  const context = new AudioContext({ sampleRate: RATE });
  const destination = context.createMediaStreamDestination();
  const samples = beep();
  const buffer = context.createBuffer(1, samples.length, RATE);
  buffer.copyToChannel(samples, 0);
  // The context's clock moves in steps: it is right at the moment of a step, late between two.
  /** @type {number[]} */
  const readings = [];
  let next = 0;
  setInterval(() => {
    readings.push(now() - context.currentTime * 1000);
    if (readings.length > READINGS) readings.shift();
    const zero = Math.min(...readings);
    faults.zeros.push(zero);
    for (; next < all.length && origin + all[next] * FRAME - now() < AHEAD; next++) {
      const source = new AudioBufferSourceNode(context, { buffer });
      source.connect(destination);
      const at = (origin + all[next] * FRAME - zero) / 1000;
      if (at > context.currentTime) source.start(at);
    }
  }, 20);
  return destination.stream.getAudioTracks()[0];
}

/**
 * Puts them in the place of the real ones.
 * @param {number} origin ms since 1970
 * @param {{width: number, height: number}} size
 */
export function install(origin, size) {
  const all = events(3600 * FRAMERATE);
  const stream = new MediaStream([camera(origin, size, all), microphone(origin, all)]);
  navigator.mediaDevices.getUserMedia = async ({ audio, video } = {}) =>
    new MediaStream(stream.getTracks().filter(({ kind }) => (kind === "audio" ? audio : video)));
}
