// SPDX-License-Identifier: MPL-2.0

/** @file Elements in few words. */

/**
 * An element with attributes and content. An attribute that is `false`, `null` or `undefined` is left out,
 * `true` is there without a value; texts become text, never markup.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} name
 * @param {Record<string, string | number | boolean | null | undefined>} [attributes]
 * @param {(Node | string | number | null | undefined)[]} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    made.setAttribute(key, value === true ? "" : String(value));
  }
  made.append(...children.filter((child) => child !== null && child !== undefined).map((child) => (child instanceof Node ? child : String(child))));
  return made;
}

/**
 * The page's element, which must be there.
 * @template {HTMLElement} [T=HTMLElement]
 * @param {string} selector
 * @param {ParentNode} [place]
 * @returns {T}
 */
export function find(selector, place = document) {
  const found = place.querySelector(selector);
  if (!(found instanceof HTMLElement)) throw new Error(`the page has no ${selector}`);
  return /** @type {T} */ (found);
}

/**
 * Says how things stand: in `#state`, and as the colour of its dot.
 * @param {string} state
 * @param {string} words
 */
export function show(state, words) {
  document.body.dataset.state = state;
  find("#state").textContent = words;
}
