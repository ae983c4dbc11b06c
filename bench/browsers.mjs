#!/usr/bin/env node
// SPDX-License-Identifier: MPL-2.0

/**
 * Do the recordings of browsers share one time? Flashes and beeps in Chromium, then the same measurement as
 * of `ducksoup-bench recordings`:
 *
 *     node bench/browsers.mjs [--participants 2] [--seconds 30] [--video-format H264] [--table bench/RECORDINGS.md]
 */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { parseArgs, promisify } from "node:util";
import { openBrowser } from "../tests/system/browser.js";
import { Server, program } from "../tests/system/server.js";
import { within } from "../tests/system/until.js";
import { FRAMERATE, events } from "./page.mjs";

/** ms until everybody must be in the call. */
const MEETING_LIMIT = 60_000;
const [NAMESPACE, NAME] = ["bench", "browsers"];
const SIZE = { width: 320, height: 240 };

const { values } = parseArgs({
  options: {
    participants: { type: "string", default: "2" },
    seconds: { type: "string", default: "30" },
    "video-format": { type: "string", default: "H264" },
    table: { type: "string" },
  },
});
const { participants = "2", seconds = "30", "video-format": videoFormat = "H264", table } = values;

// As the test of src/recordings/schedule.rs.
assert.deepEqual(events(200), [25, 60, 93, 112, 138, 162, 191]);

const server = await Server.start([]);
const chromium = await openBrowser();
try {
  const script = await readFile(new URL("page.mjs", import.meta.url), "utf8");
  const origin = Date.now();
  const ends = Array.from({ length: Number(participants) }, async (_, index) => {
    const page = await (await chromium.browser.newContext()).newPage();
    const site = `${server.origin}/flashes`;
    await page.route(`${site}/`, (route) =>
      route.fulfill({ contentType: "text/html", body: `<script src="${server.script}"></script>` }),
    );
    await page.route(`${site}/page.mjs`, (route) =>
      route.fulfill({ contentType: "text/javascript", body: script }),
    );
    await page.goto(`${site}/`);
    const peer = {
      ...{ interactionName: NAME, userId: `p${index + 1}`, namespace: NAMESPACE, size: Number(participants) },
      ...{ ...SIZE, framerate: FRAMERATE, duration: Number(seconds), videoFormat },
      signalingUrl: server.signalling,
    };
    await page.evaluate(
      async ({ origin, size, peer, module }) => {
        const { install } = await import(module);
        install(origin, size);
        await new Promise((resolve, reject) => {
          /** @param {{kind: string}} event */
          const callback = ({ kind }) => {
            if (kind === "end") resolve(undefined);
            if (kind.startsWith("error")) reject(new Error(kind));
          };
          /** @type {any} */ (window).DuckSoup.render({ callback }, peer);
        });
      },
      { origin, size: SIZE, peer, module: `${site}/page.mjs` },
    );
  });
  await within("the conversation ends", MEETING_LIMIT + Number(seconds) * 1000, Promise.all(ends));
  const command = process.argv.slice(2).filter((word, at, all) => word !== "--table" && all[at - 1] !== "--table");
  const measure = [
    ...["recordings", "--folder", join(server.data, NAMESPACE, NAME), "--seconds", seconds],
    ...["--label", ["node bench/browsers.mjs", ...command].join(" "), ...(table ? ["--table", table] : [])],
  ];
  const bench = join(dirname(await program()), "ducksoup-bench");
  const { stdout, stderr } = await promisify(execFile)(bench, measure).catch((error) => error);
  process.stdout.write(stdout);
  process.stderr.write(stderr);
} finally {
  await chromium.close();
  await server.stop();
}
