// SPDX-License-Identifier: MPL-2.0

/** Chirps, and how late each one is heard. Pure; runs in a page and in node. */

/** Hz. */
export const RATE = 48_000;
/** s that a chirp lasts; Hz from which and to which it rises: within what Opus keeps at any bitrate; its volume. */
const [LENGTH, FROM, TO, LOUDNESS] = [0.02, 700, 4500, 0.5];
/** Samples between two chirps: irregular, so that none is taken for another, and longer than any sound is late. */
export const PAUSES = [19_211, 23_117, 17_401, 26_303, 21_013, 18_119, 24_007].map((pause) => pause + 6000);
/** Latest that a chirp is looked for, in samples: shorter than the shortest pause. */
const LATEST = 22_000;
/** Least likeness, 0 to 1, of what counts as heard. */
const LIKENESS = 0.5;

/** One chirp. */
export function chirp() {
  const samples = new Float32Array(LENGTH * RATE);
  samples.forEach((_, n) => {
    const t = n / RATE;
    const phase = 2 * Math.PI * (FROM * t + ((TO - FROM) * t * t) / (2 * LENGTH));
    samples[n] = LOUDNESS * Math.sin((Math.PI * n) / samples.length) ** 2 * Math.sin(phase);
  });
  return samples;
}

/**
 * How late the chirps are heard, in ms; those that are not are left out.
 * @param {number[]} spoken the sample of the clock at which each began
 * @param {Float32Array} heard
 * @param {number} begin the sample of the clock of `heard[0]`
 */
export function delays(spoken, heard, begin) {
  const sought = chirp();
  const energy = sought.reduce((sum, sample) => sum + sample * sample, 0);
  return spoken.flatMap((at) => {
    const first = at - begin;
    if (first < 0 || first + LATEST + sought.length > heard.length) return [];
    let [best, where] = [0, 0];
    for (let shift = 0; shift < LATEST; shift++) {
      let [product, own] = [0, 0];
      for (let n = 0; n < sought.length; n++) {
        const sample = heard[first + shift + n];
        product += sample * sought[n];
        own += sample * sample;
      }
      // Its sign is a codec's own affair.
      const likeness = own > energy / 1000 ? Math.abs(product) / Math.sqrt(own * energy) : 0;
      if (likeness > best) [best, where] = [likeness, shift];
    }
    return best > LIKENESS ? [(where * 1000) / RATE] : [];
  });
}
