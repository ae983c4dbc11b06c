// SPDX-License-Identifier: MPL-2.0

/** A browser and a participant without one, in the same conversation: each sees and hears the other. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Bot } from "./bot.js";
import { balanced, distance } from "./colour.js";
import { writeFilm } from "./film.js";
import { people } from "./people.js";
import { meanColour, readRecording, secondsOf, toneAt } from "./recording.js";
import { Study } from "./study.js";

const [ann, ben] = people;
const [DURATION, FRAMERATE] = [10, 15];
const SIZE = { width: 160, height: 120 };
/** Seconds of film: the call, and far more than it takes to meet. */
const FILM = 45;

/**
 * How a bot turns a film and a tone into what it sends, and what it receives into a file's tracks.
 * @type {Record<'H264' | 'VP8', {output: string, picture: string, sound: string, seen: string, heard: string}>}
 */
const WAYS = {
  // Encoded in, encoded out; as browsers encode: one slice a picture, no access unit delimiters.
  H264: {
    output: "encoded",
    picture: "! x264enc tune=zerolatency threads=1 aud=false key-int-max=15 ! video/x-h264,profile=constrained-baseline",
    sound: "! opusenc",
    seen: "! h264parse",
    heard: "! opusparse",
  },
  // Raw in, raw out. What comes through a network is timed to the millisecond, not to the sample: whoever
  // makes a file of it smooths that.
  VP8: { output: "raw", picture: "", sound: "", seen: "! vp8enc deadline=1", heard: "! audiorate ! opusenc" },
};

/** @param {string} name of a script under `pipelines/examples` */
const example = (name) => fileURLToPath(new URL(`../../pipelines/examples/${name}`, import.meta.url));

describe("a participant without a browser", () => {
  /** @type {Study} */
  let study;
  /** Where the bots' files are. */
  let folder = "";
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "ducksoup-bots-"));
    await writeFilm(join(folder, "film.rgb"), { colour: ben.colour, ...SIZE, frames: FILM * FRAMERATE });
    study = await Study.open();
  });
  after(async () => {
    await study?.close();
    await rm(folder, { recursive: true, force: true });
  });

  for (const videoFormat of /** @type {const} */ (["H264", "VP8"])) {
    const { output, picture, sound, seen, heard } = WAYS[videoFormat];
    test(`talks with a browser in ${videoFormat}, ${output} media in and out`, async () => {
      await study.conversation(`bot-${videoFormat}`, async (conversation) => {
        const options = { duration: DURATION, videoFormat, framerate: FRAMERATE, ...SIZE };
        const page = await conversation.join(ann, { peer: options });
        const seenFile = join(folder, `${conversation.name}.mkv`);
        const bot = await Bot.launch(
          `ducksouppeer name=p output=${output} signaller::uri=${study.server.signalling}
             signaller::interaction=${conversation.name} signaller::namespace=${conversation.namespace}
             signaller::user=${ben.userId} signaller::duration=${DURATION} signaller::size=2
             signaller::width=${SIZE.width} signaller::height=${SIZE.height}
             signaller::framerate=${FRAMERATE} signaller::video-format=${videoFormat}
             signaller::origin=${study.embedder.origin}
           filesrc location=${join(folder, "film.rgb")}
             ! rawvideoparse format=rgb width=${SIZE.width} height=${SIZE.height} framerate=${FRAMERATE}/1
             ! videoconvert ${picture} ! p.video_sink
           audiotestsrc is-live=true freq=${ben.frequency} volume=0.25 ${sound} ! p.audio_sink
           matroskamux name=seen ! filesink location=${seenFile}
           p.video_src_${ann.userId} ! queue ${seen} ! seen.
           p.audio_src_${ann.userId} ! queue ${heard} ! seen.`
            .trim()
            .split(/\s+/),
        );
        try {
          await Promise.all([page.event("start"), bot.told("start")]);
          await page.meets(ben);
          await page.event("end");
          await bot.ends();
        } finally {
          bot.kill();
        }
        const kinds = [...bot.output.matchAll(/ducksouppeer-([a-z-]+)/g)].map(([, kind]) => kind);
        assert.deepEqual(
          kinds.filter((kind) => kind !== "other-left"),
          ["joined", "other-joined", "start", "ending", "files", "end"],
        );

        // What the bot received.
        const received = await readRecording(seenFile, { live: true });
        const look = balanced(ann.colour, videoFormat, {});
        const shown = meanColour(received.frames.slice(FRAMERATE));
        assert.ok(distance(shown, look) < 22, `the bot saw ${shown} instead of ${look}`);
        const numbers = new Set(received.frames.map(({ number }) => number));
        assert.ok(numbers.size > (DURATION - 3) * FRAMERATE, `the bot saw ${numbers.size} pictures`);
        assert.ok(received.sound, "the bot heard something");
        const seconds = secondsOf(received.sound);
        assert.ok(seconds > DURATION - 3, `the bot heard ${seconds} s`);
        const tone = toneAt(received.sound, received.sound.start + seconds / 2);
        assert.ok(Math.abs(tone.frequency / ann.frequency - 1) < 0.02, `the bot heard ${tone.frequency} Hz`);

        // What the server recorded of the bot.
        const recordings = await conversation.recordings();
        const dry = recordings.find(({ user }) => user === ben.userId);
        assert.ok(dry?.sound, `a dry file with sound among ${recordings.map(({ path }) => path)}`);
        const recorded = meanColour(dry.frames);
        assert.ok(distance(recorded, ben.colour) < 22, `the server recorded ${recorded}`);
        assert.ok(dry.frames.length > (DURATION - 2) * FRAMERATE, `${dry.frames.length} pictures recorded`);
        const spoken = toneAt(dry.sound, DURATION / 2);
        assert.ok(Math.abs(spoken.frequency / ben.frequency - 1) < 0.02, `recorded ${spoken.frequency} Hz`);
      });
    });
  }

  test("is driven by a script of twenty lines, which lowers its voice", async () => {
    // Debian's own Python: the one with GStreamer's bindings.
    const bot = await Bot.run("/usr/bin/python3", [example("ducksouppeer.py"), study.server.signalling, "script"]);
    try {
      await bot.ends(30_000);
    } finally {
      bot.kill();
    }
    assert.match(bot.output, /files, bot=.*-wet\.mp4/);
    const names = await study.server.list("default", "script", "recordings");
    for (const [what, frequency] of /** @type {const} */ ([
      ["dry", 440],
      ["wet", 0.8 * 440],
    ])) {
      const name = names.find((candidate) => candidate.endsWith(`-${what}.mp4`));
      assert.ok(name, `a ${what} file among ${names}`);
      const { sound } = await readRecording(join(study.server.data, "default", "script", "recordings", name));
      assert.ok(sound);
      const tone = toneAt(sound, 3);
      assert.ok(Math.abs(tone.frequency / frequency - 1) < 0.02, `${what}: ${tone.frequency} Hz`);
    }
  });

  test("plays a file to another one who records it, as the examples show", async () => {
    const film = join(folder, "film.mp4");
    await promisify(execFile)("ffmpeg", [
      ...["-v", "error", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", `${SIZE.width}x${SIZE.height}`],
      ...["-r", `${FRAMERATE}`, "-i", join(folder, "film.rgb"), "-f", "lavfi"],
      ...["-i", `sine=frequency=${ben.frequency}`, "-t", "8", "-pix_fmt", "yuv420p", film],
    ]);
    const { signalling } = study.server;
    const watcher = await Bot.run(
      "sh",
      [example("ducksouppeer-watches.sh"), signalling, "examples", "confederate"],
      folder,
    );
    const confederate = await Bot.run("sh", [example("ducksouppeer-plays.sh"), film, signalling, "examples"]);
    try {
      await confederate.ends(30_000);
      watcher.interrupt();
      await watcher.ends();
    } finally {
      watcher.kill();
      confederate.kill();
    }
    const seen = await readRecording(join(folder, "confederate.webm"), { live: true });
    const shown = meanColour(seen.frames);
    assert.ok(distance(shown, ben.colour) < 22, `the watcher saw ${shown}`);
    assert.ok(seen.frames.length > 3 * FRAMERATE, `the watcher saw ${seen.frames.length} pictures`);
    const heard = await readRecording(join(folder, "confederate.wav"));
    assert.ok(heard.sound, "the watcher heard something");
    const tone = toneAt(heard.sound, 3);
    assert.ok(Math.abs(tone.frequency / ben.frequency - 1) < 0.02, `the watcher heard ${tone.frequency} Hz`);
  });
});
