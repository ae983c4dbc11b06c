// SPDX-License-Identifier: MPL-2.0

import assert from "node:assert/strict";
import { test } from "node:test";
import { begun, felt, reached, received, verdict } from "../lib/pulse.js";

test("only pairs of candidates count, media and answers alike", () => {
  const pair = { type: "candidate-pair", bytesReceived: 1000, responsesReceived: 3 };
  assert.equal(received([pair, { type: "inbound-rtp", bytesReceived: 900 }, { type: "candidate-pair" }, pair]), 2006);
  assert.equal(received([]), 0);
});

test("what is silent is broken only when the server is there by another way, and a moment later", () => {
  /** What happens at which ms: how much came in all, or that the server was reached; what is thought of it then. */
  const plans = {
    "all is well": [[1000, 10, "alive"], [2000, 20, "alive"], [9000, 30, "alive"]],
    "a pause": [[1000, 10, "alive"], [3500, 10, "alive"], [3600, 10, "doubtful"], [4000, 11, "alive"], [6500, 11, "alive"]],
    "no network": [[1000, 10, "alive"], [4000, 10, "doubtful"], [60_000, 10, "doubtful"]],
    "another address": [[1000, 10, "alive"], [4000, 10, "doubtful"], [4100, "reached", "doubtful"], [7000, 10, "doubtful"], [7100, 10, "broken"]],
    "reached again and again": [[1000, 10, "alive"], [4000, "reached", "doubtful"], [6900, "reached", "doubtful"], [7000, 10, "broken"]],
    "healed after all": [[1000, 10, "alive"], [4000, "reached", "doubtful"], [6900, 11, "alive"], [9900, 11, "doubtful"], [20_000, 11, "doubtful"]],
    "a browser that counts nothing": [[1000, 0, "alive"], [60_000, 0, "alive"]],
  };
  for (const [name, plan] of Object.entries(plans)) {
    let pulse = begun(0);
    for (const [at, what, thought] of /** @type {[number, number | "reached", string][]} */ (plan)) {
      pulse = what === "reached" ? reached(pulse, at) : felt(pulse, what, at);
      assert.equal(verdict(pulse, at), thought, `${name}, ${at} ms`);
    }
  }
});
