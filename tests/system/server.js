// SPDX-License-Identifier: MPL-2.0

/** The server under test: a process of its own, on a free port, with its own data folder. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { childrenOf, isAlive, openFiles } from "./process.js";
import { until, within } from "./until.js";

/** ms until the server must answer: a debug build on a busy machine. */
const START_LIMIT = 20_000;
/** ms until the server must be gone after SIGTERM: it finishes the recordings of every interaction first. */
const STOP_LIMIT = 15_000;

/**
 * The program: what DUCKSOUP_APP names, else the newest build.
 * @returns {Promise<string>}
 */
export async function program() {
  if (process.env.DUCKSOUP_APP) return process.env.DUCKSOUP_APP;
  const builds = ["release", "debug"].map((kind) =>
    fileURLToPath(new URL(`../../target/${kind}/ducksoup-app`, import.meta.url)),
  );
  const ages = await Promise.all(
    builds.map((path) =>
      stat(path).then(
        ({ mtimeMs }) => mtimeMs,
        () => 0,
      ),
    ),
  );
  const newest = Math.max(...ages);
  if (newest === 0) throw new Error(`no server to test: build it first (looked at ${builds.join(", ")})`);
  return builds[ages.indexOf(newest)];
}

/** A port that was free a moment ago. */
export async function freePort() {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const address = probe.address();
  probe.close();
  await once(probe, "close");
  if (!address || typeof address === "string") throw new Error("no free port");
  return address.port;
}

/** A running server. */
export class Server {
  #process;
  /** @type {string[]} */
  #output = [];

  /**
   * @param {import('node:child_process').ChildProcessByStdio<null, import('node:stream').Readable, import('node:stream').Readable>} process
   * @param {number} port
   * @param {string} data
   * @param {string} prefix of all its paths
   */
  constructor(process, port, data, prefix) {
    this.#process = process;
    this.origin = `http://localhost:${port}`;
    this.signalling = `ws://localhost:${port}${prefix}/ws`;
    this.script = `${this.origin}${prefix}/assets/v1.5/js/ducksoup.js`;
    this.data = data;
    for (const stream of [process.stdout, process.stderr]) {
      stream.setEncoding("utf8").on("data", (text) => this.#output.push(text));
    }
  }

  /**
   * Starts a server that admits pages of these origins.
   * @param {string[]} origins
   * @param {Record<string, string>} [settings] environment variables
   * @returns {Promise<Server>}
   */
  static async start(origins, settings = {}) {
    const [path, port, data] = await Promise.all([
      program(),
      freePort(),
      mkdtemp(join(tmpdir(), "ducksoup-system-")),
    ]);
    const child = spawn(path, {
      cwd: data,
      stdio: ["ignore", "pipe", "pipe"],
      env: {
        ...process.env,
        DUCKSOUP_MODE: "DEV",
        DUCKSOUP_PORT: String(port),
        DUCKSOUP_DATA: data,
        DUCKSOUP_STUN_SERVER_URLS: "false",
        DUCKSOUP_ALLOWED_WS_ORIGINS: origins.join(","),
        // Eight pages on a busy machine need longer than the 15 s of people.
        DUCKSOUP_ABORT_DELAY: "60",
        ...settings,
      },
    });
    const server = new Server(child, port, data, settings.DUCKSOUP_WEB_PREFIX ?? "");
    await until(
      "the server answers",
      async () => {
        if (child.exitCode !== null) return "gone";
        return (await fetch(server.script)).ok && "here";
      },
      { limit: START_LIMIT, last: () => server.log() },
    ).then((answer) => {
      if (answer === "gone") throw new Error(`the server ended at once: ${server.log()}`);
    });
    return server;
  }

  /** What it printed. */
  log() {
    return this.#output.join("");
  }

  /** @returns {boolean} */
  get alive() {
    return this.#process.exitCode === null && this.#process.signalCode === null;
  }

  /**
   * The process that carries an interaction, known by the files it has open.
   * @param {string} namespace
   * @param {string} interaction
   * @returns {Promise<number>}
   */
  async stageOf(namespace, interaction) {
    const folder = join(this.data, namespace, interaction);
    for (const pid of await childrenOf(this.#process.pid ?? 0)) {
      if ((await openFiles(pid)).some((path) => path.startsWith(`${folder}/`))) return pid;
    }
    throw new Error(`no process has files open under ${folder}`);
  }

  /**
   * Names in a folder below the data folder; none when it is not there.
   * @param {string[]} path
   * @returns {Promise<string[]>}
   */
  list(...path) {
    return readdir(join(this.data, ...path)).catch(() => []);
  }

  /**
   * Ends it as an operator would. Nothing that it started may be left.
   * @throws when it takes too long, or leaves a process behind
   */
  async stop() {
    const { pid = 0 } = this.#process;
    const stages = await childrenOf(pid);
    try {
      if (this.alive) {
        const exit = once(this.#process, "exit");
        this.#process.kill("SIGTERM");
        await within("the server ends on SIGTERM", STOP_LIMIT, exit);
      }
      await until("no stage is left behind", async () => {
        const left = await Promise.all(stages.map(isAlive));
        return !left.includes(true);
      });
    } finally {
      if (this.alive) this.#process.kill("SIGKILL");
      for (const stage of stages) if (await isAlive(stage)) process.kill(stage, "SIGKILL");
      await rm(this.data, { recursive: true, force: true });
    }
  }
}
