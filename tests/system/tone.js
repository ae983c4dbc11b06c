// SPDX-License-Identifier: MPL-2.0

/** The loudest tone in samples, by our own FFT. Runs in a page and in node. */

/** @typedef {{frequency: number, level: number}} Tone Hz, and root mean square from 0 to 1 */

/** Below this level nothing is heard: 40 dB under the quietest tone of the tests. */
export const SILENCE = 0.002;

/**
 * In-place radix-2 FFT.
 * @param {Float64Array} real length a power of two
 * @param {Float64Array} imaginary
 */
function fft(real, imaginary) {
  const size = real.length;
  for (let index = 1, reversed = 0; index < size; index++) {
    let bit = size >> 1;
    for (; reversed & bit; bit >>= 1) reversed ^= bit;
    reversed ^= bit;
    if (index < reversed) {
      [real[index], real[reversed]] = [real[reversed], real[index]];
      [imaginary[index], imaginary[reversed]] = [imaginary[reversed], imaginary[index]];
    }
  }
  for (let length = 2; length <= size; length *= 2) {
    const angle = (-2 * Math.PI) / length;
    for (let offset = 0; offset < length / 2; offset++) {
      const [cos, sin] = [Math.cos(angle * offset), Math.sin(angle * offset)];
      for (let start = offset; start < size; start += length) {
        const other = start + length / 2;
        const re = real[other] * cos - imaginary[other] * sin;
        const im = real[other] * sin + imaginary[other] * cos;
        real[other] = real[start] - re;
        imaginary[other] = imaginary[start] - im;
        real[start] += re;
        imaginary[start] += im;
      }
    }
  }
}

/**
 * Root mean square.
 * @param {Float32Array} samples
 */
export const levelOf = (samples) =>
  Math.sqrt(samples.reduce((sum, sample) => sum + sample * sample, 0) / Math.max(1, samples.length));

/**
 * The loudest tone between 100 Hz and 8 kHz, by the peak of the spectrum under a Hann window and a
 * parabola through its logarithm (good to about a tenth of a bin).
 * @param {Float32Array} samples at least 1024; as many as a power of two holds are used
 * @param {number} rate samples a second
 * @returns {Tone}
 */
export function loudest(samples, rate) {
  const size = 2 ** Math.floor(Math.log2(samples.length));
  const real = Float64Array.from(
    samples.subarray(0, size),
    (sample, index) => sample * (0.5 - 0.5 * Math.cos((2 * Math.PI * index) / size)),
  );
  const imaginary = new Float64Array(size);
  fft(real, imaginary);
  const power = (/** @type {number} */ bin) => real[bin] ** 2 + imaginary[bin] ** 2;
  let peak = Math.ceil((100 * size) / rate);
  for (let bin = peak; bin < Math.min(size / 2 - 1, (8000 * size) / rate); bin++) {
    if (power(bin) > power(peak)) peak = bin;
  }
  const [before, at, after] = [peak - 1, peak, peak + 1].map((bin) => Math.log(power(bin) + 1e-12));
  const curve = before - 2 * at + after;
  const shift = curve === 0 ? 0 : (before - after) / (2 * curve);
  return { frequency: ((peak + shift) * rate) / size, level: levelOf(samples.subarray(0, size)) };
}
