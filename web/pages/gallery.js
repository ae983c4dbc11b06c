// SPDX-License-Identifier: MPL-2.0

/**
 * @file The effects that the pages offer, from the server's `/config/play.json`: what they are called, which
 * knobs they have, and how they are written. Pure, but for {@link loadGallery}.
 */

/**
 * @typedef {{ property: string, label: string, min: number, max: number, step: number, value: number, scale?: number, unit?: string }} Range
 * @typedef {{ property: string, label: string, choices: string[], value: string }} Choice
 * @typedef {{ property: string, label: string, switch: true, value: boolean }} Switch
 * @typedef {Range | Choice | Switch} Knob
 * @typedef {{ element: string, title: string, about: string, given?: string, knobs: Knob[] }} Entry
 * @typedef {{ audio: Entry[], video: Entry[] }} Gallery
 * @typedef {number | string | boolean} Value
 */

/**
 * The server's gallery.
 * @returns {Promise<Gallery>}
 */
export async function loadGallery() {
  // Assets lie two folders below the server's root, prefix or not.
  const answer = await fetch(new URL("../../config/play.json", import.meta.url));
  if (!answer.ok) throw new Error(`the gallery cannot be had (${answer.status})`);
  return answer.json();
}

/**
 * An effect as a text for `audioFx` or `videoFx`.
 * @param {Entry} entry
 * @param {string} name by which controls call it
 * @param {Record<string, Value>} [values] knobs that are not where they begin
 */
export function write({ element, given, knobs }, name, values = {}) {
  const settings = knobs.map(({ property, value }) => `${property}=${values[property] ?? value}`);
  return [element, `name=${name}`, ...(given ? [given] : []), ...settings].join(" ");
}

/**
 * What can be turned of an effect text: the known knobs of each of its named elements, at the values that the
 * text gives.
 * @param {Gallery} gallery
 * @param {string} fx for instance `pitch pitch=0.8 name=fx`, or a `!` chain
 * @returns {{ effect: string, title: string, knob: Knob }[]}
 */
export function knobs(gallery, fx) {
  const entries = [...gallery.audio, ...gallery.video];
  return fx.split("!").flatMap((text) => {
    const [element = "", ...pairs] = text.trim().split(/\s+/);
    const given = new Map(pairs.map((pair) => /** @type {[string, string]} */ (pair.split("=", 2))));
    const effect = given.get("name");
    const entry = entries.find((one) => one.element === element);
    if (!effect || !entry) return [];
    return entry.knobs.map((knob) => ({ effect, title: entry.title, knob: /** @type {Knob} */ ({ ...knob, value: read(knob, given.get(knob.property)) }) }));
  });
}

/**
 * A knob's value from a text; its own when the text gives none.
 * @param {Knob} knob
 * @param {string | undefined} text
 * @returns {Value}
 */
function read(knob, text) {
  if (text === undefined) return knob.value;
  if ("choices" in knob) return text;
  if ("switch" in knob) return text === "true" || text === "1";
  return Number.isNaN(Number(text)) ? knob.value : Number(text);
}

/**
 * A number as a knob shows it.
 * @param {Range} knob
 * @param {number} value
 */
export function label({ step, scale = 1, unit }, value) {
  const digits = Math.max(0, Math.ceil(-Math.log10(step / scale) - 1e-9));
  return `${(value / scale).toFixed(Math.min(digits, 3))}${unit ? ` ${unit}` : ""}`;
}
