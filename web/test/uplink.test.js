// SPDX-License-Identifier: MPL-2.0

import assert from "node:assert/strict";
import { test } from "node:test";
import { UNTRIED, allowing, available, judged } from "../lib/uplink.js";

const WANTED = 1_500_000;

/** When it is tried, if this is available at these seconds. @param {(second: number) => number | undefined} available */
function tries(available) {
  let uplink = UNTRIED;
  const at = [];
  for (let second = 0; second < 40; second++) {
    const found = judged(uplink, available(second), WANTED, 1000 * second);
    uplink = found.uplink;
    if (found.due) at.push([second, uplink.allowed]);
  }
  return at;
}

test("a way up is tried while it is too narrow, and each time more is allowed", () => {
  assert.deepEqual(tries(() => WANTED), []);
  assert.deepEqual(tries(() => undefined), [], "a browser that does not tell");
  assert.deepEqual(tries(() => 600_000), [[8, 2001], [16, 2002], [24, 2003], [32, 2004]]);
  assert.deepEqual(tries((second) => (second < 3 ? 300_000 : WANTED)), [], "it has just begun");
  assert.deepEqual(tries((second) => (second < 9 || second > 20 ? 600_000 : WANTED)), [[8, 2001], [29, 2002], [37, 2003]]);
});

test("what is available is that of the pair that media take", () => {
  const pair = { type: "candidate-pair", availableOutgoingBitrate: 7 };
  assert.equal(available([pair, { ...pair, nominated: true, availableOutgoingBitrate: 8 }]), 8);
  assert.equal(available([{ ...pair, nominated: true, availableOutgoingBitrate: undefined }]), undefined);
});

test("pictures alone are allowed so much, once", () => {
  const sdp = (/** @type {string} */ limit) =>
    `v=0\r\nm=audio 9 X 111\r\nc=IN IP4 0.0.0.0\r\nm=video 9 X 96\r\nc=IN IP4 0.0.0.0\r\n${limit}a=mid:1\r\nm=video 9 X 96\r\n${limit}a=mid:2\r\n`;
  const read = allowing(sdp(""), 2001);
  assert.equal(read, sdp("b=AS:2001\r\n"));
  assert.equal(allowing(read, 2002), sdp("b=AS:2002\r\n"));
  assert.equal(allowing(sdp(""), undefined), sdp(""));
});
