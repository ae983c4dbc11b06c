// SPDX-License-Identifier: MPL-2.0

/**
 * @file Effects to try, and the sliders that belong to known elements; pure. Ranges are the
 * useful part of what `gst-inspect-1.0` says.
 */

/**
 * @typedef {{ title: string, fx: string }} Effect
 * @typedef {{ property: string, min: number, max: number, step: number, value: number }} Range
 * @typedef {{ property: string, choices: string[], value: string }} Choice
 * @typedef {(Range | Choice) & { effect: string, element: string }} Control
 */

/** @type {Effect[]} */
export const AUDIO = [
  { title: "none", fx: "" },
  { title: "lower voice", fx: "pitch pitch=0.8 name=voice" },
  { title: "higher voice", fx: "pitch pitch=1.25 name=voice" },
  { title: "echo", fx: "audioecho delay=250000000 max-delay=1000000000 intensity=0.5 feedback=0.3 name=voice" },
  { title: "volume", fx: "volume volume=1.0 name=voice" },
  { title: "timbre", fx: "equalizer-3bands band0=-6 band1=0 band2=6 name=voice" },
  { title: "large room", fx: "freeverb room-size=0.8 level=0.4 name=voice" },
];

/** @type {Effect[]} */
export const VIDEO = [
  { title: "none", fx: "" },
  { title: "cross processing", fx: "coloreffects preset=xpro name=face" },
  { title: "colour and light", fx: "videobalance saturation=0 name=face" },
  { title: "vertigo", fx: "vertigotv name=face" },
  { title: "bulge", fx: "bulge zoom=1.4 radius=0.4 name=face" },
  { title: "blur", fx: "gaussianblur sigma=3 name=face" },
  { title: "gamma", fx: "gamma gamma=1.4 name=face" },
  { title: "old film", fx: "agingtv name=face" },
];

/** @type {Record<string, (Range | Choice)[]>} */
const CONTROLS = {
  pitch: [range("pitch", 0.5, 2, 0.01, 1)],
  audioecho: [range("intensity", 0, 1, 0.01, 0), range("feedback", 0, 0.9, 0.01, 0)],
  volume: [range("volume", 0, 4, 0.05, 1)],
  "equalizer-3bands": [range("band0", -24, 12, 0.5, 0), range("band1", -24, 12, 0.5, 0), range("band2", -24, 12, 0.5, 0)],
  freeverb: [range("room-size", 0, 1, 0.01, 0.5), range("level", 0, 1, 0.01, 0.5)],
  coloreffects: [{ property: "preset", choices: ["none", "heat", "sepia", "xray", "xpro", "yellowblue"], value: "none" }],
  videobalance: [range("saturation", 0, 2, 0.01, 1), range("brightness", -1, 1, 0.01, 0), range("contrast", 0, 2, 0.01, 1), range("hue", -1, 1, 0.01, 0)],
  vertigotv: [range("speed", 0.01, 1, 0.01, 0.02), range("zoom-speed", 1.01, 1.1, 0.005, 1.01)],
  bulge: [range("zoom", 1, 4, 0.01, 3), range("radius", 0, 1, 0.01, 0.35)],
  gaussianblur: [range("sigma", -10, 20, 0.1, 1.2)],
  gamma: [range("gamma", 0.1, 4, 0.01, 1)],
  agingtv: [range("scratch-lines", 0, 20, 1, 7)],
};

/**
 * @param {string} property
 * @param {number} min
 * @param {number} max
 * @param {number} step
 * @param {number} value
 * @returns {Range}
 */
function range(property, min, max, step, value) {
  return { property, min, max, step, value };
}

/**
 * What can be moved of an effect: the known controls of each of its named elements, at the values
 * that its text gives.
 * @param {string} fx for instance `pitch pitch=0.8 name=fx`, or a `!` chain
 * @returns {Control[]}
 */
export function controls(fx) {
  return fx.split("!").flatMap((text) => {
    const [element = "", ...pairs] = text.trim().split(/\s+/);
    const given = new Map(pairs.map((pair) => /** @type {[string, string]} */ (pair.split("=", 2))));
    const effect = given.get("name");
    if (!effect) return [];
    return (CONTROLS[element] ?? []).map((control) => {
      const text = given.get(control.property);
      if ("choices" in control) return { ...control, effect, element, value: text ?? control.value };
      const number = Number(text ?? NaN);
      return { ...control, effect, element, value: Number.isNaN(number) ? control.value : number };
    });
  });
}
