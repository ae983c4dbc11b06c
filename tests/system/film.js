// SPDX-License-Identifier: MPL-2.0

/** A film of a synthetic camera's frames, as plain pixels in a file, for participants without a browser. */

import { open } from "node:fs/promises";
import { blockArea, blocks } from "./barcode.js";

/**
 * @typedef {object} FilmOptions
 * @property {import('./colour.js').Rgb} colour
 * @property {number} width
 * @property {number} height
 * @property {number} frames
 */

/**
 * One frame: colour and number, as {@link import('./page/camera.js')} draws them.
 * @param {FilmOptions} options
 * @param {number} number
 * @returns {Uint8Array} RGB, row after row
 */
function frame({ colour, width, height }, number) {
  const pixels = new Uint8Array(width * height * 3);
  for (let at = 0; at < pixels.length; at += 3) pixels.set(colour, at);
  blocks(number).forEach((white, index) => {
    const area = blockArea(index);
    const [left, top] = [Math.round(area.x * width), Math.round(area.y * height)];
    const right = left + Math.ceil(area.width * width);
    for (let y = top; y < top + Math.ceil(area.height * height); y++) {
      pixels.fill(white ? 255 : 0, (y * width + left) * 3, (y * width + right) * 3);
    }
  });
  return pixels;
}

/**
 * Writes the frames one after the other.
 * @param {string} path
 * @param {FilmOptions} options the width a multiple of four: then rows are as GStreamer lays them out
 */
export async function writeFilm(path, options) {
  const file = await open(path, "w");
  try {
    for (let number = 0; number < options.frames; number++) await file.write(frame(options, number));
  } finally {
    await file.close();
  }
}
