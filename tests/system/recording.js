// SPDX-License-Identifier: MPL-2.0

/** Reads recordings with ffmpeg: independent of GStreamer, and to the last frame. */

import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { look } from "./picture.js";
import { levelOf, loudest } from "./tone.js";

const run = promisify(execFile);

/** Size pictures are read at, whatever they were. */
const PICTURE = { width: 160, height: 120, channels: 3 };
/** Samples a second that sound is read at. */
const RATE = 48_000;
/** Longest any of these programs may take, in ms: they read a few seconds of small pictures. */
const LIMIT = 60_000;

/**
 * @typedef {import('./picture.js').Sight & {time: number, width: number, height: number, key: boolean}} FrameRead
 *   time in seconds from the file's zero; width and height as recorded; whether it needs no other
 */
/** @typedef {{start: number, samples: Float32Array}} SoundRead start in seconds from the file's zero */
/**
 * @typedef {object} Recording
 * @property {Record<string, {codec_type: string, codec_name: string, width?: number, height?: number}>} streams
 *   by kind
 * @property {FrameRead[]} frames
 * @property {SoundRead | null} sound
 */

/**
 * Runs a program that must have nothing to complain about.
 * @param {string} program
 * @param {string[]} args
 * @returns {Promise<Buffer>}
 */
async function quietly(program, args) {
  const { stdout, stderr } = await run(program, args, {
    encoding: "buffer",
    maxBuffer: 1 << 30,
    timeout: LIMIT,
  });
  if (stderr.length > 0) throw new Error(`${program} ${args.join(" ")}: ${stderr}`);
  return stdout;
}

/**
 * @param {string} path
 * @param {string[]} args
 */
async function ask(path, ...args) {
  return JSON.parse(String(await quietly("ffprobe", ["-v", "error", "-of", "json", ...args, path])));
}

/**
 * @param {string} path
 * @param {boolean} live
 * @returns {Promise<FrameRead[]>}
 */
async function readFrames(path, live) {
  const { width, height, channels } = PICTURE;
  const entries = "frame=best_effort_timestamp_time,width,height,key_frame";
  const [{ frames }, pixels] = await Promise.all([
    ask(path, "-select_streams", "v:0", "-show_entries", entries),
    quietly("ffmpeg", [
      ...[
        "-v",
        "error",
        "-xerror",
        "-i",
        path,
        "-map",
        "0:v:0",
        "-fps_mode",
        "passthrough",
        "-enc_time_base",
        "-1",
      ],
      ...["-vf", `${live ? "setpts=N," : ""}scale=${width}:${height}`, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"],
    ]),
  ]);
  const size = width * height * channels;
  if (pixels.length !== frames.length * size) {
    throw new Error(`${path}: ${frames.length} frames are listed, ${pixels.length / size} decode`);
  }
  return frames.map((/** @type {Record<string, string>} */ frame, /** @type {number} */ index) => ({
    time: Number(frame.best_effort_timestamp_time),
    width: Number(frame.width),
    height: Number(frame.height),
    key: Number(frame.key_frame) === 1,
    ...look({ ...PICTURE, data: pixels.subarray(index * size, (index + 1) * size) }),
  }));
}

/**
 * @param {string} path
 * @param {boolean} live
 * @returns {Promise<SoundRead>}
 */
async function readSound(path, live) {
  const [{ frames }, bytes] = await Promise.all([
    ask(path, "-select_streams", "a:0", "-show_entries", "frame=best_effort_timestamp_time"),
    quietly("ffmpeg", [
      ...["-v", "error", "-xerror", "-i", path, "-map", "0:a:0"],
      // The first channel: mixing two down would raise the level.
      ...["-af", `pan=mono|c0=c0${live ? ",asetpts=N/SR/TB" : ""}`, "-f", "f32le", "-ar", String(RATE), "-"],
    ]),
  ]);
  const whole = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
  return { start: Number(frames[0]?.best_effort_timestamp_time), samples: new Float32Array(whole) };
}

/**
 * Decodes a whole file.
 * @param {string} path
 * @param {{live?: boolean}} [options] `live`: somebody else's, of packets with the times at which they came,
 *   which may be the same, or go back: a machine that is busy lets many come at once
 * @returns {Promise<Recording>}
 * @throws when any reader complains about anything
 */
export async function readRecording(path, { live = false } = {}) {
  const { streams } = await ask(path, "-show_streams");
  const byKind = Object.fromEntries(
    streams.map((/** @type {{codec_type: string}} */ stream) => [stream.codec_type, stream]),
  );
  return {
    streams: byKind,
    frames: byKind.video ? await readFrames(path, live) : [],
    sound: byKind.audio ? await readSound(path, live) : null,
  };
}

/**
 * Mean colour of the frames between two times.
 * @param {FrameRead[]} frames
 * @param {number} [from] s
 * @param {number} [to] s
 * @returns {import('./colour.js').Rgb}
 */
export function meanColour(frames, from = 0, to = Infinity) {
  const chosen = frames.filter(({ time }) => time >= from && time < to);
  const mean = (/** @type {0 | 1 | 2} */ channel) =>
    chosen.reduce((sum, { colour }) => sum + colour[channel], 0) / chosen.length;
  return [mean(0), mean(1), mean(2)];
}

/**
 * The samples between two times on the file's timeline.
 * @param {SoundRead} sound
 * @param {number} from s
 * @param {number} to s
 */
const between = ({ start, samples }, from, to) =>
  samples.subarray(Math.max(0, Math.round((from - start) * RATE)), Math.round((to - start) * RATE));

/**
 * The tone in the third of a second that begins at a time.
 * @param {SoundRead} sound
 * @param {number} time s
 */
export const toneAt = (sound, time) => loudest(between(sound, time, time + 16_384 / RATE), RATE);

/**
 * The level of the 40 ms around a time.
 * @param {SoundRead} sound
 * @param {number} time s
 */
export const levelAt = (sound, time) => levelOf(between(sound, time - 0.02, time + 0.02));

/**
 * Seconds of sound.
 * @param {SoundRead} sound
 */
export const secondsOf = (sound) => sound.samples.length / RATE;
