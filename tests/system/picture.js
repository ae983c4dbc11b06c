// SPDX-License-Identifier: MPL-2.0

/** What a picture of a synthetic camera shows. Runs in a page and in node. */

import { plainArea, read } from "./barcode.js";

/**
 * @typedef {object} Picture
 * @property {number} width
 * @property {number} height
 * @property {number} channels bytes a pixel: 3 (RGB) or 4 (RGBA)
 * @property {Uint8Array | Uint8ClampedArray} data
 */

/**
 * @typedef {object} Sight
 * @property {import('./colour.js').Rgb} colour mean of the plain area
 * @property {number | null} number the frame's number, null when it cannot be read
 * @property {import('./barcode.js').Orientation | null} orientation
 */

/**
 * Mean colour of an area.
 * @param {Picture} picture
 * @param {import('./barcode.js').Area} area
 * @returns {import('./colour.js').Rgb}
 */
function meanOf({ width, height, channels, data }, area) {
  const [left, top] = [Math.round(area.x * width), Math.round(area.y * height)];
  const right = Math.max(left + 1, Math.round((area.x + area.width) * width));
  const bottom = Math.max(top + 1, Math.round((area.y + area.height) * height));
  const sum = [0, 0, 0];
  for (let y = top; y < bottom; y++) {
    for (let x = left; x < right; x++) {
      const at = (y * width + x) * channels;
      for (let channel = 0; channel < 3; channel++) sum[channel] += data[at + channel];
    }
  }
  const pixels = (right - left) * (bottom - top);
  return [sum[0] / pixels, sum[1] / pixels, sum[2] / pixels];
}

/**
 * Reads colour and number.
 * @param {Picture} picture
 * @returns {Sight}
 */
export function look(picture) {
  const found = read((area) => {
    const [red, green, blue] = meanOf(picture, area);
    return 0.299 * red + 0.587 * green + 0.114 * blue;
  });
  return {
    colour: meanOf(picture, plainArea(found?.orientation ?? "upright")),
    number: found?.number ?? null,
    orientation: found?.orientation ?? null,
  };
}
