// SPDX-License-Identifier: MPL-2.0

import assert from "node:assert/strict";
import { test } from "node:test";
import { AUDIO, VIDEO, controls } from "../pages/effects.js";
import { signalingUrl } from "../pages/form.js";

test("a named element's sliders start at what the effect's text says, or at the element's default", () => {
  assert.deepEqual(controls("pitch pitch=0.8 name=fx"), [{ property: "pitch", min: 0.5, max: 2, step: 0.01, value: 0.8, effect: "fx", element: "pitch" }]);
  assert.deepEqual(controls("videobalance saturation=0 name=a ! coloreffects preset=xpro name=b").map(({ effect, property, value }) => [effect, property, value]), [
    ["a", "saturation", 0], ["a", "brightness", 0], ["a", "contrast", 1], ["a", "hue", 0], ["b", "preset", "xpro"],
  ]);
});

test("an element without a name, or unknown, has no sliders", () => {
  for (const fx of ["", "pitch pitch=0.8", "mozza alpha=1 name=fx", "!"]) assert.deepEqual(controls(fx), []);
});

test("every example but none can be moved", () => {
  for (const { title, fx } of [...AUDIO, ...VIDEO]) assert.equal(controls(fx).length > 0, title !== "none", title);
});

test("the socket lies two folders above a test page, whatever the prefix", () => {
  assert.equal(signalingUrl("http://localhost:8100/test/mirror/?auto=1#x"), "ws://localhost:8100/ws");
  assert.equal(signalingUrl("https://h.org/pre/fix/test/mirror/"), "wss://h.org/pre/fix/ws");
});
