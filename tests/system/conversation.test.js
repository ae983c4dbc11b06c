// SPDX-License-Identifier: MPL-2.0

/** Several participants: each sees and hears the others, as they shall be seen and heard. */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { balanced, distance } from "./colour.js";
import { people } from "./people.js";
import { meanColour, toneAt } from "./recording.js";
import { Study } from "./study.js";
import { until } from "./until.js";

const [ann, ben, cleo] = people;

/** @param {number[]} values */
const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];

/**
 * Somebody without effects, as a format shows them.
 * @param {import('./people.js').Person} person
 * @param {'H264' | 'VP8'} videoFormat
 */
const itself = ({ colour, frequency }, videoFormat) => ({
  colour: balanced(colour, videoFormat, {}),
  frequency,
});

/**
 * That a recording shows and sounds like this.
 * @param {import('./study.js').NamedRecording} recording
 * @param {{colour?: import('./colour.js').Rgb, frequency: number}} expected
 * @param {number} time s, when the tone is listened to; the colour is that of the second before
 */
function assertShows({ path, frames, sound }, { colour, frequency }, time) {
  if (colour) {
    const shown = meanColour(frames, time - 1, time);
    assert.ok(distance(shown, colour) < 22, `${path}: ${shown} instead of ${colour}`);
  }
  assert.ok(sound, `${path} has sound`);
  const tone = toneAt(sound, time);
  assert.ok(
    Math.abs(tone.frequency / frequency - 1) < 0.02,
    `${path}: ${tone.frequency} Hz instead of ${frequency}`,
  );
  assert.ok(tone.level > 0.02, `${path}: level ${tone.level}`);
}

/**
 * That it does as far as its browser sent anything. Eight pages on the few cores of a small machine send half of
 * their sound, and a camera may starve for a second; the recording is true to that.
 * @param {import('./study.js').NamedRecording} recording
 * @param {{colour: import('./colour.js').Rgb, frequency: number}} expected
 * @param {number} duration s
 */
function assertShowsWhatCame({ path, frames, sound }, { colour, frequency }, duration) {
  const seconds = Array.from({ length: duration - 4 }, (_, index) => index + 2);
  const shown = seconds.map((time) => meanColour(frames, time - 1, time)).filter((one) => one.every(Number.isFinite));
  const alike = shown.filter((one) => distance(one, colour) < 22);
  assert.ok(alike.length > duration / 2, `${path}: ${alike.length} s look like ${colour}; all: ${shown.join(" ")}`);
  assert.ok(alike.length >= 0.9 * shown.length, `${path}: ${shown.join(" ")} instead of ${colour}`);
  assert.ok(sound, `${path} has sound`);
  // Whole thirds of a second of sound: the tone alone has a level of 0.177.
  const tones = seconds.flatMap((time) => [time, time + 0.5].map((at) => toneAt(sound, at))).filter(({ level }) => level > 0.16);
  const heard = tones.map((tone) => tone.frequency);
  assert.ok(tones.length >= 8, `${path}: it sounds at ${tones.length} moments`);
  const right = heard.filter((one) => Math.abs(one / frequency - 1) < 0.02);
  assert.ok(right.length >= 0.9 * heard.length, `${path}: ${heard.join(" ")} Hz instead of ${frequency}`);
}

describe("a conversation", () => {
  /** @type {Study} */
  let study;
  before(async () => {
    study = await Study.open();
  });
  after(() => study?.close());

  for (const videoFormat of /** @type {const} */ (["H264", "VP8"])) {
    test(`of two in ${videoFormat}: one is changed, the other not, and each may change the other`, async () => {
      await study.conversation(`two-${videoFormat}`, async (conversation) => {
        const duration = 12;
        const wet = { colour: balanced(ann.colour, videoFormat, { hue: 1 }), frequency: 0.8 * ann.frequency };
        const annPage = await conversation.join(ann, {
          embed: "mount",
          peer: {
            ...{ duration, videoFormat },
            audioFx: "pitch pitch=0.8 name=voice",
            videoFx: "videobalance hue=1 name=face",
          },
        });
        const benPage = await conversation.join(ben, { peer: { duration, videoFormat } });
        const [, start] = await Promise.all([annPage.event("start"), benPage.event("start")]);
        await Promise.all([annPage.meets(ben), benPage.meets(ann, wet)]);
        await until("two seconds are recorded", () => Date.now() - start.at > 2000);
        // Ben moves Ann's effects; nothing of Ben's changes.
        await benPage.ask("controlFx", "face", "hue", 0, 0, ann.userId);
        await benPage.ask("controlFx", "voice", "pitch", 1.25, 0, ann.userId);
        await benPage.meets(ann, { frequency: 1.25 * ann.frequency });
        await annPage.meets(ben);
        await Promise.all([annPage.event("end"), benPage.event("end")]);
        const seenByBoth = [annPage, benPage].map(
          ({ events }) => events.filter(({ kind }) => kind === "track").length,
        );
        assert.equal(seenByBoth[0], 0, "a page with mountEl is told of no tracks");
        assert.equal(seenByBoth[1], 2, "a page without is told of one picture and one sound");

        const recordings = await conversation.recordings();
        const extension = videoFormat === "H264" ? "mp4" : "mkv";
        assert.deepEqual(recordings.map((file) => `${file.user} ${file.what}.${file.extension}`).sort(), [
          `ann dry.${extension}`,
          `ann wet.${extension}`,
          `ben dry.${extension}`,
        ]);
        for (const recording of recordings) {
          const { user, what } = recording;
          if (what === "wet") assertShows(recording, wet, 1);
          else assertShows(recording, itself(user === "ann" ? ann : ben, videoFormat), duration / 2);
        }
        const changedBack = recordings.find(({ what }) => what === "wet");
        assert.ok(changedBack);
        assertShows(
          changedBack,
          { ...itself(ann, videoFormat), frequency: 1.25 * ann.frequency },
          duration - 1,
        );

        // All files have one zero: a frame's time in its file and the time its camera drew it differ alike.
        const zeros = await Promise.all(
          recordings
            .filter(({ what }) => what === "dry")
            .map(async ({ user, frames }) => {
              const shownAt = await (user === "ann" ? annPage : benPage).shownAt();
              return median(
                frames.flatMap(({ number, time }) =>
                  number === null ? [] : [shownAt[number] - 1000 * time],
                ),
              );
            }),
        );
        const apart = Math.abs(zeros[0] - zeros[1]);
        assert.ok(apart < 80, `the zeros of the two dry files are ${apart} ms apart`);
        const late = start.at - zeros[0];
        assert.ok(Math.abs(late) < 600, `zero is ${late} ms before the start was told`);
      });
    });
  }

  test("of three, with mixed formats: each sees and hears both others, each with their own effects", async () => {
    await study.conversation("three", async (conversation) => {
      /** @type {{videoFormat: 'H264' | 'VP8', audioFx?: string, videoFx?: string}[]} */
      const wishes = [
        { videoFormat: "VP8", audioFx: "pitch pitch=0.8 name=voice" },
        { videoFormat: "H264", videoFx: "videobalance hue=1 name=face" },
        {
          videoFormat: "VP8",
          audioFx: "pitch pitch=1.25 name=voice",
          videoFx: "videobalance saturation=0 name=face",
        },
      ];
      const looks = [
        { ...itself(ann, "VP8"), frequency: 0.8 * ann.frequency },
        { colour: balanced(ben.colour, "H264", { hue: 1 }), frequency: ben.frequency },
        { colour: balanced(cleo.colour, "VP8", { saturation: 0 }), frequency: 1.25 * cleo.frequency },
      ];
      const three = [ann, ben, cleo];
      const pages = await Promise.all(
        three.map((person, index) =>
          conversation.join(person, {
            embed: index === 0 ? "mount" : "callback",
            peer: { size: 3, duration: 12, ...wishes[index] },
          }),
        ),
      );
      await Promise.all(pages.map((page) => page.event("start")));
      await Promise.all(pages.map((page, here) => page.meetsAll(looks.filter((_, there) => there !== here))));
      for (const page of pages)
        assert.equal((await page.observe()).pictures.length, 2, "nobody sees themselves");
      await Promise.all(pages.map((page) => page.event("end")));
      const recordings = await conversation.recordings();
      assert.deepEqual(recordings.map(({ user, what }) => `${user} ${what}`).sort(), [
        ...["ann dry", "ann wet", "ben dry", "ben wet", "cleo dry", "cleo wet"],
      ]);
      for (const recording of recordings) {
        const index = three.findIndex(({ userId }) => userId === recording.user);
        const dry = itself(three[index], wishes[index].videoFormat);
        assertShows(recording, recording.what === "wet" ? looks[index] : dry, 8);
      }
    });
  });

  test("of two with sound only", async () => {
    await study.conversation("sound", async (conversation) => {
      const peer = { audioOnly: true, duration: 6 };
      const annPage = await conversation.join(ann, {
        peer: { ...peer, audioFx: "pitch pitch=1.25 name=voice" },
        embed: "mount",
      });
      const benPage = await conversation.join(ben, { peer });
      await Promise.all([
        annPage.meets(ben, { colour: null }),
        benPage.meets(ann, { colour: null, frequency: 1.25 * ann.frequency }),
      ]);
      await Promise.all([annPage.event("end"), benPage.event("end")]);
      assert.deepEqual((await benPage.observe()).pictures, []);
      const recordings = await conversation.recordings();
      assert.deepEqual(
        recordings.map(({ user, extension }) => `${user} ${extension}`),
        ["ann ogg", "ann ogg", "ben ogg"],
      );
      for (const recording of recordings) {
        const { frequency } = recording.user === "ann" ? ann : ben;
        assertShows(
          recording,
          { frequency: recording.what.endsWith("wet") ? 1.25 * frequency : frequency },
          3,
        );
      }
    });
  });

  test("of eight: each sees and hears the seven others", async () => {
    await study.conversation("eight", async (conversation) => {
      const pages = await Promise.all(
        people.map((person, index) =>
          conversation.join(person, {
            embed: index % 2 === 0 ? "mount" : "callback",
            // Eight browsers and the server keep a small machine more than busy: all takes longer.
            peer: { size: 8, duration: 45, width: 160, height: 120, framerate: 5 },
          }),
        ),
      );
      await Promise.all(pages.map((page) => page.event("start", { limit: 60_000 })));
      await Promise.all(
        pages.map((page) => {
          const others = people.filter((person) => person !== page.person);
          return page.meetsAll(others, 45_000);
        }),
      );
      await Promise.all(pages.map((page) => page.event("end", { limit: 60_000 })));
      const recordings = await conversation.recordings();
      assert.equal(recordings.length, 8);
      for (const recording of recordings) {
        const person = people.find(({ userId }) => userId === recording.user);
        assert.ok(person);
        assertShowsWhatCame(recording, itself(person, "VP8"), 45);
      }
    });
  });
});
