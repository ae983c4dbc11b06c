// SPDX-License-Identifier: MPL-2.0

/** The logs of a whole interaction, against the reference: docs/logs.md, which is made from the server's own table. */

import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { people } from "./people.js";
import { Study } from "./study.js";
import { until } from "./until.js";

const [ann, ben] = people;

/** @typedef {Record<string, any>} Entry */

/** Properties that any entry may have. */
const COMMON = ["level", "time", "context", "message", "namespace", "interaction", "user"];
const TIMES = ["sinceCreation", "sinceStart"];

/** A type for each property that is the same wherever it stands. */
const TYPES = /** @type {const} */ ({
  origin: "string",
  cause: "string",
  payload: ["string", "object"],
  count: "number",
  lost: "number",
  ssrc: "number",
  track: "string",
  mime: "string",
  type: "string",
  kind: "string",
  unit: "string",
  name: "string",
  property: "string",
  duration: "number",
  error: "string",
  reason: "string",
  recording_prefix: "string",
  path: "string",
  file: "string",
  category: "string",
  previous: "number",
  fraction: "number",
  connection: "number",
  stage: "number",
  packets: "object",
  sinceCreation: "number",
  sinceStart: "number",
});

/**
 * What the interaction's log of this test must hold, with the properties that must be there, as in the README's
 * reference. What is missing of it needs a bad network (loss_threshold_exceeded), a browser that is not offered FIR
 * (client_pli_received_count_updated), a quick return (duplicate_track_skipped), a
 * client in trouble (client_message), a storm of requests (pli_skipped), a
 * fault (gstreamer_pipeline_error, app_panicked), or is in CANNOT.
 * @type {Record<string, string[]>}
 */
const MUST = {
  peer_server_started: ["user"],
  peer_server_ended: ["user", "cause"],
  interaction_ending_sent: ["user"],
  interaction_created: ["user", "origin"],
  peer_joined: ["user", "payload"],
  in_track_added: ["user"],
  interaction_started: [],
  interaction_ended: [],
  interaction_deleted: [],
  in_track_received: ["user", "track", "ssrc", "mime", "type"],
  client_fx_control: ["user", "name", "property", "value"],
  audio_in_bitrate: ["user", "value", "unit"],
  video_in_bitrate: ["user", "value", "unit"],
  audio_target_bitrate_updated: ["user", "value", "unit"],
  video_target_bitrate_updated: ["user", "value", "unit"],
  estimate_updated: ["user", "value", "unit"],
  audio_out_bitrate: ["user", "value", "unit"],
  video_out_bitrate: ["user", "value", "unit"],
  out_track_stopped: ["user", "track", "kind"],
  pli_sent: ["user", "cause"],
  audio_in_report: ["user", "lost", "count"],
  video_in_report: ["user", "lost", "count"],
  client_video_resolution_updated: ["user", "source", "value"],
  client_video_fps_updated: ["user", "source", "value"],
  client_fir_received_count_updated: ["user", "source", "value"],
  client_keyframe_encoded_count_updated: ["user", "source", "value"],
  client_keyframe_decoded_count_updated: ["user", "source", "value"],
  pipeline_created: ["user"],
  pipeline_started: ["user", "recording_prefix"],
  pipeline_stopped: ["user"],
  pipeline_deleted: ["user"],
  server_signaling_state_changed: ["user", "value"],
  server_selected_candidate_pair: ["user", "value"],
  client_selected_candidate_pair: ["user", "source", "payload"],
  server_create_offer_requested: ["user", "cause"],
  ext_mark: ["user", "source", "payload"],
  // Beyond the reference.
  client_fx_control_refused: ["user", "name", "property", "value", "error"],
  client_connection_state_changed: ["user", "source", "payload"],
  client_signaling_state_changed: ["user", "source", "payload"],
  fxcontrol_started: ["user", "name", "property", "value", "onset"],
  fxcontrol_finished: ["user", "name", "property", "value", "onset"],
  file_finished: ["user", "file"],
  rtcp_received: ["user", "packets"],
  rtcp_sent: ["user", "packets"],
};

/** The same where pictures are only forwarded: who receives them asks whoever encodes them. @type {Record<string, string[]>} */
const MUST_WHERE_NOTHING_IS_ENCODED = {
  gstreamer_pli_requested: ["user", "cause"],
};

/** @type {Record<string, string[]>} the same of the global log */
const MUST_GLOBALLY = {
  app_started: ["address", "version"],
  app_ended: [],
  websocket_upgraded: ["origin"],
  peer_server_started: ["user", "namespace", "interaction"],
  peer_server_ended: ["user", "namespace", "interaction", "cause"],
  not_found: ["path"],
  stage_opened: ["namespace", "interaction"],
  stage_ended: ["stage"],
};

/** Messages of the reference that cannot occur here; docs/parity.md says why. */
const CANNOT = ["own_track_skipped", "pipeline_not_found", "track_write_failed", "js_build"];

/** Messages whose words are free, and what they must have. */
const FREE = [
  { context: "ext", message: /^ext_/, properties: ["source", "payload"] },
  { context: "signaling", message: /^client_ice_connection_state_/, properties: ["source", "payload"] },
  { context: "track", message: /^client_/, properties: ["source", "value"] },
  { context: "gstreamer", message: /(?:)/, properties: ["category", "element"] },
];

/**
 * The reference: docs/logs.md's tables.
 * @returns {Promise<Map<string, {context: string, level: string, properties: string[], places: string[]}>>}
 */
async function reference() {
  const page = await readFile(new URL("../../docs/logs.md", import.meta.url), "utf8");
  const table = new Map();
  let context = "";
  for (const line of page.split("\n")) {
    context = /^### `(\w+)`/.exec(line)?.[1] ?? context;
    const row = /^\| `(\w+)` \| (\w+) \(\d\) \| ([gi, ]+) \| .* \| (.*) \|$/.exec(line);
    if (!row) continue;
    const [, message, level, places, properties] = row;
    const names = [...properties.matchAll(/(?:^|; )`([\w-]+)`: /g)].map(([, name]) => name);
    table.set(message, { context, level, properties: names, places: places.split(", ") });
  }
  assert.ok(table.size > 80, "the tables of docs/logs.md are understood");
  return table;
}

/** @param {string} text @returns {Entry[]} */
const entries = (text) =>
  text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));

/**
 * That an entry is what the reference says.
 * @param {Entry} entry
 * @param {string} place `g` or `i`
 * @param {Awaited<ReturnType<typeof reference>>} table
 */
function assertDocumented(entry, place, table) {
  const text = JSON.stringify(entry);
  for (const name of ["level", "time", "context", "message"]) assert.equal(typeof entry[name], "string", text);
  assert.match(entry.time, /^\d{8}-\d{6}\.\d{3}$/, text);
  const about = table.get(entry.message);
  const free = FREE.find(({ context, message }) => context === entry.context && message.test(entry.message));
  assert.ok(about || free, `not in the reference: ${text}`);
  if (about) {
    assert.equal(entry.context, about.context, text);
    assert.equal(entry.level, about.level, text);
    assert.ok(about.places.includes(place), `${text} in ${place}`);
  }
  const known = [...COMMON, ...(place === "i" ? TIMES : ["caller"]), ...((about ?? free)?.properties ?? [])];
  for (const [name, value] of Object.entries(entry)) {
    assert.ok(known.includes(name), `${name} is not in the reference: ${text}`);
    const type = /** @type {Record<string, string | readonly string[]>} */ (TYPES)[name];
    if (type && value !== null) assert.ok([type].flat().includes(typeof value), `${name}: ${text}`);
  }
}

/**
 * @param {Entry[]} log
 * @param {Record<string, string[]>} must
 */
function assertHolds(log, must) {
  for (const [message, properties] of Object.entries(must)) {
    const found = log.filter((entry) => entry.message === message);
    assert.ok(found.length > 0, `${message} is missing`);
    for (const entry of found) {
      for (const name of properties) {
        assert.ok(name in entry && entry[name] !== null, `${name} is missing: ${JSON.stringify(entry)}`);
      }
    }
  }
}

/** @param {Entry[]} log */
function assertTimes(log) {
  const started = log.findIndex(({ message }) => message === "interaction_started");
  // t0 lies a little ahead of the entry that tells of it.
  let [creation, start] = [0, -1000];
  for (const [index, entry] of log.entries()) {
    const text = JSON.stringify(entry);
    assert.ok(entry.sinceCreation >= creation, `earlier than the entry before: ${text}`);
    creation = entry.sinceCreation;
    assert.equal("sinceStart" in entry, index >= started, `sinceStart is told from the start on: ${text}`);
    if (index < started) continue;
    assert.ok(entry.sinceStart >= start, `earlier than the entry before: ${text}`);
    start = entry.sinceStart;
    const apart = entry.sinceCreation - entry.sinceStart - log[started].sinceCreation + log[started].sinceStart;
    // Both are whole milliseconds.
    assert.ok(Math.abs(apart) <= 1, `both times go alike: ${text}`);
  }
}

/**
 * That nothing is told that is nobody's business.
 * @param {Entry[]} log
 * @param {string[]} secrets
 * @param {string} data the data folder
 */
function assertDiscreet(log, secrets, data) {
  /** @type {(value: unknown, name: string, entry: Entry) => void} */
  const look = (value, name, entry) => {
    if (value && typeof value === "object") {
      for (const [key, inner] of Object.entries(value)) look(inner, key, entry);
    } else if (typeof value === "string") {
      const text = JSON.stringify(entry);
      for (const secret of secrets) assert.ok(!value.includes(secret), `a secret: ${text}`);
      assert.doesNotMatch(value, /ice-pwd|ice-ufrag|fingerprint:/, text);
      // A page's path, and an object's place in the pipeline, are no files.
      if (["path", "element"].includes(name)) return;
      for (const [path] of value.matchAll(/(?<![\w./:])\/[\w.-]+\/[\w./-]+/g)) {
        assert.ok(path.startsWith(data), `a path outside the data folder: ${text}`);
      }
    }
  };
  for (const entry of log) for (const [name, value] of Object.entries(entry)) look(value, name, entry);
}

/**
 * The values of a message, of one user.
 * @param {Entry[]} log
 * @param {string} message
 * @param {string} user
 * @returns {any[]}
 */
const values = (log, message, user) =>
  log.filter((entry) => entry.message === message && entry.user === user).map(({ value }) => value);

/**
 * Opens a study whose global log goes to a file.
 * @param {Record<string, string>} settings
 * @param {(study: Study) => Promise<void>} body
 * @returns {Promise<{global: Entry[], printed: string}>} what it says after its end
 */
async function logged(settings, body) {
  const folder = await mkdtemp(join(tmpdir(), "ducksoup-logs-"));
  const file = join(folder, "log", "ducksoup.log");
  try {
    const study = await Study.open({ ...settings, DUCKSOUP_LOG_FILE: file });
    try {
      await body(study);
    } finally {
      await study.close();
    }
    return { global: entries(await readFile(file, "utf8")), printed: study.server.log() };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * An interaction's log, once it has its last entry.
 * @param {Study} study
 * @param {import('./study.js').Conversation} conversation
 */
async function interactionLog(study, { namespace, name }) {
  const file = join(study.server.data, namespace, name, `${name}.log`);
  const text = await until("the interaction is deleted", async () => {
    const written = await readFile(file, "utf8");
    return written.includes('"interaction_deleted"') && written;
  });
  return entries(text);
}

describe("the logs", () => {
  test("of a whole interaction hold what the reference promises, and nothing else", async () => {
    const table = await reference();
    for (const message of CANNOT) assert.ok(!table.has(message), `${message} cannot occur`);
    const password = "never-to-be-told";
    /** @type {Entry[]} */
    let log = [];
    /** @type {Entry[]} */
    let forwarded = [];
    let data = "";
    const settings = {
      DUCKSOUP_LOG_LEVEL: "4",
      DUCKSOUP_TEST_PASSWORD: password,
      DUCKSOUP_INTERCEPT_GST_LOGS: "true",
      // Changes of state are told by every element of everybody.
      GST_DEBUG: "2,GST_STATES:4",
    };
    const { global, printed } = await logged(settings, async (study) => {
      data = study.server.data;
      assert.equal((await fetch(`${study.server.origin}/nowhere`)).status, 404);
      await study.conversation("logs", async (conversation) => {
        const peer = { duration: 25, videoFormat: "VP8", logLevel: 2 };
        const annPage = await conversation.join(ann, {
          embed: "mount",
          peer: { ...peer, audioFx: "pitch pitch=0.8 name=voice" },
        });
        const benPage = await conversation.join(ben, { peer });
        await Promise.all([annPage, benPage].map((page) => page.event("start", { limit: 60_000 })));
        await annPage.ask("controlFx", "voice", "pitch", 1.25, 500);
        await annPage.ask("controlFx", "voice", "tune", 1);
        await annPage.ask("serverLog", "mark", "hello");
        await annPage.meets(ben);
        await benPage.reload();
        await benPage.event("start", { limit: 60_000 });
        await annPage.meets(ben);
        await Promise.all([annPage, benPage].map((page) => page.event("end", { limit: 60_000 })));
        log = await interactionLog(study, conversation);
      });
      await study.conversation("forwarded", async (conversation) => {
        const peer = { duration: 4, videoFormat: "VP8", recordingMode: "bypass" };
        const pages = await Promise.all([ann, ben].map((person) => conversation.join(person, { peer })));
        await Promise.all(pages.map((page) => page.event("end", { limit: 60_000 })));
        forwarded = await interactionLog(study, conversation);
      });
    });

    for (const entry of [...log, ...forwarded]) assertDocumented(entry, "i", table);
    for (const entry of global) assertDocumented(entry, "g", table);
    assertHolds(log, MUST);
    assertHolds(forwarded, MUST_WHERE_NOTHING_IS_ENCODED);
    assertHolds(global, MUST_GLOBALLY);
    assertTimes(log);
    assertDiscreet([...log, ...global], [password], data);
    // GStreamer may speak before anybody is there.
    assert.equal(log.find(({ context }) => context !== "gstreamer")?.message, "interaction_created");
    assert.equal(log.at(-1)?.message, "interaction_deleted");
    assert.equal(global.find(({ context }) => context === "app")?.message, "app_started");
    assert.equal(global.at(-1)?.message, "app_ended");
    for (const { context, user, source, message } of log) {
      if (context === "track" || source) assert.ok(user, `${message} is somebody's`);
    }

    const control = log.find(({ message }) => message === "client_fx_control");
    assert.deepEqual(
      [control?.user, control?.name, control?.property, control?.value, control?.duration, control?.target],
      ["ann", "voice", "pitch", 1.25, 500, "ann"],
    );
    const mark = log.find(({ message }) => message === "ext_mark");
    assert.deepEqual([mark?.source, mark?.payload, mark?.user], ["client", "hello", "ann"]);
    assert.equal(values(log, "peer_joined", "ben").length, 2, "ben came back");
    const causes = log
      .filter(({ message, user }) => message === "peer_server_ended" && user === "ben")
      .map(({ cause }) => cause);
    assert.equal(causes.length, 2);
    assert.ok(["websocket_closed", "replaced"].includes(causes[0]), causes[0]);
    assert.equal(causes[1], "interaction_over");
    const mimes = log.filter(({ message }) => message === "in_track_received").map(({ mime }) => mime);
    assert.deepEqual([...new Set(mimes)].sort(), ["audio/opus", "video/VP8"]);

    // Figures of media that flow: Opus at 32 kbit/s or more, 50 packets a second on a good day.
    for (const user of ["ann", "ben"]) {
      for (const [message, least] of /** @type {const} */ ([
        ["audio_in_bitrate", 10_000],
        ["video_in_bitrate", 5000],
        ["audio_out_bitrate", 10_000],
        ["video_out_bitrate", 5000],
      ])) {
        const rates = values(log, message, user);
        assert.ok(rates.length >= 5, `${message} of ${user} is told each second: ${rates}`);
        assert.ok(Math.max(...rates) > least && Math.max(...rates) < 5e6, `${message} of ${user}: ${rates}`);
      }
      const reports = log.filter(({ message, user: of }) => message === "audio_in_report" && of === user);
      assert.ok(Math.max(...reports.map(({ count }) => count)) > 20, `packets of ${user} are counted`);
    }

    // What each can take of what the other sends; nobody's connection is bad here.
    for (const user of ["ann", "ben"]) {
      const [first] = values(log, "estimate_updated", user);
      assert.equal(first, 64_000 + 300_000, `${user}'s connection is estimated: at first, what most take`);
    }

    // RTCP in and out, transport-wide feedback included.
    const packets = (/** @type {string} */ way) =>
      new Set(log.filter(({ message }) => message === way).flatMap((entry) => entry.packets).map(({ type }) => type));
    for (const type of ["SR", "SDES", "TWCC"]) assert.ok(packets("rtcp_received").has(type), `${type} comes in`);
    for (const type of ["TWCC", "SDES"]) assert.ok(packets("rtcp_sent").has(type), `${type} goes out`);

    // GStreamer's words, attributed where they can be.
    const words = log.filter(({ category }) => category === "GST_STATES");
    for (const user of ["ann", "ben"]) {
      const own = words.filter((entry) => entry.user === user);
      assert.ok(own.some(({ element }) => element?.includes("/peer-") || element?.includes(":peer-")), user);
    }
    assert.ok(words.every(({ level }) => level === "info"));

    // The same on standard output, readable.
    assert.match(printed, /^\d{8}-\d{6}\.\d{3} INFO {2}\[interaction\] interaction_created /m);
    assert.match(printed, /^\d{8}-\d{6}\.\d{3} INFO {2}\[app\] app_started /m);
    assert.ok(!printed.includes("\u001b["), "no colours without a terminal");
  });

  test("at level 2 hold the course of things alone, also of an interaction that never starts", async () => {
    const table = await reference();
    /** @type {Entry[]} */
    let log = [];
    const settings = { DUCKSOUP_LOG_LEVEL: "2", DUCKSOUP_ABORT_DELAY: "5" };
    const { global } = await logged(settings, async (study) => {
      await study.conversation("alone", async (conversation) => {
        const page = await conversation.join(ann);
        await page.event("error-aborted", { limit: 60_000 });
        log = await interactionLog(study, conversation);
      });
    });
    for (const entry of log) assertDocumented(entry, "i", table);
    for (const entry of global) assertDocumented(entry, "g", table);
    const levels = new Set([...log, ...global].map(({ level }) => level));
    for (const level of levels) assert.ok(["error", "warn", "info"].includes(level), level);
    const course = log.filter(({ context }) => context === "interaction").map(({ message }) => message);
    assert.equal(course[0], "interaction_created");
    assert.deepEqual(course.slice(-2), ["interaction_aborted", "interaction_deleted"]);
    assert.ok(log.every((entry) => !("sinceStart" in entry)), "it never started");
  });
});
