// SPDX-License-Identifier: MPL-2.0

/** Every recording mode: what it shows, and which files it leaves. */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { balanced, distance } from "./colour.js";
import { people } from "./people.js";
import { meanColour, toneAt } from "./recording.js";
import { Study } from "./study.js";
import { together } from "./until.js";

describe("the recording modes", () => {
  /** @type {Study} */
  let study;
  before(async () => {
    study = await Study.open();
  });
  after(() => study?.close());

  /** @type {{mode: string, videoFormat: 'H264' | 'VP8', changes?: boolean, files: string[]}[]} */
  const modes = [
    { mode: "free", videoFormat: "H264", changes: true, files: ["dry.mp4", "wet.mp4"] },
    { mode: "reenc", videoFormat: "VP8", changes: true, files: ["dry.mkv", "wet.mkv"] },
    {
      ...{ mode: "split", videoFormat: "H264", changes: true },
      files: ["audio-dry.ogg", "audio-wet.ogg", "video-dry.mp4", "video-wet.mp4"],
    },
    { mode: "none", videoFormat: "VP8", changes: true, files: [] },
    { mode: "passthrough", videoFormat: "H264", files: ["dry.mp4"] },
    { mode: "rtpbin_only", videoFormat: "VP8", files: [] },
    { mode: "direct", videoFormat: "H264", files: [] },
    { mode: "bypass", videoFormat: "VP8", files: [] },
  ];

  /** @param {typeof modes[number]} choice @param {import('./people.js').Person} person */
  const tryMode = ({ mode, videoFormat, changes = false, files }, person) =>
    study.conversation(mode, async (conversation) => {
      const effects = {
        audioFx: "pitch pitch=1.25 name=voice",
        videoFx: "videobalance saturation=0 name=face",
      };
      const page = await conversation.join(person, {
        peer: {
          size: 1,
          duration: 6,
          width: 160,
          height: 120,
          videoFormat,
          recordingMode: mode,
          ...(changes ? effects : {}),
        },
      });
      const wet = {
        colour: balanced(person.colour, videoFormat, { saturation: 0 }),
        frequency: 1.25 * person.frequency,
      };
      const dry = { colour: balanced(person.colour, videoFormat, {}), frequency: person.frequency };
      await page.meets(person, changes ? wet : dry);
      const told = await page.event("files");
      await page.event("end");
      const recordings = await conversation.recordings();
      assert.deepEqual(
        recordings.map(({ what, extension }) => `${what}.${extension}`),
        files,
      );
      assert.deepEqual(
        [...(told.payload[person.userId] ?? [])].sort(),
        recordings.map(({ path }) => path),
      );
      for (const { what, frames, sound } of recordings) {
        const expected = what.endsWith("wet") ? wet : dry;
        if (!what.startsWith("audio")) {
          const colour = meanColour(frames, 1);
          assert.ok(frames.length > 60, `${mode}, ${what}: ${frames.length} pictures`);
          assert.ok(
            distance(colour, expected.colour) < 20,
            `${mode}, ${what}: ${colour} instead of ${expected.colour}`,
          );
          // One to begin with, and few requests: each costs as much as ten other pictures.
          const keys = frames.filter(({ key }) => key).length;
          assert.ok(keys <= 6, `${mode}, ${what}: ${keys} keyframes in ${frames.length} pictures`);
        }
        if (!what.startsWith("video")) {
          assert.ok(sound);
          const { frequency } = toneAt(sound, 3);
          assert.ok(Math.abs(frequency / expected.frequency - 1) < 0.02, `${mode}, ${what}: ${frequency} Hz`);
        }
      }
    });

  test("that change media show and record what they promise", async () => {
    await together(modes.slice(0, 4).map((choice, index) => tryMode(choice, people[index])));
  });

  test("that leave media alone show and record what they promise", async () => {
    await together(modes.slice(4).map((choice, index) => tryMode(choice, people[index])));
  });

  /** @type {{mode: string, changes?: boolean, files: string[]}[]} */
  const soundModes = [
    { mode: "muxed", changes: true, files: ["dry.ogg", "wet.ogg"] },
    { mode: "free", changes: true, files: ["dry.ogg", "wet.ogg"] },
    { mode: "reenc", changes: true, files: ["dry.ogg", "wet.ogg"] },
    { mode: "split", changes: true, files: ["audio-dry.ogg", "audio-wet.ogg"] },
    { mode: "none", changes: true, files: [] },
    { mode: "passthrough", files: ["dry.ogg"] },
    { mode: "rtpbin_only", files: [] },
    { mode: "direct", files: [] },
    // What would show or change a picture means nothing here.
    { mode: "bypass", files: [] },
  ];

  /** @param {typeof soundModes[number]} choice @param {import('./people.js').Person} person */
  const trySound = ({ mode, changes = false, files }, person) =>
    study.conversation(`sound-${mode}`, async (conversation) => {
      const picture = { overlay: true, gpu: true, videoFx: "videobalance saturation=0" };
      const effects = changes ? { audioFx: "pitch pitch=1.25 name=voice" } : {};
      const options = { size: 1, duration: 6, audioOnly: true, recordingMode: mode };
      const page = await conversation.join(person, { peer: { ...options, ...picture, ...effects } });
      const pitch = changes ? 1.25 : 1;
      await page.meets(person, { colour: null, frequency: pitch * person.frequency });
      await page.event("end");
      const recordings = await conversation.recordings();
      assert.deepEqual(
        recordings.map(({ what, extension }) => `${what}.${extension}`),
        files,
      );
      for (const { what, sound, streams } of recordings) {
        assert.deepEqual(Object.keys(streams), ["audio"]);
        assert.ok(sound);
        const expected = (what.endsWith("wet") ? pitch : 1) * person.frequency;
        const { frequency } = toneAt(sound, 3);
        assert.ok(Math.abs(frequency / expected - 1) < 0.02, `${mode}, ${what}: ${frequency} Hz`);
      }
    });

  test("without pictures let hear and record what they promise", async () => {
    await together(soundModes.map((choice, index) => trySound(choice, people[index % people.length])));
  });
});
