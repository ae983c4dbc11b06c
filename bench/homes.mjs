#!/usr/bin/env node
// SPDX-License-Identifier: MPL-2.0

/**
 * What becomes of a participant at home, behind a router of their own, when the network fails in the middle
 * of a call, or lets little through from the beginning. Network namespaces, as root:
 *
 *     node bench/homes.mjs [--only "address"] [--format VP8] [--page bench/NETWORKS.md] [--keep]
 *
 * `--keep` keeps what the pages and the server said, as a test that fails does.
 */

import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs, promisify } from "node:util";
import { keepConnections } from "../tests/system/connections.js";
import { Home } from "../tests/system/home.js";
import { moveOut, withoutHosts } from "../tests/system/hosts.js";
import { people } from "../tests/system/people.js";
import { freePort, program } from "../tests/system/server.js";
import { Study } from "../tests/system/study.js";
import { until, within } from "../tests/system/until.js";
import { FAULT_HEAD, WAY_HEAD, faultRow, wayRow } from "./homes_table.mjs";
import { measured, put } from "./table.mjs";

const [ann, ben] = people;
/** ms of a call before the fault: senders raise their bitrate for 3 s. */
const WARM = 6000;
/** ms after it that are looked at: the longest pause of the library's, a try, a call's setup. */
const AFTERWARDS = 16_000;
/** ms of a call through a network that lets little through. */
const WAY = 12_000;
/** ms between two looks at what is seen and heard. */
const EVERY = 50;
/** ms until a page must be there. */
const LIMIT = 20_000;
const TITLE = "## At home";

/**
 * @typedef {object} Fault
 * @property {string} name
 * @property {number} seconds that it lasts
 * @property {(home: Home) => Promise<void>} begin
 * @property {(home: Home) => Promise<void>} [end]
 */
/** @type {Fault[]} */
const FAULTS = [
  ...[10, 20, 40].map((seconds) => ({
    name: `the line is dead for ${seconds} s`,
    ...{ seconds, begin: (/** @type {Home} */ home) => home.cut(), end: (/** @type {Home} */ home) => home.heal() },
  })),
  ...[10, 40].map((seconds) => ({
    name: `the computer has no network for ${seconds} s, and notices`,
    ...{ seconds, begin: (/** @type {Home} */ home) => home.unplug(), end: (/** @type {Home} */ home) => home.plug() },
  })),
  { name: "the computer's address changes", seconds: 0, begin: (home) => home.move() },
  { name: "the router's address changes", seconds: 0, begin: (home) => home.renumber() },
];

/**
 * @typedef {object} Way
 * @property {string} name
 * @property {RTCIceTransportPolicy} [policy]
 * @property {(home: Home, ports: number[]) => Promise<void>} [prepare] `ports`: of pages, WebSocket, and TURN
 */
/** @type {Way[]} */
const WAYS = [
  { name: "a router that translates addresses" },
  { name: "TURN only (`iceTransportPolicy`)", policy: "relay" },
  { name: "UDP blocked", prepare: (home) => home.refuseUdp() },
  { name: "nothing but TCP to the server's page and its TURN port", prepare: (home, ports) => home.allowOnly(ports) },
];

const { values } = parseArgs({
  options: {
    only: { type: "string", default: "" },
    format: { type: "string", default: "VP8" },
    page: { type: "string" },
    keep: { type: "boolean", default: false },
  },
});
const chosen = (/** @type {{name: string}} */ { name }) => name.includes(values.only ?? "");
const [faults, ways] = [FAULTS.filter(chosen), WAYS.filter(chosen)];
if (faults.length + ways.length === 0) throw new Error(`no such network: ${values.only}; there are ${[...FAULTS, ...WAYS].map(({ name }) => name).join("; ")}`);
const reason = await withoutHosts();
if (reason) throw new Error(reason);
await moveOut();

/** The one at home, and the other one, whoever's page was there first. @param {import("../tests/system/study.js").Conversation} conversation */
const both = ({ participants }) => [ann, ben].map(({ userId }) => {
  const found = participants.find((one) => one.userId === userId);
  if (!found) throw new Error(`${userId} is missing`);
  return found;
});

/** "20060102-150405.000" in ms since 1970. @param {string} text */
const timeOf = (text) => Date.parse(text.replace(/(....)(..)(..)-(..)(..)(......)/, "$1-$2-$3T$4:$5:$6Z"));

/**
 * What two pages, the server's log and the files say of a call that is over.
 * @param {Study} study
 * @param {import("../tests/system/study.js").Conversation} conversation
 * @param {{from: number, until: number, end: number}} times
 * @returns {Promise<import("./homes_table.mjs").Call>}
 */
async function findings(study, conversation, times) {
  const [home, other] = both(conversation);
  if (values.keep) console.error(await conversation.keep());
  const shown = { home: await home.shownAt(), other: await other.shownAt() };
  const folder = join(study.server.data, conversation.namespace, conversation.name);
  const text = await readFile(join(folder, `${conversation.name}.log`), "utf8");
  const lines = text.trimEnd().split("\n").map((line) => JSON.parse(line));
  const decodes = await promisify(execFile)(await program(), ["verify", folder]).then(
    () => true,
    (error) => (console.error(error.stdout, error.stderr), false),
  );
  const names = await conversation.recordingNames();
  const mine = names.filter((name) => name.includes(`-u-${ann.userId}-`)).map((name) => name.replace(/.*-c-(\d+)-(.*)\..*/, "$2 $1"));
  return {
    ...times,
    there: { samples: await other.samples(), shownAt: shown.home },
    here: { samples: await home.samples(), shownAt: shown.other },
    told: home.events,
    toldThere: other.events,
    log: lines.map(({ time, level, message }) => ({ at: timeOf(time), level, message })),
    files: mine.sort().join(", "),
    decodes,
  };
}

/**
 * A call from a home.
 * @param {Study} study
 * @param {Home} home
 * @param {{seconds: number, policy?: RTCIceTransportPolicy}} terms
 * @param {(conversation: import("../tests/system/study.js").Conversation) => Promise<{from: number, until: number, end: number}>} body
 * @returns {Promise<{call: import("./homes_table.mjs").Call, way: string}>}
 */
async function call(study, home, { seconds, policy }, body) {
  const chromium = await home.openBrowser();
  /** @type {{call: import("./homes_table.mjs").Call, way: string} | undefined} */
  let result;
  try {
    await study.conversation("home", async (conversation) => {
      const peer = { duration: seconds, videoFormat: values.format, logLevel: 2 };
      const pages = await Promise.all([
        conversation.join(ann, {
          ...{ browser: chromium.browser, before: keepConnections, embed: "mount" },
          peer: { ...peer, audioFx: "pitch pitch=0.8 name=voice", rtcConfig: policy && { iceTransportPolicy: policy } },
        }),
        conversation.join(ben, { embed: "mount", peer }),
      ]);
      for (const page of pages) await until(`${page.userId} looks and listens`, async () => (await page.startSampling(EVERY), true), { limit: LIMIT });
      const times = await body(conversation);
      const way = await wayOf(both(conversation)[0].page);
      await Promise.all(pages.map((page) => page.event("closed", { limit: seconds * 1000 })));
      result = { call: await findings(study, conversation, times), way };
    });
  } finally {
    await chromium.close();
  }
  if (!result) throw new Error("no call");
  return result;
}

/** The page's end of the way that media take now. @param {import("playwright-core").Page} page */
const wayOf = (page) =>
  page.evaluate(async () => {
    /** @type {Map<string, any>} */
    const stats = await /** @type {any} */ (window).connections.at(-1).getStats();
    const transport = [...stats.values()].find(({ type }) => type === "transport");
    const { candidateType, protocol, relayProtocol } = stats.get(stats.get(transport?.selectedCandidatePairId)?.localCandidateId) ?? {};
    return relayProtocol ? `${candidateType} over ${relayProtocol}` : `${candidateType}, ${protocol}`;
  });

/** @param {Study} study @param {Home} home @param {Fault} fault */
async function fault(study, home, { seconds, begin, end }) {
  const length = (WARM + seconds * 1000 + AFTERWARDS) / 1000 + 6;
  const { call: found } = await call(study, home, { seconds: length }, async (conversation) => {
    const [here, there] = both(conversation);
    await Promise.all([here.meets(ben), there.meets(ann, { frequency: 0.8 * ann.frequency })]);
    await here.ask("controlFx", "voice", "pitch", 1.25, 300);
    await there.meets(ann, { frequency: 1.25 * ann.frequency });
    await delay(WARM);
    const from = Date.now();
    await begin(home);
    await delay(seconds * 1000);
    await end?.(home);
    const healed = end ? Date.now() : from;
    await delay(AFTERWARDS);
    const effects = await there.meetsAll([{ ...ann, frequency: 1.25 * ann.frequency }], 1000).then(() => true, () => false);
    if (!effects) console.error("the other one does not hear the effect where it was left");
    return { from, until: healed, end: healed + AFTERWARDS };
  });
  return found;
}

/** @param {Study} study @param {Home} home @param {Way} way @param {number} turn */
async function through(study, home, { policy, prepare }, turn) {
  const ports = [study.server.origin, study.embedder.origin].map((origin) => Number(new URL(origin).port));
  await prepare?.(home, [...ports, turn]);
  return call(study, home, { seconds: WAY / 1000 + 8, policy }, async (conversation) => {
    const [here] = both(conversation);
    const { at: from } = await here.event("joined");
    const { at: start } = await here.event("start");
    await delay(WAY);
    return { from, until: from, end: start + WAY };
  });
}

/** @param {(study: Study, home: Home, turn: number) => Promise<void>} body */
async function inHome(body) {
  const home = await Home.open();
  const turn = await freePort();
  const settings = { DUCKSOUP_PUBLIC_IP: home.server, DUCKSOUP_TURN_ADDRESS: home.server, DUCKSOUP_TURN_PORT: String(turn) };
  const study = await Study.open(settings, "0.0.0.0");
  try {
    await body(study, home, turn);
  } finally {
    await within("the server ends", 60_000, study.close());
    await home.close();
  }
}

/** @param {string} name @param {string[]} head @param {string[]} cells */
async function tell(name, head, cells) {
  console.log(cells.map((cell, n) => `${head[n]}: ${cell}`).join("\n  "));
  if (values.page) await put(values.page, TITLE, { name, head, rows: [cells] });
}

for (const one of faults) {
  await inHome(async (study, home) => {
    const found = await fault(study, home, one);
    await tell("faults", FAULT_HEAD, faultRow(`${one.name}, ${values.format}`, found, measured(study.browser.version())));
  });
}
for (const one of ways) {
  await inHome(async (study, home, turn) => {
    const { call: found, way } = await through(study, home, one, turn);
    await tell("ways", WAY_HEAD, wayRow(`${one.name}, ${values.format}`, way, found, measured(study.browser.version())));
  });
}
