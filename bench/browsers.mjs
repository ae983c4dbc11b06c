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
import { once } from "node:events";
import { createServer } from "node:http";
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

const script = await readFile(new URL("page.mjs", import.meta.url));
const site = createServer(({ url }, response) => {
  const [type, body] = url === "/page.mjs" ? ["text/javascript", script] : ["text/html", ""];
  response.writeHead(200, { "content-type": type }).end(body);
}).listen(0, "127.0.0.1");
await once(site, "listening");
const address = site.address();
assert(address && typeof address === "object");
const origin = `http://localhost:${address.port}`;

const server = await Server.start([origin]);
const chromium = await openBrowser({ givesWay: false });
try {
  const beginning = Date.now();
  const uptime = Number(process.hrtime.bigint()) / 1e6;
  const ends = Array.from({ length: Number(participants) }, async (_, index) => {
    const page = await (await chromium.browser.newContext()).newPage();
    await page.goto(origin);
    await page.addScriptTag({ url: server.script });
    const peer = {
      ...{ interactionName: NAME, userId: `p${index + 1}`, namespace: NAMESPACE, size: Number(participants) },
      ...{ ...SIZE, framerate: FRAMERATE, duration: Number(seconds), videoFormat },
      signalingUrl: server.signalling,
    };
    return page.evaluate(
      async ({ beginning, uptime, size, peer, module }) => {
        const { faults, install } = await import(module);
        install(beginning, uptime, size);
        await new Promise((resolve, reject) => {
          /** @param {{kind: string, payload?: unknown}} event */
          const callback = ({ kind, payload }) => {
            if (kind === "end") resolve(undefined);
            if (kind.startsWith("error")) reject(new Error(`${kind}: ${JSON.stringify(payload)}`));
          };
          /** @type {any} */ (window).DuckSoup.render({ callback }, peer);
        });
        return faults;
      },
      { beginning, uptime, size: SIZE, peer, module: `${origin}/page.mjs` },
    );
  });
  const limit = MEETING_LIMIT + Number(seconds) * 1000;
  const faults = await within("the conversation ends", limit, Promise.all(ends));
  /** @param {number[]} all */
  const most = (all) => [...all].sort((one, other) => one - other)[Math.floor(all.length * 0.95)].toFixed(1);
  for (const { pictures, sounds } of faults) {
    console.log(`the page: pictures up to ${most(pictures)} ms late (95 %), sound up to ${most(sounds)}`);
  }
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
  site.close();
  site.closeAllConnections();
}
