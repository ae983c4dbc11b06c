// SPDX-License-Identifier: MPL-2.0

/** The course of a value over time. */

/** @typedef {{time: number, value: number}} Point */

/**
 * When a value on its way from one level to another has gone each part of the way.
 * @param {Point[]} points in the order of time
 * @param {number} from
 * @param {number} to
 * @param {number[]} parts 0 to 1
 * @returns {number[]} times, between points by a straight line
 * @throws when a part is never reached
 */
export function crossings(points, from, to, parts) {
  const course = points.map(({ time, value }) => ({ time, part: (value - from) / (to - from) }));
  return parts.map((part) => {
    const index = course.findIndex((point) => point.part >= part);
    if (index < 1) {
      const ends = [course[0], course.at(-1)].map((point) => `${point?.part.toFixed(2)} at ${point?.time}`);
      throw new Error(`${part} of the way is never reached: from ${ends.join(" to ")}`);
    }
    const [before, after] = [course[index - 1], course[index]];
    const share = (part - before.part) / (after.part - before.part);
    return before.time + share * (after.time - before.time);
  });
}

/**
 * How far a ramp is from the straight line it should be: the largest distance, in the unit of time,
 * of a quarter, a half and three quarters of the way from where a ramp of this length has them.
 * @param {Point[]} points
 * @param {number} from
 * @param {number} to
 * @param {number} length in the unit of time
 * @returns {{middle: number, error: number}} when half the way is gone, and the distance
 */
export function straightness(points, from, to, length) {
  const [quarter, half, threeQuarters] = crossings(points, from, to, [0.25, 0.5, 0.75]);
  // The line's place in time is unknown; the mean of the three gives it.
  const middle = (quarter + half + threeQuarters) / 3;
  const error = Math.max(
    Math.abs(quarter - (middle - length / 4)),
    Math.abs(half - middle),
    Math.abs(threeQuarters - (middle + length / 4)),
  );
  return { middle, error };
}
