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
/** ms of sound that are given to the browser at once, as a sound card gives them. */
const CHUNK = 10;

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
 * @param {OffscreenCanvasRenderingContext2D} context
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

/** What the page itself does not do in time. Each piece says when it was taken, so it does no harm. */
export const faults = {
  /** @type {number[]} ms by which pictures were given to the browser too late */
  pictures: [],
  /** @type {number[]} the same of sound */
  sounds: [],
};

/** ms since 1970, the same in all pages of a machine. */
const now = () => performance.timeOrigin + performance.now();

/**
 * A track that takes what is made for it: neither a canvas nor WebAudio says when a picture or a sample was
 * taken, and both stop on a busy machine.
 * @param {'audio' | 'video'} kind
 */
function generator(kind) {
  const { MediaStreamTrackGenerator } = /** @type {any} */ (window);
  const track = new MediaStreamTrackGenerator({ kind });
  return { track: /** @type {MediaStreamTrack} */ (track), writer: track.writable.getWriter() };
}

/**
 * Calls `make` with each number from the present one on when its time has come: `origin + number * length`.
 * @param {number} origin ms since 1970
 * @param {number} length ms
 * @param {number[]} late how much later that was, in ms
 * @param {(number: number) => void} make
 */
function each(origin, length, late, make) {
  let next = Math.ceil((now() - origin) / length);
  const take = () => {
    for (; origin + next * length <= now(); next++) {
      late.push(now() - origin - next * length);
      make(next);
    }
    setTimeout(take, origin + next * length - now());
  };
  take();
}

/**
 * A camera; picture `n` is taken at `origin + n * FRAME`.
 * @param {number} origin ms since 1970
 * @param {number} uptime what the machine's monotonic clock shows at `origin`, in ms
 * @param {{width: number, height: number}} size
 * @param {number[]} all the events
 */
function camera(origin, uptime, size, all) {
  const canvas = new OffscreenCanvas(size.width, size.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (!context) throw new Error("no canvas");
  const { track, writer } = generator("video");
  const white = new Set(all.flatMap((first) => Array.from({ length: FLASH }, (_, n) => first + n)));
  each(origin, FRAME, faults.pictures, (number) => {
    draw(context, number & 0xffff, white.has(number));
    const timestamp = Math.round((uptime + number * FRAME) * 1000);
    writer.write(new VideoFrame(canvas, { timestamp }));
  });
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
 * A microphone: chunk `n` holds the sound from `origin + n * CHUNK` on, and is there when it is over. Chromium counts
 * the times of sound from the page's own zero, those of pictures by the machine's clock.
 * @param {number} origin ms since 1970
 * @param {number[]} all the events
 */
function microphone(origin, all) {
  const { track, writer } = generator("audio");
  const samples = beep();
  const length = (CHUNK * RATE) / 1000;
  const starts = all.map((first) => (first * FRAME * RATE) / 1000);
  each(origin + CHUNK, CHUNK, faults.sounds, (number) => {
    const data = new Float32Array(length);
    const from = number * length;
    for (const start of starts.filter((start) => start < from + length && start + samples.length > from)) {
      data.forEach((_, n) => (data[n] += samples[from + n - start] ?? 0));
    }
    const timestamp = Math.round((origin - performance.timeOrigin + number * CHUNK) * 1000);
    const format = { format: /** @type {const} */ ("f32-planar"), sampleRate: RATE, numberOfChannels: 1 };
    writer.write(new AudioData({ ...format, numberOfFrames: length, timestamp, data }));
  });
  return track;
}

/**
 * Puts them in the place of the real ones.
 * @param {number} origin ms since 1970
 * @param {number} uptime what the machine's monotonic clock shows at `origin`, in ms
 * @param {{width: number, height: number}} size
 */
export function install(origin, uptime, size) {
  const all = events(3600 * FRAMERATE);
  const stream = new MediaStream([camera(origin, uptime, size, all), microphone(origin, all)]);
  navigator.mediaDevices.getUserMedia = async ({ audio, video } = {}) =>
    new MediaStream(stream.getTracks().filter(({ kind }) => (kind === "audio" ? audio : video)));
}
