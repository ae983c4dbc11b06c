// SPDX-License-Identifier: MPL-2.0

/**
 * Chirps, and how late each one is heard. Pure; runs in a page and in node.
 *
 * They come in four kinds, one after the other, so that none is taken for another that is late by more than a pause.
 */

/** Hz. */
export const RATE = 48_000;
/** s that a chirp lasts; Hz from which and to which it rises: within what Opus keeps at any bitrate; its volume. */
const [LENGTH, FROM, TO, LOUDNESS] = [0.02, 700, 4500, 0.5];
/** How each kind gets through its frequencies, 0 to 1: up, down, there and back, back and there. @type {((t: number) => number)[]} */
const KINDS = [(t) => t, (t) => 1 - t, (t) => 1 - Math.abs(2 * t - 1), (t) => Math.abs(2 * t - 1)];
/** Samples between two chirps: irregular, so that nothing beats with them. */
export const PAUSES = [19_211, 23_117, 17_401, 26_303, 21_013, 18_119, 24_007].map((pause) => pause + 6000);
/** Latest that a chirp is looked for, in samples, 1.9 s: shorter than any four pauses, after which its kind comes again. */
const LATEST = 91_200;
/** Least likeness, 0 to 1, of what counts as heard. */
const LIKENESS = 0.5;

/** One chirp of each kind. */
export const chirps = () =>
  KINDS.map((kind) => {
    const samples = new Float32Array(LENGTH * RATE);
    let phase = 0;
    return samples.map((_, n) => {
      phase += (2 * Math.PI * (FROM + (TO - FROM) * kind(n / samples.length))) / RATE;
      return LOUDNESS * Math.sin((Math.PI * n) / samples.length) ** 2 * Math.sin(phase);
    });
  });

/**
 * How late the chirps are heard, in ms; those that are not are left out.
 * @param {number[]} spoken the sample of the clock at which each began, from the first one on
 * @param {Float32Array} heard
 * @param {number} begin the sample of the clock of `heard[0]`
 */
export function delays(spoken, heard, begin) {
  const kinds = chirps();
  // Up to each sample: most of what is heard is silence, where nothing need be compared.
  const energies = new Float64Array(heard.length + 1);
  heard.forEach((sample, n) => (energies[n + 1] = energies[n] + sample * sample));
  return spoken.flatMap((at, count) => {
    const sought = kinds[count % kinds.length];
    const energy = sought.reduce((sum, sample) => sum + sample * sample, 0);
    const first = at - begin;
    if (first < 0 || first + LATEST + sought.length > heard.length) return [];
    let [best, where] = [0, 0];
    for (let shift = 0; shift < LATEST; shift++) {
      const own = energies[first + shift + sought.length] - energies[first + shift];
      if (own <= energy / 1000) continue;
      let product = 0;
      for (let n = 0; n < sought.length; n++) product += heard[first + shift + n] * sought[n];
      // Its sign is a codec's own affair.
      const likeness = Math.abs(product) / Math.sqrt(own * energy);
      if (likeness > best) [best, where] = [likeness, shift];
    }
    return best > LIKENESS ? [(where * 1000) / RATE] : [];
  });
}
