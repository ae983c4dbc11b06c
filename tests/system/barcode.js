// SPDX-License-Identifier: MPL-2.0

/**
 * A frame number as black and white blocks, two rows of eleven, that survives H.264 and VP8 at
 * 160×120 and low bitrates: each block is about a macroblock wide there and only its middle is
 * read. Runs in a page and in node.
 *
 * Row 1: white guard, number bits 11…3, black guard. Row 2: black guard, number bits 2…0, six check
 * bits, black guard. One white corner of four: which way a picture is turned cannot be mistaken.
 */

/** Blocks in a row. */
export const COLUMNS = 11;
/** Rows of blocks. */
export const ROWS = 2;
/** Numbers begin again at 0 after this many frames: four and a half minutes at 15 frames a second. */
export const NUMBERS = 4096;

/** @typedef {{x: number, y: number, width: number, height: number}} Area fractions of the picture */
/** @typedef {'upright' | 'mirrored' | 'upside-down' | 'turned'} Orientation */

/** @type {Area} Away from the corners and the lower edge, where overlays and scalers live. */
const STRIP = { x: 0.05, y: 0.64, width: 0.9, height: 0.28 };
/** @type {Area} Where the picture shows nothing but the participant's colour. */
const PLAIN = { x: 0.3, y: 0.15, width: 0.4, height: 0.35 };

/** @type {Orientation[]} */
const ORIENTATIONS = ["upright", "mirrored", "upside-down", "turned"];

/**
 * Six bits that few other numbers share; the multiplier is Knuth's (2^32 over the golden ratio).
 * @param {number} number
 */
const checkBits = (number) => Math.imul(number + 1, 2654435761) >>> 26;

/**
 * Whether each block is white, row by row.
 * @param {number} number
 * @returns {boolean[]}
 */
export function blocks(number) {
  const wrapped = ((number % NUMBERS) + NUMBERS) % NUMBERS;
  const word = (wrapped << 6) | checkBits(wrapped);
  const bits = Array.from({ length: 18 }, (_, index) => ((word >> (17 - index)) & 1) === 1);
  return [true, ...bits.slice(0, COLUMNS - 2), false, false, ...bits.slice(COLUMNS - 2), false];
}

/**
 * Where a block is.
 * @param {number} index as in {@link blocks}
 * @returns {Area}
 */
export function blockArea(index) {
  const width = STRIP.width / COLUMNS;
  const height = STRIP.height / ROWS;
  return {
    x: STRIP.x + (index % COLUMNS) * width,
    y: STRIP.y + Math.floor(index / COLUMNS) * height,
    width,
    height,
  };
}

/**
 * The middle half of an area.
 * @param {Area} area
 * @returns {Area}
 */
const middle = ({ x, y, width, height }) => ({
  x: x + width / 4,
  y: y + height / 4,
  width: width / 2,
  height: height / 2,
});

/**
 * Where an area is after an effect turned the picture.
 * @param {Area} area
 * @param {Orientation} orientation
 * @returns {Area}
 */
function turn(area, orientation) {
  const mirrored = orientation === "mirrored" || orientation === "turned";
  const upsideDown = orientation === "upside-down" || orientation === "turned";
  return {
    ...area,
    x: mirrored ? 1 - area.x - area.width : area.x,
    y: upsideDown ? 1 - area.y - area.height : area.y,
  };
}

/**
 * The plain area of a picture that is turned so.
 * @param {Orientation} orientation
 */
export const plainArea = (orientation) => turn(PLAIN, orientation);

/**
 * Reads the number, whichever way the picture is turned.
 * @param {(area: Area) => number} lumaOf mean brightness of an area, 0 to 255
 * @returns {{number: number, orientation: Orientation} | null} null when no bar code can be read
 */
export function read(lumaOf) {
  for (const orientation of ORIENTATIONS) {
    const lumas = Array.from({ length: COLUMNS * ROWS }, (_, index) =>
      lumaOf(turn(middle(blockArea(index)), orientation)),
    );
    const corners = [0, COLUMNS - 1, COLUMNS, 2 * COLUMNS - 1].map((index) => lumas[index]);
    const [white, black] = [corners[0], Math.max(...corners.slice(1))];
    // All guards are there, so their middle is the threshold whatever an effect did to contrast.
    if (white - black < 40) continue;
    const bits = lumas.map((luma) => luma > (white + black) / 2);
    const word = [...bits.slice(1, COLUMNS - 1), ...bits.slice(COLUMNS + 1, -1)].reduce(
      (sum, bit) => sum * 2 + (bit ? 1 : 0),
      0,
    );
    const number = word >> 6;
    if ((word & 63) === checkBits(number)) return { number, orientation };
  }
  return null;
}

/**
 * How many frames lie between two numbers, counting on over the wrap.
 * @param {number} from
 * @param {number} to
 */
export const advance = (from, to) => (((to - from) % NUMBERS) + NUMBERS) % NUMBERS;
