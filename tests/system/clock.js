// SPDX-License-Identifier: MPL-2.0

/** Reads the time that an overlay shows in a recording, by holding it against the same text drawn anew. */

import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";

const run = promisify(execFile);
/** Longest any of these programs may take, in ms. */
const LIMIT = 60_000;
/** Brighter than this, of 255, is a letter: letters are white, people's colours are not. */
const WHITE = 170;

/** @typedef {{time: number, bright: Uint8Array}} Corner time in s from the file's zero; 1 where it is bright */
/** @typedef {{width: number, height: number}} Size of the whole picture */

/** The corner in which the time stands. @param {Size} size */
const cornerOf = ({ width, height }) => ({ width: width / 2, height: height / 6 });

/** @param {Uint8Array} luma */
const bright = (luma) => luma.map((value) => (value > WHITE ? 1 : 0));

/**
 * @param {string} program
 * @param {string[]} args
 * @returns {Promise<Buffer>}
 */
async function output(program, args) {
  return (await run(program, args, { encoding: "buffer", maxBuffer: 1 << 28, timeout: LIMIT })).stdout;
}

/**
 * The corner of every picture of a recording.
 * @param {string} path
 * @param {Size} size
 * @returns {Promise<Corner[]>}
 */
export async function corners(path, size) {
  const { width, height } = cornerOf(size);
  const entries = ["-select_streams", "v:0", "-show_entries", "frame=best_effort_timestamp_time"];
  const [list, pixels] = await Promise.all([
    output("ffprobe", ["-v", "error", "-of", "csv=p=0", ...entries, path]),
    output("ffmpeg", [
      ...["-v", "error", "-i", path, "-map", "0:v:0", "-fps_mode", "passthrough"],
      ...["-vf", `crop=${width}:${height}:0:0`, "-f", "rawvideo", "-pix_fmt", "gray", "-"],
    ]),
  ]);
  const times = String(list).trim().split("\n").map(parseFloat);
  const area = width * height;
  return times.map((time, index) => ({
    time,
    bright: bright(pixels.subarray(index * area, (index + 1) * area)),
  }));
}

/** `minutes:seconds.milliseconds`, as the server writes it. @param {number} time s */
function text(time) {
  const ms = Math.floor(time * 1000 + 1e-3);
  const seconds = String(Math.floor(ms / 1000) % 60).padStart(2, "0");
  return `${Math.floor(ms / 60_000)}:${seconds}.${String(ms % 1000).padStart(3, "0")}`;
}

/**
 * The corner as the server's own element draws it.
 * @param {number} time s
 * @param {Size} size
 */
async function drawn(time, size) {
  const pieces = await readFile(new URL("../../pipelines/codecs.yml", import.meta.url), "utf8");
  const overlay = /overlay: >-\n((?: {4}.*\n?)+)/.exec(pieces)?.[1];
  if (!overlay) throw new Error("no overlay in codecs.yml");
  const words = overlay.match(/"[^"]*"|[^\s"]+="[^"]*"|\S+/g) ?? [];
  const caps = `video/x-raw,format=GRAY8,width=${size.width},height=${size.height}`;
  const picture = await output("gst-launch-1.0", [
    ...["-q", "videotestsrc", "num-buffers=1", "pattern=black", "!", caps.replace("GRAY8", "I420"), "!"],
    ...[...words.map((word) => word.replaceAll('"', "")), `text=${text(time)}`, "!"],
    ...["videoconvert", "!", caps, "!", "fdsink", "fd=1"],
  ]);
  const { width, height } = cornerOf(size);
  const rows = Array.from({ length: height }, (_, y) =>
    picture.subarray(y * size.width, y * size.width + width),
  );
  return bright(Buffer.concat(rows));
}

/** How much two corners have in common, 0 to 1. @param {Uint8Array} a @param {Uint8Array} b */
function likeness(a, b) {
  const both = a.reduce((sum, value, index) => sum + (value & b[index]), 0);
  const either = a.reduce((sum, value, index) => sum + (value | b[index]), 0);
  return either === 0 ? 0 : both / either;
}

/**
 * Which of some times a corner shows.
 * @param {Corner} corner
 * @param {number[]} candidates s
 * @param {Size} size
 * @returns {Promise<{time: number, likeness: number}>}
 */
export async function readClock(corner, candidates, size) {
  const read = await Promise.all(
    candidates.map(async (time) => ({ time, likeness: likeness(corner.bright, await drawn(time, size)) })),
  );
  return read.reduce((best, one) => (one.likeness > best.likeness ? one : best));
}
