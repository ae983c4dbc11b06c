// SPDX-License-Identifier: MPL-2.0

/** Two makes of browser in one conversation. */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { balance, balanced, distance } from "./colour.js";
import { openFirefox } from "./firefox.js";
import { people } from "./people.js";
import { meanColour, toneAt } from "./recording.js";
import { Study } from "./study.js";
import { until } from "./until.js";

const [ann, ben] = people;
const DURATION = 12;

describe("Firefox", () => {
  /** @type {Study} */
  let study;
  /** @type {Awaited<ReturnType<typeof openFirefox>>} */
  let firefox;
  before(async () => {
    [study, firefox] = await Promise.all([Study.open(), openFirefox()]);
  });
  after(async () => {
    await firefox?.close();
    await study?.close();
  });

  test("talks with Chromium in VP8: each sees and hears the other, changed, live and in the files", async () => {
    await study.conversation("makes", async (conversation) => {
      // Other than Chromium, Firefox sends a canvas in the colour space that VP8 is shown in.
      const wet = { colour: balance(ann.colour, { hue: 1 }), frequency: 0.8 * ann.frequency };
      const peer = { duration: DURATION, videoFormat: "VP8" };
      const inFirefox = await conversation.join(ann, {
        browser: firefox.browser,
        embed: "mount",
        peer: { ...peer, audioFx: "pitch pitch=0.8 name=voice", videoFx: "videobalance hue=1 name=face" },
      });
      const inChromium = await conversation.join(ben, { peer });
      const [start] = await Promise.all([inFirefox.event("start"), inChromium.event("start")]);
      await Promise.all([inFirefox.meets(ben), inChromium.meets(ann, wet)]);
      await until("two seconds are recorded", () => Date.now() - start.at > 2000);
      // A ramp that is asked for in Firefox is seen in Chromium.
      await inFirefox.ask("controlFx", "voice", "pitch", 1.25, 200);
      await inChromium.meets(ann, { ...wet, frequency: 1.25 * ann.frequency });
      await Promise.all([inFirefox.event("end"), inChromium.event("end")]);
      for (const page of [inFirefox, inChromium]) {
        await page.event("closed");
        assert.equal(page.kinds.at(-1), "closed");
      }

      const recordings = await conversation.recordings();
      assert.deepEqual(
        recordings.map(({ user, what, extension }) => `${user} ${what}.${extension}`).sort(),
        ["ann dry.mkv", "ann wet.mkv", "ben dry.mkv"],
      );
      for (const { path, user, what, frames, sound } of recordings) {
        const dry = user === "ann" ? ann : { ...ben, colour: balanced(ben.colour, "VP8", {}) };
        const look = what === "wet" ? wet : dry;
        const time = what === "wet" ? 1 : DURATION / 2;
        // On a machine that is short of time, Firefox's microphone falls silent for moments.
        const times = what === "wet" ? [time] : Array.from({ length: DURATION - 2 }, (_, index) => index + 1);
        const shown = meanColour(frames, time - 1, time);
        assert.ok(distance(shown, look.colour) < 22, `${path}: ${shown} instead of ${look.colour}`);
        assert.ok(sound, `${path} has sound`);
        const tones = times.map((at) => toneAt(sound, at).frequency);
        const right = tones.filter((frequency) => Math.abs(frequency / look.frequency - 1) < 0.02);
        assert.ok(right.length > tones.length / 2, `${path}: ${tones.map(Math.round)} Hz`);
      }
    });
  });

  test("comes back after a reload, and is seen again", async () => {
    await study.conversation("reloads", async (conversation) => {
      const peer = { duration: 25, videoFormat: "VP8" };
      const inFirefox = await conversation.join(ann, { browser: firefox.browser, peer });
      const inChromium = await conversation.join(ben, { embed: "mount", peer });
      await Promise.all([inFirefox.meets(ben), inChromium.meets(ann)]);
      await inFirefox.reload();
      assert.equal((await inFirefox.event("joined")).payload.context, "reconnection");
      await Promise.all([inFirefox.meets(ben), inChromium.meets(ann)]);
    });
  });

  test("that is asked for a format it has not gets a typed error, and no black picture", async () => {
    await study.conversation("format", async (conversation) => {
      const page = await conversation.join(ann, {
        browser: firefox.browser,
        peer: { size: 1, videoFormat: "H264" },
      });
      const { payload } = await page.event("error-peer-connection");
      assert.match(payload, /no format of the video/);
      await page.event("closed");
      assert.deepEqual(await conversation.recordingNames(), []);
    });
  });
});
