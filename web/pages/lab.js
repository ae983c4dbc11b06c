// SPDX-License-Identifier: MPL-2.0

/** @file What the pages mirror and interaction share: settings → call → events, knobs, figures. */

import { element, find } from "./dom.js";
import { fillForm } from "./fields.js";
import { checked, offerEffects, peerOptions, prefill } from "./form.js";
import { knobs, loadGallery } from "./gallery.js";
import { showKnob, turn } from "./knobs.js";
import { Meeting } from "./meeting.js";
import { actions, controlPanel, eventPanel, stagePanel } from "./panels.js";

/**
 * @param {object} settings
 * @param {(gallery: import("./gallery.js").Gallery) => Record<string, string>} settings.defaults values of fields that
 *   the page's address does not give
 * @param {Record<string, unknown>} [settings.fixed] peer options that have no field
 * @param {string[]} [settings.without] fields that the page has no use for
 * @param {(form: HTMLFormElement) => boolean} settings.mounts whether `mountEl` renders, not `callback`
 * @param {boolean} [settings.others] whether there are others
 */
export async function openLab({ defaults, fixed = {}, without, mounts, others = false }) {
  const form = /** @type {HTMLFormElement} */ (find("#settings"));
  fillForm(form, ["who", "effects", "picture", "more"], without);
  form.append(actions("Join", "Leave"));
  find(".column").append(stagePanel(), controlPanel(others), eventPanel());

  const target = /** @type {HTMLSelectElement | null} */ (document.querySelector("#target"));
  const meeting = new Meeting((users) => {
    if (!target) return;
    const chosen = target.value;
    target.replaceChildren(new Option("myself", ""), ...users.map((user) => new Option(user, user)));
    target.value = users.includes(chosen) ? chosen : "";
  });
  target?.append(new Option("myself", ""));
  const gallery = await loadGallery();
  prefill(form, new URLSearchParams({ ...defaults(gallery), ...Object.fromEntries(new URLSearchParams(location.search)) }));

  /** @param {string} effect @param {string} property @param {import("./gallery.js").Value} value */
  const move = (effect, property, value) => turn(meeting.player, effect, property, value, /** @type {HTMLInputElement} */ (find("#ramp")).valueAsNumber || 0, target?.value || undefined);
  offerEffects(form, gallery, () => {
    const texts = ["audioFx", "videoFx"].map((name) => /** @type {HTMLInputElement | null} */ (form.elements.namedItem(name))?.value ?? "");
    /** @type {Map<string, HTMLElement>} */
    const groups = new Map();
    for (const { effect, title, knob } of texts.flatMap((text) => knobs(gallery, text))) {
      const group = groups.get(effect) ?? element("div", { class: "moved", role: "group", "aria-label": title }, element("h3", {}, title));
      group.append(showKnob(knob, knob.label, (value) => move(effect, knob.property, value)));
      groups.set(effect, group);
    }
    find("#knobs").replaceChildren(...(groups.size > 0 ? groups.values() : [element("p", { class: "hint" }, "Choose an effect to see its knobs.")]));
  });

  const control = /** @type {HTMLFormElement} */ (find("#control"));
  control.addEventListener("submit", (event) => {
    event.preventDefault();
    const [name, property, value] = ["name", "property", "value"].map((field) => /** @type {HTMLInputElement} */ (control.elements.namedItem(field)).value.trim());
    move(name, property, value !== "" && Number.isFinite(Number(value)) ? Number(value) : value);
  });
  const join = () => meeting.join(() => ({ ...peerOptions(form), ...fixed }), mounts(form));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    join();
  });
  find("#stop").addEventListener("click", () => meeting.leave());
  if (checked(form, "auto")) join();
}
