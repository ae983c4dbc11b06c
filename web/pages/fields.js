// SPDX-License-Identifier: MPL-2.0

/** @file The form of the test pages: every peer option once, as data; a page names the groups that it shows. */

import { element } from "./dom.js";

const IDENTIFIER = { type: "text", pattern: "[A-Za-z0-9_\\-]{1,50}", title: "1 to 50 letters, digits, - and _", autocomplete: "off", spellcheck: "false" };
const EFFECT = { type: "text", autocomplete: "off", spellcheck: "false" };
const NUMBER = { type: "number", min: 1, "data-number": true };

/**
 * @typedef {object} Field
 * @property {string} name
 * @property {string} label
 * @property {Record<string, string | number | boolean>} [input] attributes of an `<input>`
 * @property {string[]} [choices] of a `<select>`; the first is the server's default
 * @property {boolean} [number] whether the choices are numbers
 * @property {string} [check] a checkbox, with these words
 * @property {boolean} [wide] whether it takes a whole line
 */

/** @type {Record<string, { legend: string, fields: Field[] }>} */
const GROUPS = {
  who: {
    legend: "Who",
    fields: [
      { name: "interactionName", label: "Interaction", input: { ...IDENTIFIER, required: true } },
      { name: "userId", label: "User", input: { ...IDENTIFIER, required: true } },
      { name: "size", label: "Participants", input: { ...NUMBER, max: 8, placeholder: "2" } },
      { name: "duration", label: "Duration, in s", input: { ...NUMBER, max: 1200, placeholder: "30" } },
    ],
  },
  effects: {
    legend: "Effects",
    fields: [
      { name: "audioFx", label: "Voice", input: { ...EFFECT, placeholder: "element property=value name=voice" }, wide: true },
      { name: "videoFx", label: "Face", input: { ...EFFECT, placeholder: "element property=value name=face" }, wide: true },
    ],
  },
  picture: {
    legend: "Picture",
    fields: [
      { name: "width", label: "Width", input: { ...NUMBER, max: 1920, placeholder: "800" } },
      { name: "height", label: "Height", input: { ...NUMBER, max: 1080, placeholder: "600" } },
      { name: "framerate", label: "Frames a second", input: { ...NUMBER, max: 60, placeholder: "25" } },
      { name: "videoFormat", label: "Format", choices: ["H264", "VP8"] },
      { name: "audioOnly", label: "", check: "sound only" },
      { name: "overlay", label: "", check: "clock on it" },
    ],
  },
  more: {
    legend: "More",
    fields: [
      { name: "recordingMode", label: "Recording mode", choices: ["forced", "free", "reenc", "split", "none", "passthrough", "rtpbin_only", "direct", "bypass"] },
      { name: "namespace", label: "Namespace", input: { ...IDENTIFIER, placeholder: "default" } },
      { name: "logLevel", label: "Log level", choices: ["1", "0", "2"], number: true },
      { name: "gpu", label: "", check: "GPU" },
      { name: "echoCancellation", label: "", check: "echo cancellation (without headphones)", wide: true },
      { name: "mount", label: "", check: "render by mountEl, not by callback", wide: true },
      { name: "auto", label: "", check: "join when the page opens", wide: true },
    ],
  },
};

/**
 * Fills a form with groups of fields, without those that the page has no use for. `more` is folded.
 * @param {HTMLFormElement} form
 * @param {string[]} groups
 * @param {string[]} [without] names of fields
 */
export function fillForm(form, groups, without = []) {
  for (const name of [...groups].reverse()) {
    const { legend, fields } = GROUPS[name];
    const shown = fields.filter((field) => !without.includes(field.name)).map(showField);
    const folded = name === "more";
    const set = element("fieldset", { class: "pair" }, folded ? null : element("legend", {}, legend), ...shown);
    form.prepend(folded ? element("details", {}, element("summary", {}, legend), set) : set);
  }
}

/** @param {Field} field */
function showField({ name, label, input, choices, number, check, wide }) {
  const place = wide ? "wide" : null;
  if (check) return element("label", { class: wide ? "check wide" : "check" }, element("input", { name, type: "checkbox" }), check);
  if (choices) {
    const options = choices.map((choice, index) => element("option", { value: index === 0 ? "" : choice }, index === 0 ? `${choice} (default)` : choice));
    return element("label", { class: place }, label, element("select", { name, "data-number": number }, ...options));
  }
  return element("label", { class: place }, label, element("input", { name, ...input }));
}
