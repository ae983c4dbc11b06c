// SPDX-License-Identifier: MPL-2.0

/**
 * @file What a test page's form says: each named field is a peer option of the same name, but for those that the
 * page reads itself. URL parameters of the same names fill the fields.
 */

import { element } from "./dom.js";
import { write } from "./gallery.js";

/** Fields that are no peer options. */
const OWN = ["auto", "mount", "echoCancellation"];

/**
 * The server's WebSocket, seen from a page two folders below the server's root, prefix or not.
 * @param {string} href the page's address
 */
export function signalingUrl(href) {
  const url = new URL("../../ws", href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  url.search = url.hash = "";
  return url.href;
}

/**
 * Fills fields from the page's address.
 * @param {HTMLFormElement} form
 * @param {URLSearchParams} parameters
 */
export function prefill(form, parameters) {
  for (const field of fields(form)) {
    const text = parameters.get(field.name);
    if (text === null) continue;
    if (field.type === "checkbox") /** @type {HTMLInputElement} */ (field).checked = text !== "" && text !== "0" && text !== "false";
    else field.value = text;
  }
}

/**
 * The form as peer options; what is left empty is left to the server.
 * @param {HTMLFormElement} form
 * @returns {any}
 */
export function peerOptions(form) {
  /** @type {Record<string, unknown>} */
  const options = { signalingUrl: signalingUrl(location.href) };
  for (const field of fields(form)) {
    if (!field.name || OWN.includes(field.name)) continue;
    if (field.type === "checkbox") options[field.name] = /** @type {HTMLInputElement} */ (field).checked;
    else if (field.value !== "") options[field.name] = field.dataset.number !== undefined ? Number(field.value) : field.value;
  }
  if (checked(form, "echoCancellation")) options.audio = { echoCancellation: true };
  return options;
}

/**
 * @param {HTMLFormElement} form
 * @param {string} name
 */
export function checked(form, name) {
  const field = form.elements.namedItem(name);
  return field instanceof HTMLInputElement && field.checked;
}

/**
 * Puts a choice of the gallery's effects before each effect field.
 * @param {HTMLFormElement} form
 * @param {import("./gallery.js").Gallery} gallery
 * @param {() => void} changed
 */
export function offerEffects(form, gallery, changed) {
  const slots = /** @type {const} */ ([["audioFx", gallery.audio, "voice"], ["videoFx", gallery.video, "face"]]);
  for (const [name, entries, effect] of slots) {
    const field = form.elements.namedItem(name);
    if (!(field instanceof HTMLInputElement)) continue;
    const examples = entries.map((entry) => ({ title: entry.title, fx: write(entry, effect) }));
    const select = element(
      "select",
      {},
      element("option", { value: "" }, "none"),
      ...examples.map(({ title, fx }) => element("option", { value: fx }, title)),
      element("option", { value: "custom" }, "as written"),
    );
    // The label names the choice, which comes first in it.
    field.setAttribute("aria-label", `Effect of the ${effect}, as text`);
    field.before(select);
    const follow = () => {
      const text = field.value.trim();
      select.value = text === "" || examples.some(({ fx }) => fx === text) ? text : "custom";
      changed();
    };
    select.addEventListener("change", () => {
      if (select.value !== "custom") field.value = select.value;
      follow();
    });
    field.addEventListener("input", follow);
    follow();
  }
}

/**
 * A name that nobody has: letters and digits.
 * @param {string} start
 */
export function freshName(start) {
  return `${start}-${Math.random().toString(36).slice(2, 6)}`;
}

/**
 * @param {HTMLFormElement} form
 * @returns {(HTMLInputElement | HTMLSelectElement)[]}
 */
function fields(form) {
  return [...form.elements].filter((field) => field instanceof HTMLInputElement || field instanceof HTMLSelectElement);
}
