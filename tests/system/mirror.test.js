// SPDX-License-Identifier: MPL-2.0

/** One participant who sees and hears themselves, changed: live, in the files and in the log. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { balanced, distance, luma } from "./colour.js";
import { people } from "./people.js";
import { straightness } from "./ramp.js";
import { levelAt, meanColour, secondsOf, toneAt } from "./recording.js";
import { program } from "./server.js";
import { Study } from "./study.js";
import { until } from "./until.js";

const cleo = people[2];
const [DURATION, FRAMERATE] = [14, 15];
/** The microphones' level: a sine of amplitude 0.25. */
const SPOKEN = 0.25 / Math.SQRT2;
/** The level that the effect begins with. */
const QUIET = 0.2 * SPOKEN;
/** What the effects make of Cleo at first, and after the ramp of the brightness. */
const CHANGED = balanced(cleo.colour, "H264", { hue: 1 });
const BRIGHT = luma(balanced(cleo.colour, "H264", { hue: 1, brightness: 0.3 }));

/**
 * Runs `ducksoup-app verify`.
 * @param {string} folder
 * @returns {Promise<{code: number | null, text: string}>}
 */
async function verify(folder) {
  const path = await program();
  return new Promise((resolve) => {
    const child = execFile(path, ["verify", folder], (_error, text) => resolve({ code: child.exitCode, text }));
  });
}

describe("a mirror with effects", () => {
  /** @type {Study} */
  let study;
  /** @type {import('./participant.js').Participant} */
  let page;
  /** @type {import('./study.js').NamedRecording[]} */
  let recordings;
  /** Where the run's files are. */
  let folder = "";
  /** @type {Record<string, any>[]} */
  let log;
  /** @type {Map<string, string>} the texts beside the log, by name */
  let texts;
  /** @type {import('./participant.js').Sample[]} */
  let samples;
  /** When the ramps were asked for, in ms since 1970. */
  let asked = 0;

  before(async () => {
    study = await Study.open();
    await study.conversation("mirror", async (conversation) => {
      page = await conversation.join(cleo, {
        peer: {
          ...{ size: 1, duration: DURATION, framerate: FRAMERATE, videoFormat: "H264" },
          audioFx: "pitch pitch=0.8 name=voice ! volume volume=0.2 name=level",
          videoFx: "videobalance hue=1 name=face ! videoflip video-direction=horiz",
        },
      });
      await page.meets(cleo, { colour: CHANGED, frequency: 0.8 * cleo.frequency, orientation: "mirrored" });
      await page.startSampling(40);
      await until("a second is sampled", async () => (await page.samples()).length > 25);
      asked = await page.ask("controlFx", "level", "volume", 1, 1000);
      await page.ask("controlFx", "face", "brightness", 0.3, 1000);
      await until("both ramps are at their end", async () => {
        const last = (await page.samples()).at(-1);
        const light = luma(last?.pictures[0].colour ?? [0, 0, 0]);
        return (last?.levels[0].level ?? 0) > 0.9 * SPOKEN && light > BRIGHT - 8;
      });
      samples = await page.samples();
      // A text for a double, and a number: the property's own type decides.
      await page.ask("polyControlFx", "face", "hue", "float", "0");
      await page.ask("polyControlFx", "voice", "pitch", "float", 1);
      await page.meets(cleo, {
        colour: balanced(cleo.colour, "H264", { brightness: 0.3 }),
        orientation: "mirrored",
      });
      await page.event("closed");
      recordings = await conversation.recordings();
      folder = join(study.server.data, conversation.namespace, conversation.name);
      const names = (await readdir(folder)).filter((name) => name !== "recordings");
      texts = new Map(
        await Promise.all(
          names.map(
            async (name) => /** @type {const} */ ([name, await readFile(join(folder, name), "utf8")]),
          ),
        ),
      );
      const lines = (texts.get(`${conversation.name}.log`) ?? "").trimEnd().split("\n");
      log = lines.map((line) => JSON.parse(line));
    });
  });
  after(() => study?.close());

  /** @param {'dry' | 'wet'} what */
  function recorded(what) {
    const recording = recordings.find((candidate) => candidate.what === what);
    assert.ok(recording?.sound, `there is a ${what} file with sound`);
    return { ...recording, sound: recording.sound };
  }

  /** The two ramps as they stand in the wet file. */
  function recordedRamps() {
    const { frames, sound } = recorded("wet");
    const times = Array.from({ length: DURATION * 100 }, (_, index) => index / 100).slice(20, -20);
    const levels = times.map((time) => ({ time, value: levelAt(sound, time) }));
    const lights = frames.map(({ time, colour }) => ({ time, value: luma(colour) }));
    return {
      level: straightness(levels, QUIET, SPOKEN, 1),
      face: straightness(lights, luma(CHANGED), BRIGHT, 1),
    };
  }

  test("is told what happens, in order and in time", async () => {
    assert.deepEqual(page.kinds, ["joined", "start", "ending", "files", "end", "closed"]);
    const [joined, start, ending, , end] = await Promise.all(page.kinds.map((kind) => page.event(kind)));
    assert.equal(joined.payload.context, "new_interaction");
    assert.equal(joined.payload.text, "new_interaction");
    assert.ok(Array.isArray(joined.payload.iceServers));
    assert.equal(start.payload, DURATION);
    // Fifteen seconds before the end would be before the start.
    assert.ok(
      Math.abs(ending.at - start.at - 1000) < 700,
      `ending ${ending.at - start.at} ms after the start`,
    );
    const took = (end.at - start.at) / 1000;
    assert.ok(took > DURATION - 0.5 && took < DURATION + 4, `${took} s instead of ${DURATION}`);
  });

  test("hears and sees ramps run straight, and soon", () => {
    const levels = samples.map(({ at, levels: [sound] }) => ({ time: at, value: sound?.level ?? 0 }));
    const lights = samples.map(({ at, pictures: [picture] }) => ({
      time: at,
      value: luma(picture?.colour ?? [0, 0, 0]),
    }));
    const heard = straightness(levels, QUIET, SPOKEN, 1000);
    const seen = straightness(lights, luma(CHANGED), BRIGHT, 1000);
    assert.ok(heard.error < 90, `the level is up to ${heard.error} ms off its line`);
    assert.ok(seen.error < 150, `the brightness is up to ${seen.error} ms off its line`);
    for (const [what, { middle }] of Object.entries({ heard, seen })) {
      const late = middle - asked - 500;
      assert.ok(late > 0 && late < 1000, `what is ${what} follows ${late} ms late`);
    }
  });

  test("has a dry and a wet file, and is told their names", async () => {
    const names = recordings.map(({ what, extension }) => `${what}.${extension}`);
    assert.deepEqual(names, ["dry.mp4", "wet.mp4"]);
    const { payload: files } = await page.event("files");
    assert.deepEqual(Object.keys(files), [cleo.userId]);
    assert.deepEqual([...files[cleo.userId]].sort(), recordings.map(({ path }) => path).sort());
  });

  for (const what of /** @type {const} */ (["dry", "wet"])) {
    test(`has sound and pictures from the start to the end in its ${what} file`, () => {
      const { frames, sound } = recorded(what);
      const [first, last] = [frames[0], frames[frames.length - 1]];
      // The wait for a keyframe, for a browser on a busy machine.
      assert.ok(first.time < 2, `the first picture comes at ${first.time} s`);
      assert.ok(last.time > DURATION - 1, `the last picture comes at ${last.time} s`);
      assert.ok(sound.start < 0.3, `the sound begins at ${sound.start} s`);
      const end = sound.start + secondsOf(sound);
      assert.ok(Math.abs(end - DURATION) < 0.3, `the sound ends at ${end} s`);
      const unread = frames.filter(({ number }) => number === null).length;
      assert.ok(unread <= frames.length / 20, `${unread} of ${frames.length} pictures cannot be read`);
    });
  }

  test("is in the dry file as they are", () => {
    const { frames, sound } = recorded("dry");
    assert.ok(distance(meanColour(frames), cleo.colour) < 15, `${meanColour(frames)}`);
    assert.ok(frames.every(({ orientation }) => orientation === "upright" || orientation === null));
    for (const time of [1, DURATION / 2, DURATION - 1.5]) {
      const { frequency, level } = toneAt(sound, time);
      assert.ok(Math.abs(frequency / cleo.frequency - 1) < 0.01, `at ${time} s: ${frequency} Hz`);
      assert.ok(Math.abs(level / SPOKEN - 1) < 0.3, `at ${time} s: level ${level}`);
    }
  });

  test("is in the wet file as the effects made them", () => {
    const { frames, sound } = recorded("wet");
    const early = meanColour(frames, 0.5, 1.5);
    assert.ok(distance(early, CHANGED) < 15, `${early} instead of ${CHANGED}`);
    const others = frames.filter(({ orientation }) => orientation !== "mirrored" && orientation !== null);
    assert.deepEqual(others, [], "every picture is mirrored");
    const [low, high] = [toneAt(sound, 1).frequency, toneAt(sound, DURATION - 1).frequency];
    assert.ok(Math.abs(low / (0.8 * cleo.frequency) - 1) < 0.02, `at first ${low} Hz`);
    assert.ok(Math.abs(high / cleo.frequency - 1) < 0.02, `in the end ${high} Hz`);
  });

  test("has straight ramps in the wet file", () => {
    const { level, face } = recordedRamps();
    assert.ok(level.error < 0.03, `the level is up to ${level.error} s off its line`);
    assert.ok(face.error < 0.08, `the brightness is up to ${face.error} s off its line`);
  });

  test("has a wet picture of constant rate, and of as many frames as the run has", () => {
    const { frames } = recorded("wet");
    const gaps = frames.slice(1).map(({ time }, index) => time - frames[index].time);
    assert.deepEqual(
      gaps.filter((gap) => Math.abs(gap - 1 / FRAMERATE) > 0.002),
      [],
    );
    assert.ok(Math.abs(frames[0].time) < 0.001, `the first picture comes at ${frames[0].time} s`);
    assert.equal(frames.length, DURATION * FRAMERATE);
  });

  test("has a log of documented lines, that says when each ramp began on the files' timeline", () => {
    for (const entry of log) {
      for (const field of ["level", "time", "context", "message"]) {
        assert.ok(field in entry, `${field} in ${JSON.stringify(entry)}`);
      }
    }
    const messages = log.map(({ message }) => message);
    for (const message of [
      ...["interaction_created", "peer_joined", "interaction_started"],
      ...["client_fx_control", "interaction_ended"],
    ]) {
      assert.ok(messages.includes(message), `the log tells ${message}`);
    }
    const ramps = recordedRamps();
    for (const [name, tolerance] of /** @type {const} */ ([
      ["level", 0.03],
      // A frame, and half of one for the constant rate.
      ["face", 1.5 / FRAMERATE],
    ])) {
      const began = log.find((entry) => entry.message === "fxcontrol_started" && entry.name === name);
      const late = ramps[name].middle - 0.5 - began?.onset;
      assert.ok(Math.abs(late) < tolerance, `"${name}" begins ${late} s later than the log says`);
    }
  });

  test("has a manifest and a table of events", () => {
    const names = [...texts.keys()];
    const manifest = names.find((name) => /^i-[A-Za-z0-9]+\.json$/.test(name));
    assert.ok(manifest, `a manifest among ${names}`);
    const told = JSON.parse(texts.get(manifest) ?? "");
    assert.equal(told.state, "ended");
    assert.deepEqual(
      told.files.map((/** @type {{offset: number}} */ file) => file.offset),
      [0, 0],
    );
    const table = names.find((name) => /^i-[A-Za-z0-9]+-events\.tsv$/.test(name));
    assert.ok(table, `a table of events among ${names}`);
    assert.match(texts.get(table) ?? "", /\blevel\b.*\bvolume\b/);
    const rows = (texts.get(table) ?? "").trimEnd().split("\n");
    const [columns, ...events] = rows.map((line) => line.split("\t"));
    const dictionary = JSON.parse(texts.get(table.replace(".tsv", ".json")) ?? "");
    assert.deepEqual(Object.keys(dictionary).sort(), [...columns].sort());
    const types = new Set(events.map((event) => event[columns.indexOf("type")]));
    for (const type of types) assert.ok(type in dictionary.type.Levels, `${type} is explained`);
    for (const type of [
      ...["joined", "started", "ended", "left", "fx_accepted", "fx_started", "fx_applied", "fx_finished"],
      ...["recording_opened", "recording_finished", "resolution", "keyframe_asked", "bitrate_target"],
    ]) {
      assert.ok(types.has(type), `${type} among ${[...types]}`);
    }
    const onsets = events.map(([onset]) => Number(onset));
    assert.deepEqual([...onsets].sort((a, b) => a - b), onsets);
    assert.equal(onsets[events.findIndex((event) => event.includes("started"))], 0);
  });

  test("has recordings that are what the run said of them, and a changed byte is found", async () => {
    const whole = await verify(folder);
    assert.equal(whole.code, 0, whole.text);
    assert.equal(whole.text.match(/ good /g)?.length, 2, whole.text);
    const [{ path }] = recordings;
    const file = join(study.server.data, path);
    const bytes = await readFile(file);
    bytes[bytes.length >> 1] ^= 1;
    await writeFile(file, bytes);
    const changed = await verify(folder);
    assert.equal(changed.code, 1, changed.text);
    assert.match(changed.text, /BAD[^]*its bytes were changed/);
  });
});
