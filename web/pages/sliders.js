// SPDX-License-Identifier: MPL-2.0

import { controls } from "./effects.js";

/**
 * Shows a slider or a choice for all that can be moved of the effects.
 * @param {HTMLElement} place
 * @param {string[]} effects effect texts
 * @param {object} moved what a change does
 * @param {(effect: string, property: string, value: number) => void} moved.number
 * @param {(effect: string, property: string, value: string) => void} moved.choice
 */
export function showSliders(place, effects, moved) {
  const all = effects.flatMap(controls);
  place.replaceChildren(...all.map((control) => ("choices" in control ? choice(control, moved.choice) : slider(control, moved.number))));
  if (all.length > 0) return;
  const hint = document.createElement("p");
  hint.className = "hint";
  hint.textContent = "Choose an effect to see its sliders.";
  place.append(hint);
}

/**
 * @param {import("./effects.js").Range & { effect: string, element: string }} control
 * @param {(effect: string, property: string, value: number) => void} moved
 */
function slider({ effect, element, property, min, max, step, value }, moved) {
  const input = document.createElement("input");
  Object.assign(input, { type: "range", min: String(min), max: String(max), step: String(step), value: String(value) });
  input.dataset.effect = effect;
  input.dataset.property = property;
  const output = document.createElement("output");
  const show = () => (output.value = String(Number(input.value)));
  input.addEventListener("input", () => {
    show();
    moved(effect, property, input.valueAsNumber);
  });
  show();
  return row(element, property, input, output);
}

/**
 * @param {import("./effects.js").Choice & { effect: string, element: string }} control
 * @param {(effect: string, property: string, value: string) => void} moved
 */
function choice({ effect, element, property, choices, value }, moved) {
  const select = document.createElement("select");
  select.append(...choices.map((one) => new Option(one, one, false, one === value)));
  select.dataset.effect = effect;
  select.dataset.property = property;
  select.addEventListener("change", () => moved(effect, property, select.value));
  return row(element, property, select, document.createElement("output"));
}

/**
 * @param {string} element
 * @param {string} property
 * @param {HTMLElement[]} parts
 */
function row(element, property, ...parts) {
  const label = document.createElement("label");
  label.className = "slider";
  const title = document.createElement("span");
  title.textContent = property === element ? property : `${element} ${property}`;
  label.append(title, ...parts);
  return label;
}
