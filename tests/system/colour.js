// SPDX-License-Identifier: MPL-2.0

/** Colours as the effects under test see them. Runs in a page and in node. */

/** @typedef {[red: number, green: number, blue: number]} Rgb 0 to 255 each */

/**
 * @param {number} value
 * @param {number} low
 * @param {number} high
 */
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

/**
 * BT.601, limited range: what browsers and GStreamer use for pictures this small.
 * @param {Rgb} rgb
 * @returns {[y: number, u: number, v: number]}
 */
export function toYuv([red, green, blue]) {
  return [
    16 + 0.257 * red + 0.504 * green + 0.098 * blue,
    128 - 0.148 * red - 0.291 * green + 0.439 * blue,
    128 + 0.439 * red - 0.368 * green - 0.071 * blue,
  ];
}

/**
 * @param {[y: number, u: number, v: number]} yuv
 * @returns {Rgb}
 */
export function toRgb([y, u, v]) {
  const light = 1.164 * (y - 16);
  return [
    clamp(light + 1.596 * (v - 128), 0, 255),
    clamp(light - 0.392 * (u - 128) - 0.813 * (v - 128), 0, 255),
    clamp(light + 2.017 * (u - 128), 0, 255),
  ];
}

/**
 * What GStreamer's videobalance makes of a colour, by the meaning of its properties.
 * @param {Rgb} rgb
 * @param {{brightness?: number, contrast?: number, hue?: number, saturation?: number}} properties
 * @returns {Rgb}
 */
export function balance(rgb, { brightness = 0, contrast = 1, hue = 0, saturation = 1 }) {
  const [y, u, v] = toYuv(rgb);
  const [cos, sin] = [Math.cos(Math.PI * hue), Math.sin(Math.PI * hue)];
  return toRgb([
    clamp(16 + (y - 16) * contrast + brightness * 255, 0, 255),
    clamp(128 + ((u - 128) * cos + (v - 128) * sin) * saturation, 0, 255),
    clamp(128 + ((v - 128) * cos - (u - 128) * sin) * saturation, 0, 255),
  ]);
}

/**
 * The brightness of a colour, 16 to 235.
 * @param {Rgb} rgb
 */
export const luma = (rgb) => toYuv(rgb)[0];

/**
 * The largest difference in any channel: what a tolerance is compared with.
 * @param {Rgb} a
 * @param {Rgb} b
 */
export const distance = (a, b) => Math.max(...a.map((value, index) => Math.abs(value - b[index])));
