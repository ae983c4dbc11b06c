// SPDX-License-Identifier: MPL-2.0

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { ADVICE, brightness, fill, isNoisy, judgeCamera, judgeMicrophone, loudness, speech, together } from "../pages/checks/measure.js";
import { signalingUrl } from "../pages/form.js";
import { knobs, label, write } from "../pages/gallery.js";
import { MAX_LINKS, add, fx, raise, remove, set } from "../pages/play/chain.js";
import { History, bits, bytes, clock, share } from "../pages/stats/figures.js";

/** @type {import("../pages/gallery.js").Gallery} */
const gallery = JSON.parse(await readFile(new URL("../../ducksoup-app/config/play.json", import.meta.url), "utf8"));
const [pitch] = gallery.audio;
/** @param {string} name */
const named = (name) => /** @type {import("../pages/gallery.js").Entry} */ ([...gallery.audio, ...gallery.video].find(({ element }) => element === name));

test("an effect is written with its name, what is given once, and every knob", () => {
  assert.equal(write(pitch, "voice"), "pitch name=voice pitch=0.8");
  assert.equal(write(pitch, "v", { pitch: 1.25 }), "pitch name=v pitch=1.25");
  assert.equal(write(named("audioecho"), "v"), "audioecho name=v max-delay=1000000000 delay=250000000 intensity=0.5 feedback=0.3");
  assert.equal(write(named("volume"), "v", { mute: true }), "volume name=v volume=1 mute=true");
});

test("a named element's knobs start at what the effect's text says, or where the gallery says", () => {
  const values = (/** @type {string} */ text) => knobs(gallery, text).map(({ effect, knob }) => [effect, knob.property, knob.value]);
  assert.deepEqual(values("pitch pitch=1.1 name=fx"), [["fx", "pitch", 1.1]]);
  assert.deepEqual(values("pitch name=fx pitch=high"), [["fx", "pitch", 0.8]]);
  assert.deepEqual(values("coloreffects preset=xpro name=b ! volume mute=1 name=c"), [["b", "preset", "xpro"], ["c", "volume", 1], ["c", "mute", true]]);
  for (const text of ["", "pitch pitch=0.8", "mozza alpha=1 name=fx", "!"]) assert.deepEqual(values(text), []);
});

test("what is written is read back", () => {
  for (const entry of [...gallery.audio, ...gallery.video]) {
    const read = knobs(gallery, write(entry, "fx")).map(({ knob }) => [knob.property, knob.value]);
    assert.deepEqual(read, entry.knobs.map(({ property, value }) => [property, value]), entry.element);
  }
});

test("a number is shown in its unit, as finely as it can be set", () => {
  const range = { property: "p", label: "P", min: 0, max: 1, step: 0.01, value: 0 };
  assert.equal(label(range, 0.5), "0.50");
  assert.equal(label({ ...range, step: 0.5, unit: "dB" }, -6), "-6.0 dB");
  assert.equal(label({ ...range, step: 1 }, 7), "7");
  assert.equal(label({ ...range, step: 10_000_000, scale: 1_000_000, unit: "ms" }, 250_000_000), "250 ms");
});

test("a chain gives each effect a name of its own, keeps turned knobs, and has an end", () => {
  let chain = add(add([], pitch, "voice"), pitch, "voice");
  assert.equal(fx(chain), "pitch name=voice1 pitch=0.8 ! pitch name=voice2 pitch=0.8");
  chain = set(chain, "voice2", "pitch", 1.5);
  assert.equal(fx(raise(chain, "voice2")), "pitch name=voice2 pitch=1.5 ! pitch name=voice1 pitch=0.8");
  assert.equal(raise(chain, "voice1"), chain);
  chain = add(remove(chain, "voice1"), named("volume"), "voice");
  assert.deepEqual(chain.map(({ name }) => name), ["voice2", "voice1"]);
  for (let more = 0; more < 20; more += 1) chain = add(chain, pitch, "voice");
  assert.equal(chain.length, MAX_LINKS);
  assert.equal(new Set(chain.map(({ name }) => name)).size, MAX_LINKS);
});

test("the socket lies two folders above a test page, whatever the prefix", () => {
  assert.equal(signalingUrl("http://localhost:8100/test/mirror/?auto=1#x"), "ws://localhost:8100/ws");
  assert.equal(signalingUrl("https://h.org/pre/fix/test/mirror/"), "wss://h.org/pre/fix/ws");
});

/** A sine of that amplitude, a whole number of periods. @param {number} amplitude */
const sine = (amplitude) => Array.from({ length: 4800 }, (_, at) => amplitude * Math.sin((2 * Math.PI * at) / 48));

test("loudness is that of the samples, in dB", () => {
  const near = (/** @type {number} */ a, /** @type {number} */ b) => assert.ok(Math.abs(a - b) < 0.01, `${a} instead of ${b}`);
  near(loudness(sine(1)).level, -3.01);
  near(loudness(sine(0.1)).peak, -20);
  assert.deepEqual(loudness([]), { level: -200, peak: -200, clipped: 0 });
  assert.equal(loudness([0, 0]).level, -200);
  assert.equal(loudness([1, -1, 0, 0]).clipped, 0.5);
  near(together([loudness(sine(0.1)), loudness(sine(0.1))]).level, -23.01);
  near(speech([loudness(sine(0.1)), loudness([0, 0])]).level, -23.01);
  assert.equal(together([]).level, -200);
});

test("a microphone is judged by speech, silence and clipping", () => {
  const heard = (/** @type {number} */ level, clipped = 0) => ({ level, peak: level, clipped });
  const quiet = heard(-65);
  for (const [spoken, silent, verdict] of /** @type {const} */ ([
    [heard(-22), quiet, "good"],
    [heard(-90), heard(-95), "silent"],
    [heard(-50), quiet, "quiet"],
    [heard(-5), quiet, "loud"],
    [heard(-20, 0.01), quiet, "loud"],
    [heard(-25), heard(-30), "noisy"],
    [heard(-20), heard(-40), "good"],
  ])) {
    assert.equal(judgeMicrophone(spoken, silent), verdict, JSON.stringify([spoken, silent]));
    assert.ok(ADVICE[verdict]);
    assert.equal(isNoisy(spoken, silent), silent.level > -45 && spoken.level - silent.level < 12);
  }
});

test("a camera is judged by its light and whether it moves", () => {
  assert.equal(judgeCamera({ brightness: 0.5, framerate: 25 }), "good");
  assert.equal(judgeCamera({ brightness: 0.05, framerate: 25 }), "dark");
  assert.equal(judgeCamera({ brightness: 0.99, framerate: 25 }), "bright");
  assert.equal(judgeCamera({ brightness: 0, framerate: 1 }), "frozen");
  assert.equal(brightness([255, 255, 255, 255, 0, 0, 0, 255]), 0.5);
  assert.equal(brightness([]), 0);
});

test("the meter goes from -60 dB to 0 dB", () => {
  assert.deepEqual([-200, -60, -30, 0, 6].map(fill), [0, 0, 0.5, 1, 1]);
});

test("figures are short, and a dash when unknown", () => {
  assert.deepEqual([null, 0, 999, 64_200, 1_250_000].map(bits), ["–", "0", "999", "64 k", "1.25 M"]);
  assert.deepEqual([undefined, 1500, 25_000_000, 3_100_000_000].map(bytes), ["–", "2 kB", "25 MB", "3.1 GB"]);
  assert.deepEqual([null, 0.123, 1.5].map(share), ["–", "12 %", "150 %"]);
  assert.deepEqual([0, 65, 3600].map(clock), ["0:00", "1:05", "60:00"]);
});

test("a history keeps the last values, and forgets what is no more", () => {
  const history = new History(3);
  for (const value of [1, 2, 3]) history.add("a", value);
  assert.deepEqual(history.add("a", 4), [2, 3, 4]);
  history.forget();
  history.forget();
  assert.deepEqual(history.add("a", 5), [5]);
});
