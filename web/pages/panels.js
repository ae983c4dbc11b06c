// SPDX-License-Identifier: MPL-2.0

/** @file The parts of a test page that are not its form: the stage, the controls of the effects, the events. */

import { element } from "./dom.js";

/** Where the others are seen. */
export function stagePanel() {
  return element("section", { class: "card flush" }, element("div", { id: "stage" }), element("p", { id: "figures", class: "hint" }, "Figures of the call appear here once a second."));
}

/**
 * Where effects are moved.
 * @param {boolean} others whether there are others, whose effects can be moved too
 */
export function controlPanel(others) {
  const control = element(
    "form",
    { id: "control", class: "triple" },
    element("label", {}, "Effect", element("input", { name: "name", type: "text", value: "voice", required: true })),
    element("label", {}, "Property", element("input", { name: "property", type: "text", value: "pitch", required: true })),
    element("label", {}, "Value", element("input", { name: "value", type: "text", value: "1.0", required: true })),
    element("button", { type: "submit", class: "quiet" }, "Set"),
  );
  return element(
    "section",
    { class: "card" },
    element("h2", {}, "Move the effects"),
    element(
      "div",
      { class: "controls" },
      element("div", { class: "pair" }, others ? element("label", {}, "Whose effect", element("select", { id: "target" })) : null, rampField()),
      element("div", { id: "knobs" }),
      element("details", {}, element("summary", {}, "Any property"), control),
    ),
  );
}

/** How long a number takes to its new value. */
export function rampField() {
  return element("label", {}, "Ramp, in ms", element("input", { id: "ramp", type: "number", min: 0, max: 5000, step: 10, value: 300 }));
}

/** What the player tells the page. */
export function eventPanel() {
  return element("section", { class: "card" }, element("h2", {}, "Events"), element("ol", { id: "events" }));
}

/**
 * Join, leave, and how things stand.
 * @param {string} join
 * @param {string} leave
 */
export function actions(join, leave) {
  return element(
    "div",
    { class: "actions" },
    element("button", { id: "start", type: "submit" }, join),
    element("button", { id: "stop", type: "button", class: "quiet" }, leave),
    element("span", { id: "state", role: "status" }),
  );
}
