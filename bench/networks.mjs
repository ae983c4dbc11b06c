#!/usr/bin/env node
// SPDX-License-Identifier: MPL-2.0

/**
 * What bad networks do to a call between two Chromiums: peer to peer, and through the server, where each of
 * the two has such a network of its own; both ends in one page, so on one clock. The links are those of
 * `ducksoup-bench network`.
 *
 *     node bench/networks.mjs [--format VP8] [--only loss] [--seconds 15] [--rounds 1] [--page bench/NETWORKS.md]
 *     node bench/networks.mjs --link="--rate 600000 --way down" --trace [--path server] [--warm 0]
 *
 * `--link`: a network of one's own, as options of `ducksoup-bench network`; `--trace`: what happens second by second.
 */

import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { parseArgs, promisify } from "node:util";
import { openBrowser } from "../tests/system/browser.js";
import { Server, program } from "../tests/system/server.js";
import { until, within } from "../tests/system/until.js";
import { openSite } from "./live_site.mjs";
import { CONDITIONS, HEAD, doubled, row, seconds as bySecond } from "./networks_table.mjs";
import { measured, put } from "./table.mjs";

/** ms until a link or a recording must be there. */
const LIMIT = 20_000;
/** ms between two looks of `--trace`. */
const LOOK = 250;
const SIZE = { width: 640, height: 480 };
const TITLE = "## Results";

const { values } = parseArgs({
  options: {
    format: { type: "string", default: "VP8" },
    only: { type: "string", default: "" },
    seconds: { type: "string", default: "15" },
    rounds: { type: "string", default: "1" },
    page: { type: "string" },
    link: { type: "string" },
    path: { type: "string" },
    warm: { type: "string", default: "6000" },
    trace: { type: "boolean", default: false },
    verbose: { type: "boolean", default: false },
  },
});
const { format, only, page: results, verbose, trace, link } = values;
/** ms that a call goes on before it is measured: senders raise their bitrate for 3 s, estimates take their time. */
const WARM = Number(values.warm);
/** Which calls there are. */
const PATHS = /** @type {const} */ (["peer", "server"]).filter((path) => !values.path || path === values.path);
/** Those of this name, else those with it in theirs. @param {string} sought */
const named = (sought) => {
  const exact = CONDITIONS.filter(({ name }) => name === sought);
  return exact.length > 0 ? exact : CONDITIONS.filter(({ name }) => name.includes(sought));
};
const conditions = link === undefined ? named(only) : [{ name: link, link: link.split(" ").filter(Boolean) }];
if (conditions.length === 0) throw new Error(`no such condition: ${only}; there are ${CONDITIONS.map(({ name }) => name).join(", ")}`);

/**
 * A bad connection to the server, and ways through the same links.
 * @param {string} signalling
 * @param {string[]} options
 */
async function openLink(signalling, options) {
  const path = process.env.DUCKSOUP_BENCH ?? join(dirname(await program()), "ducksoup-bench");
  const child = spawn(path, ["network", signalling, ...options], { stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const next = async () => String((await within(`${path} answers`, LIMIT, lines.next())).value);
  const door = await next();
  await next();
  /** Asked one after another. @type {Promise<unknown>} */
  let order = Promise.resolve();
  return {
    door,
    way: (/** @type {string} */ address) => {
      const answer = order.then(() => (child.stdin.write(`${address}\n`), next()));
      order = answer;
      return answer;
    },
    async close() {
      const exit = once(child, "exit");
      child.kill("SIGKILL");
      await exit;
    },
  };
}

/**
 * What the recordings of a run say.
 * @param {Server} server
 * @param {string} interaction
 * @returns {Promise<import("./networks_table.mjs").Recorded>}
 */
async function recorded(server, interaction) {
  const folder = join(server.data, "bench", interaction);
  // The run itself goes on: people may come back.
  const manifest = await until(`the files of ${interaction} are complete`, async () => {
    const name = (await server.list("bench", interaction)).find((one) => /^i-.*(?<!-events)\.json$/.test(one));
    const found = name && JSON.parse(await readFile(join(folder, name), "utf8"));
    return found?.files.length === 4 && found.files.every((/** @type {any} */ { complete }) => complete) && found;
  }, { limit: LIMIT });
  const dry = manifest.files.filter((/** @type {any} */ { what }) => what === "dry").flatMap((/** @type {any} */ { tracks }) => tracks);
  const missing = (/** @type {string} */ pad) =>
    dry
      .filter((/** @type {any} */ track) => track.pad === pad)
      .flatMap((/** @type {any} */ { gaps }) => gaps ?? [])
      .reduce((/** @type {number} */ sum, /** @type {any} */ { from, to }) => sum + (to - from) / 1e6, 0);
  const checked = await promisify(execFile)(await program(), ["verify", folder]).then(
    () => true,
    () => false,
  );
  return { sound: missing("dry_audio"), picture: missing("dry_video"), decodes: checked };
}

/**
 * What the server wrote of bitrates and keyframes.
 * @param {string} interaction
 */
async function told(interaction) {
  const text = await readFile(join(server.data, "bench", interaction, `${interaction}.log`), "utf8");
  const entries = text.trim().split("\n").map((line) => JSON.parse(line));
  const words = entries.filter(({ message }) => /^(estimate_|video_target_|video_out_bitrate|picture_|pli_|keyframe_)/.test(message));
  return words.map(({ time, user, message, value, source, cause }) => [time, user, message, value, source, cause].filter((part) => part !== undefined).join(" "));
}

/**
 * What goes through the connections, until the call is over.
 * @param {import("playwright-core").Page} page
 * @param {Promise<unknown>} going
 */
async function watched(page, going) {
  const flows = [];
  const over = going.then(
    () => "over",
    () => "over",
  );
  for (;;) {
    const look = page.evaluate(async (module) => (await import(module)).flow(), module);
    const seen = await Promise.race([look.catch(() => "over"), over]);
    if (seen === "over") return flows;
    flows.push(/** @type {import("./networks_table.mjs").Flowing} */ (seen));
    await new Promise((resolve) => setTimeout(resolve, LOOK));
  }
}

const site = await openSite();
const { origin, module } = site;
const server = await Server.start([origin]);
const chromium = await openBrowser({ givesWay: false });
let count = 0;

/**
 * One call.
 * @param {import("./networks_table.mjs").Condition} condition
 * @param {"peer" | "server"} path
 * @returns {Promise<import("./networks_table.mjs").Call>}
 */
async function call({ link, seconds }, path) {
  /** @type {import("./networks_table.mjs").Flowing[]} */
  const flows = [];
  const interaction = `networks-${count++}`;
  const length = Number(seconds ?? values.seconds) * 1000;
  const links = await Promise.all(
    // The other way round for the other one: no two lose the same packets.
    [1, 2].map((seed) => openLink(server.signalling, [...(path === "peer" ? doubled(link) : link), "--seed", String(seed + 10 * count)])),
  );
  const page = await (await chromium.browser.newContext({ permissions: ["camera", "microphone"] })).newPage();
  try {
    page.on("pageerror", (error) => console.error(String(error)));
    await page.exposeFunction("way", links[0].way);
    await page.goto(origin);
    await page.evaluate(
      async ({ module, settings }) => {
        // Who has been allowed to listen is told of addresses, not of names that only browsers know.
        const ears = await navigator.mediaDevices.getUserMedia({ audio: true });
        for (const track of ears.getTracks()) track.stop();
        await (await import(module)).prepare(settings);
      },
      { module, settings: { ...SIZE, script: server.script } },
    );
    const options = {
      ...{ interactionName: interaction, namespace: "bench", size: 2, ...SIZE, framerate: 25, duration: 240, videoFormat: format },
      ...{ signalingUrl: server.signalling, audioFx: "volume name=a", videoFx: "videobalance name=v" },
    };
    const going = page.evaluate(async ({ module, call }) => (await import(module)).round(call), {
      module,
      call: { path, format, options, warm: WARM, length, doors: links.map(({ door }) => door), led: true },
    });
    if (trace) flows.push(...(await watched(page, going)));
    const round = await going;
    const served = path === "server" && { recorded: await recorded(server, interaction), ...(trace && { log: await told(interaction) }) };
    return { round, length, flows, ...served };
  } finally {
    await page.context().close();
    for (const link of links) await link.close();
  }
}

try {
  const how = measured(chromium.browser.version());
  for (const condition of conditions) {
    /** @type {{peer: import("./networks_table.mjs").Call[], server: import("./networks_table.mjs").Call[]}} */
    const calls = { peer: [], server: [] };
    for (let round = 0; round < Number(values.rounds); round++) {
      for (const path of PATHS) calls[path].push(await call(condition, path));
    }
    if (trace) for (const { log } of calls.server) console.log(log?.join("\n"));
    if (trace) console.log(PATHS.map((path) => `${condition.name}, ${format}, ${path}\n${calls[path].map(bySecond).join("\n")}`).join("\n"));
    if (PATHS.length < 2) continue;
    const cells = row(`${condition.name}, ${format}`, calls, how);
    console.log(cells.map((cell, n) => `${HEAD[n]}: ${cell}`).join("\n  "));
    if (verbose) console.log(JSON.stringify(Object.values(calls).flatMap((all) => all.map(({ round }) => ({ video: round.video, audio: round.audio, sent: round.sent }))), null, 1));
    if (results) await put(results, TITLE, { name: "networks", head: HEAD, rows: [cells] });
  }
} catch (error) {
  console.error(server.log().slice(-3000));
  throw error;
} finally {
  await chromium.close();
  await server.stop();
  site.close();
}
