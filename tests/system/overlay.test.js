// SPDX-License-Identifier: MPL-2.0

/** The time in the picture, the GPU that is not there, and the plots of a run. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { corners, readClock } from "./clock.js";
import { people } from "./people.js";
import { Study } from "./study.js";
import { together, until } from "./until.js";

const run = promisify(execFile);
const SIZE = { width: 320, height: 240 };
const FRAMERATE = 15;

/**
 * Runs a mirror to its end.
 * @param {Study} study
 * @param {string} name
 * @param {number} index of the person
 * @param {Record<string, unknown>} peer
 * @param {(seen: {folder: string, conversation: import('./study.js').Conversation, recordings: import('./study.js').NamedRecording[]}) => Promise<void>} judge
 */
const mirror = (study, name, index, peer, judge) =>
  study.conversation(name, async (conversation) => {
    const options = { size: 1, duration: 8, ...SIZE, framerate: FRAMERATE, ...peer };
    const page = await conversation.join(people[index], { peer: options });
    await page.event("end");
    const recordings = await conversation.recordings();
    await judge({
      folder: join(study.server.data, conversation.namespace, conversation.name),
      conversation,
      recordings,
    });
  });

/** Names of recordings, shortly. @param {import('./study.js').NamedRecording[]} recordings */
const kinds = (recordings) => recordings.map(({ what, extension }) => `${what}.${extension}`);

/**
 * A recording shows the time of its pictures. One that the frame grid repeats, because the browser's was
 * late, shows the time of the picture that it repeats: a little earlier, never later.
 * @param {string} path
 */
async function showsTheTime(path) {
  const all = await corners(path, SIZE);
  assert.ok(all.length > 60, `${all.length} pictures`);
  const lates = [];
  for (const part of [0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]) {
    const corner = all[Math.floor(part * all.length)];
    const candidates = [-15, -2, -1, 0, 1, 2, 15].map((frames) => corner.time + frames / FRAMERATE);
    const { time, likeness } = await readClock(corner, candidates, SIZE);
    lates.push(Math.round((corner.time - time) * FRAMERATE));
    assert.ok(likeness > 0.5, `likeness ${likeness}`);
  }
  assert.ok(
    lates.every((late) => late >= 0 && late <= 2),
    `pictures show a time of ${lates} frames earlier`,
  );
  assert.ok(lates.filter((late) => late === 0).length > lates.length / 2, `${lates} frames earlier`);
}

/**
 * A recording shows nothing in that corner.
 * @param {string} path
 */
async function showsNoTime(path) {
  const written = (await corners(path, SIZE)).filter(({ bright }) => bright.includes(1));
  assert.equal(written.length, 0, "pictures with something in the corner");
}

describe("a server with a GPU it does not have, that draws plots", () => {
  /** @type {Study} */
  let study;
  before(async () => {
    study = await Study.open({ DUCKSOUP_GENERATE_PLOTS: "true", DUCKSOUP_NVCODEC: "true" });
  });
  after(() => study?.close());

  /**
   * The plots of a run, as text.
   * @param {string} folder
   * @param {string} recording its path
   */
  async function plots(folder, recording) {
    const name = recording.replace(/^.*\//, "").replace(/-dry\.\w+$/, "-plots.pdf");
    return (await run("pdftotext", ["-layout", join(folder, "plots", name), "-"])).stdout;
  }

  /**
   * The log, once it tells that the plots are drawn: that is after the last word to the pages.
   * @param {string} path
   * @returns {Promise<{message: string, error: string}[]>}
   */
  const logOf = (path) =>
    until("the plots are drawn", async () => {
      const lines = (await readFile(path, "utf8")).trim().split("\n");
      const entries = lines.map((line) => JSON.parse(line));
      return entries.some(({ message }) => message === "plots_written") && entries;
    });

  test("shows and records the time where pictures are made anew, and nowhere else", async () => {
    await together([
      mirror(study, "clock", 0, { overlay: true, gpu: true, videoFormat: "H264" }, async (seen) => {
        const { folder, recordings, conversation } = seen;
        assert.deepEqual(kinds(recordings), ["dry.mp4", "wet.mp4"], "no effect, but not as it came");
        const [dry, wet] = recordings.map(({ path }) => join(study.server.data, path));
        await showsTheTime(wet);
        await showsNoTime(dry);

        const log = await logOf(join(folder, `${conversation.name}.log`));
        const refusals = log.filter(({ message }) => message === "gpu_unavailable");
        assert.equal(refusals.length, 1, JSON.stringify(refusals));
        assert.match(refusals[0].error, /GPU/);

        const page = await plots(folder, recordings[0].path);
        for (const words of [
          ...["Participant ann", "Video bitrate (kbit/s)", "Audio bitrate (kbit/s)", "Frame rate (frames/s)"],
          ...["Height of the browser's picture (px)", "keyframe: browser encoded", "seconds since the start"],
        ]) {
          assert.ok(page.includes(words), `${words}: ${page}`);
        }
      }),
      mirror(
        study,
        "untouched",
        1,
        { overlay: true, recordingMode: "passthrough", videoFormat: "VP8" },
        async ({ recordings }) => {
          assert.deepEqual(kinds(recordings), ["dry.mkv"]);
          await showsNoTime(join(study.server.data, recordings[0].path));
        },
      ),
    ]);
  });
});

describe("a server that shows everybody the time", () => {
  /** @type {Study} */
  let study;
  before(async () => {
    study = await Study.open({ DUCKSOUP_FORCE_OVERLAY: "true" });
  });
  after(() => study?.close());

  test("records it in the wet picture alone, and draws no plots", async () => {
    await mirror(study, "forced-clock", 2, { recordingMode: "split", videoFormat: "VP8" }, async (seen) => {
      const files = ["audio-dry.ogg", "video-dry.mkv", "video-wet.mkv"];
      assert.deepEqual(kinds(seen.recordings), files);
      const [, dry, wet] = seen.recordings.map(({ path }) => join(study.server.data, path));
      await showsTheTime(wet);
      await showsNoTime(dry);
      const { namespace, name } = seen.conversation;
      assert.deepEqual(await study.server.list(namespace, name, "plots"), []);
    });
  });
});
