// SPDX-License-Identifier: MPL-2.0

/**
 * @file What a device check measures, and what it makes of that; pure. Limits are ours, tried with headsets and
 * built-in microphones: speech lies at -35 to -12 dB, a quiet room below -55 dB.
 */

/** A sample of this size or more is at the limit of what the microphone can tell. */
const CLIPPING = 0.99;
/** Digital silence, in dB. */
const SILENCE = -200;
/** In dB, relative to full scale. */
const LIMITS = { silent: -70, quiet: -42, loud: -8, noise: -45, distance: 12 };
/** Share of samples at the limit that can be heard. */
const MAX_CLIPPED = 0.001;
/** Mean of the picture, 0 to 1. */
const LIGHT = { dark: 0.12, bright: 0.92 };
/** Frames a second below which a picture does not move. */
const MIN_FRAMERATE = 5;

/**
 * @typedef {{ level: number, peak: number, clipped: number }} Loudness in dB; `clipped` is a share
 * @typedef {"good" | "silent" | "quiet" | "loud" | "noisy"} MicrophoneVerdict
 * @typedef {"good" | "dark" | "bright" | "frozen"} CameraVerdict
 */

/** @param {number} amplitude */
const decibels = (amplitude) => Math.max(SILENCE, 20 * Math.log10(amplitude));

/**
 * How loud samples are.
 * @param {Iterable<number>} samples -1 to 1
 * @returns {Loudness}
 */
export function loudness(samples) {
  let [count, power, peak, clipped] = [0, 0, 0, 0];
  for (const sample of samples) {
    const size = Math.abs(sample);
    count += 1;
    power += size * size;
    peak = Math.max(peak, size);
    if (size >= CLIPPING) clipped += 1;
  }
  if (count === 0) return { level: SILENCE, peak: SILENCE, clipped: 0 };
  return { level: decibels(Math.sqrt(power / count)), peak: decibels(peak), clipped: clipped / count };
}

/**
 * All of several pieces of equal length.
 * @param {Loudness[]} pieces
 * @returns {Loudness}
 */
export function together(pieces) {
  if (pieces.length === 0) return loudness([]);
  const mean = (/** @type {number[]} */ values) => values.reduce((sum, value) => sum + value, 0) / values.length;
  return {
    level: decibels(Math.sqrt(mean(pieces.map(({ level }) => 10 ** (level / 10))))),
    peak: Math.max(...pieces.map(({ peak }) => peak)),
    clipped: mean(pieces.map(({ clipped }) => clipped)),
  };
}

/**
 * The louder half of the pieces: people pause while they speak.
 * @param {Loudness[]} pieces
 */
export function speech(pieces) {
  const sorted = [...pieces].sort((a, b) => b.level - a.level);
  return together(sorted.slice(0, Math.ceil(sorted.length / 2)));
}

/**
 * Whether what sounds in silence would cover the voice.
 * @param {Loudness} spoken
 * @param {Loudness} silent
 */
export function isNoisy(spoken, silent) {
  return silent.level > LIMITS.noise && spoken.level - silent.level < LIMITS.distance;
}

/**
 * The gravest fault comes first.
 * @param {Loudness} spoken
 * @param {Loudness} silent
 * @returns {MicrophoneVerdict}
 */
export function judgeMicrophone(spoken, silent) {
  if (spoken.level < LIMITS.silent) return "silent";
  if (spoken.clipped > MAX_CLIPPED || spoken.level > LIMITS.loud) return "loud";
  if (isNoisy(spoken, silent)) return "noisy";
  if (spoken.level < LIMITS.quiet) return "quiet";
  return "good";
}

/**
 * The mean brightness of a picture, 0 to 1 (ITU-R BT.601 weights).
 * @param {ArrayLike<number>} pixels red, green, blue, alpha, 0 to 255
 */
export function brightness(pixels) {
  let sum = 0;
  for (let at = 0; at < pixels.length; at += 4) sum += 0.299 * pixels[at] + 0.587 * pixels[at + 1] + 0.114 * pixels[at + 2];
  return pixels.length === 0 ? 0 : (sum / (pixels.length / 4)) / 255;
}

/**
 * @param {{ brightness: number, framerate: number }} picture
 * @returns {CameraVerdict}
 */
export function judgeCamera({ brightness: light, framerate }) {
  if (framerate < MIN_FRAMERATE) return "frozen";
  if (light < LIGHT.dark) return "dark";
  return light > LIGHT.bright ? "bright" : "good";
}

/** What to do about it. @type {Record<MicrophoneVerdict | CameraVerdict, string>} */
export const ADVICE = {
  good: "Good.",
  silent: "Nothing was heard. Is it the right microphone, and is it switched on?",
  quiet: "Very quiet. Come nearer to the microphone, or raise its level.",
  loud: "Too loud: it breaks. Move away a little, or lower the level of the microphone.",
  noisy: "The room is loud. Close windows and doors, switch off music and fans.",
  dark: "It is dark. Turn on a light in front of you.",
  bright: "It is very bright. Move out of the direct light.",
  frozen: "The picture does not move. Close other programs that use the camera.",
};

/**
 * How full the meter is: from -60 dB to 0 dB, what a voice needs.
 * @param {number} level dB
 */
export function fill(level) {
  return Math.min(1, Math.max(0, 1 + level / 60));
}
