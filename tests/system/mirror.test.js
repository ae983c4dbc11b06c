// SPDX-License-Identifier: MPL-2.0

/** One participant who sees and hears themselves, changed. */

import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { balanced, distance, luma } from "./colour.js";
import { people } from "./people.js";
import { straightness } from "./ramp.js";
import { levelAt, meanColour, secondsOf, toneAt } from "./recording.js";
import { Study } from "./study.js";
import { together, until } from "./until.js";

/** The microphones' level: a sine of amplitude 0.25. */
const SPOKEN = 0.25 / Math.SQRT2;

describe("a mirror", () => {
  /** @type {Study} */
  let study;
  before(async () => {
    study = await Study.open();
  });
  after(() => study?.close());

  test("shows effects, ramps, and keeps it all on record", async () => {
    await study.conversation("effects", async (conversation) => {
      const cleo = people[2];
      const [duration, framerate] = [14, 15];
      const page = await conversation.join(cleo, {
        peer: {
          ...{ size: 1, duration, framerate, videoFormat: "H264" },
          audioFx: "pitch pitch=0.8 name=voice ! volume volume=0.2 name=level",
          videoFx: "videobalance hue=1 name=face ! videoflip video-direction=horiz",
        },
      });
      const joined = await page.event("joined");
      assert.equal(joined.payload.context, "new_interaction");
      assert.equal(joined.payload.text, "new_interaction");
      assert.ok(Array.isArray(joined.payload.iceServers));
      const start = await page.event("start");
      assert.equal(start.payload, duration);

      const changed = balanced(cleo.colour, "H264", { hue: 1 });
      await page.meets(cleo, { colour: changed, frequency: 0.8 * cleo.frequency, orientation: "mirrored" });

      const bright = luma(balanced(cleo.colour, "H264", { hue: 1, brightness: 0.3 }));

      await page.startSampling(40);
      await until("a second is sampled", async () => (await page.samples()).length > 25);
      const asked = await page.ask("controlFx", "level", "volume", 1, 1000);
      await page.ask("controlFx", "face", "brightness", 0.3, 1000);
      await until("both ramps are at their end", async () => {
        const last = (await page.samples()).at(-1);
        return (
          (last?.levels[0].level ?? 0) > 0.9 * SPOKEN &&
          luma(last?.pictures[0].colour ?? [0, 0, 0]) > bright - 8
        );
      });
      const samples = await page.samples();
      const levels = samples.map(({ at, levels: [sound] }) => ({ time: at, value: sound?.level ?? 0 }));
      const lights = samples.map(({ at, pictures: [picture] }) => ({
        time: at,
        value: luma(picture?.colour ?? [0, 0, 0]),
      }));
      const heard = straightness(levels, 0.2 * SPOKEN, SPOKEN, 1000);
      const seen = straightness(lights, luma(changed), bright, 1000);
      assert.ok(heard.error < 90, `the level is up to ${heard.error} ms off its line`);
      assert.ok(seen.error < 150, `the brightness is up to ${seen.error} ms off its line`);
      for (const [what, { middle }] of Object.entries({ heard, seen })) {
        const late = middle - asked - 500;
        assert.ok(late > 0 && late < 1000, `what is ${what} follows ${late} ms late`);
      }

      // A text for a double, and a number: the property's own type decides.
      await page.ask("polyControlFx", "face", "hue", "float", "0");
      await page.ask("polyControlFx", "voice", "pitch", "float", 1);
      await page.meets(cleo, {
        colour: balanced(cleo.colour, "H264", { brightness: 0.3 }),
        orientation: "mirrored",
      });

      const end = await page.event("end");
      const took = (end.at - start.at) / 1000;
      assert.ok(took > duration - 0.5 && took < duration + 4, `${took} s instead of ${duration}`);
      await page.event("closed");
      assert.deepEqual(page.kinds, ["joined", "start", "ending", "files", "end", "closed"]);
      const ending = await page.event("ending");
      assert.ok(
        Math.abs(ending.at - start.at - 1000) < 700,
        `ending ${ending.at - start.at} ms after the start`,
      );

      const recordings = await conversation.recordings();
      const files = await page.event("files");
      assert.deepEqual([...files.payload[cleo.userId]].sort(), recordings.map(({ path }) => path).sort());
      assert.deepEqual(
        recordings.map(({ what, extension }) => `${what}.${extension}`),
        ["dry.mp4", "wet.mp4"],
      );
      const [dry, wet] = recordings;
      const [spoken, changedVoice] = [dry.sound, wet.sound];
      assert.ok(spoken && changedVoice);

      for (const { frames, sound, what } of recordings) {
        const [first, last] = [frames[0], frames[frames.length - 1]];
        assert.ok(sound && first, `${what} has sound and pictures`);
        assert.ok(first.time < 1, `${what} begins with a picture at ${first.time} s`);
        assert.ok(last.time > duration - 1, `${what} ends with a picture at ${last.time} s`);
        assert.ok(sound.start < 0.3, `${what} begins to sound at ${sound.start} s`);
        const rest = duration - sound.start - secondsOf(sound);
        assert.ok(Math.abs(rest) < 0.5, `${what} has ${secondsOf(sound)} s of sound`);
        const unread = frames.filter(({ number }) => number === null).length;
        assert.ok(
          unread <= frames.length / 20,
          `${what}: ${unread} of ${frames.length} pictures cannot be read`,
        );
      }
      assert.ok(distance(meanColour(dry.frames), cleo.colour) < 15, `dry: ${meanColour(dry.frames)}`);
      assert.ok(dry.frames.every(({ orientation }) => orientation !== "mirrored"));
      for (const time of [1, duration / 2, duration - 1.5]) {
        const { frequency, level } = toneAt(spoken, time);
        assert.ok(Math.abs(frequency / cleo.frequency - 1) < 0.01, `dry at ${time} s: ${frequency} Hz`);
        assert.ok(Math.abs(level / SPOKEN - 1) < 0.15, `dry at ${time} s: level ${level}`);
      }

      const early = meanColour(wet.frames, 0.5, 1.5);
      assert.ok(distance(early, changed) < 15, `wet: ${early} instead of ${changed}`);
      const turned = wet.frames.filter(
        ({ orientation }) => orientation !== "mirrored" && orientation !== null,
      );
      assert.deepEqual(turned, [], "every wet picture is mirrored");
      const low = toneAt(changedVoice, 1);
      assert.ok(Math.abs(low.frequency / (0.8 * cleo.frequency) - 1) < 0.02, `wet: ${low.frequency} Hz`);
      const high = toneAt(changedVoice, duration - 1);
      assert.ok(Math.abs(high.frequency / cleo.frequency - 1) < 0.02, `wet in the end: ${high.frequency} Hz`);
      const gaps = wet.frames.slice(1).map(({ time }, index) => time - wet.frames[index].time);
      const odd = gaps.filter((gap) => Math.abs(gap - 1 / framerate) > 0.002);
      assert.deepEqual(odd, [], "the wet picture has a constant rate");

      // In the file the ramps are as exact as they were applied.
      const times = Array.from({ length: duration * 100 }, (_, index) => index / 100).slice(20, -20);
      const course = times.map((time) => ({ time, value: levelAt(changedVoice, time) }));
      const voice = straightness(course, 0.2 * SPOKEN, SPOKEN, 1);
      assert.ok(voice.error < 0.03, `the recorded level is up to ${voice.error} s off its line`);
      const light = wet.frames.map(({ time, colour }) => ({ time, value: luma(colour) }));
      const face = straightness(light, luma(changed), bright, 1);
      assert.ok(face.error < 0.08, `the recorded brightness is up to ${face.error} s off its line`);
      const apart = Math.abs(voice.middle - face.middle);
      assert.ok(apart < 0.15, `the two ramps, asked for at once, are ${apart} s apart in the file`);

      const folder = join(study.server.data, conversation.namespace, conversation.name);
      const log = await readFile(join(folder, `${conversation.name}.log`), "utf8");
      const entries = log
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line));
      for (const entry of entries) {
        for (const field of ["level", "time", "context", "message"])
          assert.ok(field in entry, `${field} in a log line`);
      }
      const messages = new Set(entries.map(({ message }) => message));
      for (const message of [
        "interaction_created",
        "peer_joined",
        "interaction_started",
        "client_fx_control",
        "interaction_ended",
      ]) {
        assert.ok(messages.has(message), `the log tells ${message}`);
      }
      const names = await readdir(folder);
      assert.ok(
        names.some((name) => /^i-[^-]+\.json$/.test(name)),
        `a manifest among ${names}`,
      );
      const events = names.find((name) => name.endsWith("-events.tsv"));
      assert.ok(events, `a table of events among ${names}`);
      assert.match(await readFile(join(folder, events), "utf8"), /\blevel\b.*\bvolume\b/);
      const missing = Math.round(wet.frames[0].time * framerate);
      assert.equal(wet.frames.length + missing, duration * framerate, "wet pictures");
    });
  });

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
        }
        if (!what.startsWith("video")) {
          assert.ok(sound);
          const { frequency } = toneAt(sound, 3);
          assert.ok(Math.abs(frequency / expected.frequency - 1) < 0.02, `${mode}, ${what}: ${frequency} Hz`);
        }
      }
    });

  test("the modes that change media show and record what they promise", async () => {
    await together(modes.slice(0, 4).map((choice, index) => tryMode(choice, people[index])));
  });

  test("the modes that leave media alone show and record what they promise", async () => {
    await together(modes.slice(4).map((choice, index) => tryMode(choice, people[index])));
  });
});
