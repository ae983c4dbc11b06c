// SPDX-License-Identifier: MPL-2.0

import { element } from "./dom.js";
import { label } from "./gallery.js";

/** @typedef {import("./gallery.js").Knob} Knob */

/**
 * A knob to turn: a slider, a choice or a switch.
 * @param {Knob} knob
 * @param {string} title
 * @param {(value: import("./gallery.js").Value) => void} turned
 * @returns {HTMLLabelElement}
 */
export function showKnob(knob, title, turned) {
  if ("choices" in knob) {
    const select = element("select", {}, ...knob.choices.map((one) => element("option", { selected: one === knob.value }, one)));
    select.addEventListener("change", () => turned(select.value));
    return row(knob, title, select);
  }
  if ("switch" in knob) {
    const box = element("input", { type: "checkbox", role: "switch", checked: knob.value });
    box.addEventListener("change", () => turned(box.checked));
    return row(knob, title, box);
  }
  const { min, max, step, value } = knob;
  const slider = element("input", { type: "range", min, max, step, value });
  const output = element("output", {}, label(knob, value));
  slider.addEventListener("input", () => {
    output.value = label(knob, slider.valueAsNumber);
    slider.setAttribute("aria-valuetext", output.value);
    turned(slider.valueAsNumber);
  });
  return row(knob, title, slider, output);
}

/**
 * @param {Knob} knob
 * @param {string} title
 * @param {HTMLElement} control
 * @param {HTMLElement[]} more
 */
function row(knob, title, control, ...more) {
  control.dataset.property = knob.property;
  return element("label", { class: "knob", title: knob.property }, element("span", {}, title), control, ...more);
}

/**
 * Turns a knob of a running call.
 * @param {import("../ducksoup.js").Player | undefined} player
 * @param {string} effect
 * @param {string} property
 * @param {import("./gallery.js").Value} value
 * @param {number} ramp ms
 * @param {string} [userId] whose effect; one's own by default
 */
export function turn(player, effect, property, value, ramp, userId) {
  if (typeof value === "number") player?.controlFx(effect, property, value, ramp, userId);
  else player?.polyControlFx(effect, property, "string", String(value), userId);
}
