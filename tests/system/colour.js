// SPDX-License-Identifier: MPL-2.0

/** Colours as the effects under test see them. Runs in a page and in node. */

/** @typedef {[red: number, green: number, blue: number]} Rgb 0 to 255 each */

/**
 * @param {number} value
 * @param {number} low
 * @param {number} high
 */
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

/** @typedef {[y: number, u: number, v: number]} Yuv */

/**
 * How colours become numbers: what red and blue weigh in the brightness, where it begins, and how
 * far it and the colour differences reach (ITU-R BT.601 and BT.709).
 * @typedef {{red: number, blue: number, black: number, light: number, difference: number}} Space
 */

/** @type {Space} What a decoder assumes of small pictures that do not tell, VP8 among them. */
export const BT601 = { red: 0.299, blue: 0.114, black: 16, light: 219, difference: 224 };
/** @type {Space} What Chromium makes of a canvas, full range, and says so in H.264. */
export const BT709_FULL = { red: 0.2126, blue: 0.0722, black: 0, light: 255, difference: 255 };

/**
 * @param {Rgb} rgb
 * @param {Space} space
 * @returns {Yuv}
 */
function toYuv([r, g, b], { red, blue, black, light, difference }) {
  const y = red * r + (1 - red - blue) * g + blue * b;
  return [
    black + (y / 255) * light,
    128 + ((b - y) / (2 - 2 * blue) / 255) * difference,
    128 + ((r - y) / (2 - 2 * red) / 255) * difference,
  ];
}

/**
 * @param {Yuv} yuv
 * @param {Space} space
 * @returns {Rgb}
 */
function toRgb(yuv, { red, blue, black, light, difference }) {
  const y = ((yuv[0] - black) / light) * 255;
  const b = y + (((yuv[1] - 128) * (2 - 2 * blue)) / difference) * 255;
  const r = y + (((yuv[2] - 128) * (2 - 2 * red)) / difference) * 255;
  const g = (y - red * r - blue * b) / (1 - red - blue);
  return [clamp(r, 0, 255), clamp(g, 0, 255), clamp(b, 0, 255)];
}

/**
 * What GStreamer's videobalance makes of a colour, by the meaning of its properties.
 * @param {Rgb} rgb
 * @param {{brightness?: number, contrast?: number, hue?: number, saturation?: number}} properties
 * @param {{sent: Space, shown: Space}} [spaces] of who takes the picture and who shows it
 * @returns {Rgb}
 */
export function balance(rgb, properties, { sent, shown } = { sent: BT601, shown: BT601 }) {
  const { brightness = 0, contrast = 1, hue = 0, saturation = 1 } = properties;
  const [y, u, v] = toYuv(rgb, sent);
  const [cos, sin] = [Math.cos(Math.PI * hue), Math.sin(Math.PI * hue)];
  return toRgb(
    [
      clamp(16 + (y - 16) * contrast + brightness * 255, 0, 255),
      clamp(128 + ((u - 128) * cos + (v - 128) * sin) * saturation, 0, 255),
      clamp(128 + ((v - 128) * cos - (u - 128) * sin) * saturation, 0, 255),
    ],
    shown,
  );
}

/**
 * What videobalance makes of a participant's colour, on its way from their canvas to other pages and
 * to files.
 * @param {Rgb} rgb
 * @param {'H264' | 'VP8'} videoFormat
 * @param {Parameters<typeof balance>[1]} properties
 */
export const balanced = (rgb, videoFormat, properties) =>
  balance(rgb, properties, { sent: BT709_FULL, shown: videoFormat === "H264" ? BT709_FULL : BT601 });

/**
 * The brightness of a colour, 0 to 255.
 * @param {Rgb} rgb
 */
export const luma = (rgb) => toYuv(rgb, BT709_FULL)[0];

/**
 * The largest difference in any channel: what a tolerance is compared with.
 * @param {Rgb} a
 * @param {Rgb} b
 */
export const distance = (a, b) => Math.max(...a.map((value, index) => Math.abs(value - b[index])));
