// SPDX-License-Identifier: MPL-2.0

/** A participant without a browser: `ducksouppeer` in a `gst-launch-1.0` of its own. */

import { spawn } from "node:child_process";
import { stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { program } from "./server.js";
import { until } from "./until.js";

/** The plugin, as cargo calls it. */
const PLUGIN = "libducksoup_signaller.so";
/** ms until a bot must have ended after the call: its files are to be closed. */
const END_LIMIT = 15_000;

/** The folder of the plugin that was built with the server under test: cargo has two places for it. */
async function pluginFolder() {
  const folder = dirname(await program());
  const places = await Promise.all(
    [folder, join(folder, "deps")].map(async (place) => ({
      place,
      made: await stat(join(place, PLUGIN)).then(({ mtimeMs }) => mtimeMs, () => 0),
    })),
  );
  const newest = places.reduce((a, b) => (b.made > a.made ? b : a));
  if (newest.made === 0) throw new Error(`${PLUGIN} is not built: looked in ${folder}`);
  return newest.place;
}

/** Somebody who is a line of text. */
export class Bot {
  #process;
  #output = "";

  /** @param {import('node:child_process').ChildProcessByStdio<null, import('node:stream').Readable, import('node:stream').Readable>} process */
  constructor(process) {
    this.#process = process;
    for (const stream of [process.stdout, process.stderr]) {
      stream.setEncoding("utf8").on("data", (text) => (this.#output += text));
    }
  }

  /**
   * Starts `gst-launch-1.0 -m` with this pipeline.
   * @param {string[]} pipeline
   * @returns {Promise<Bot>}
   */
  static launch(pipeline) {
    return Bot.run("gst-launch-1.0", ["-m", ...pipeline]);
  }

  /**
   * Starts a program that finds the plugin.
   * @param {string} command
   * @param {string[]} args
   * @param {string} [cwd] where it runs
   * @returns {Promise<Bot>}
   */
  static async run(command, args, cwd) {
    const folder = await pluginFolder();
    const env = { ...process.env, GST_PLUGIN_PATH: folder, GST_REGISTRY: join(folder, "bots.registry") };
    return new Bot(spawn(command, args, { cwd, env, stdio: ["ignore", "pipe", "pipe"] }));
  }

  /** What it printed. */
  get output() {
    return this.#output;
  }

  /**
   * Waits for a message of the element, such as `start`.
   * @param {string} kind
   * @param {number} [limit] ms
   */
  told(kind, limit = 30_000) {
    return until(`the bot is told "${kind}"`, () => this.#output.includes(`ducksouppeer-${kind}`), {
      limit,
      last: () => this.#output.slice(-2000),
    });
  }

  /** Presses ctrl-c. */
  interrupt() {
    this.#process.kill("SIGINT");
  }

  /**
   * It ends by itself when the call is over.
   * @param {number} [limit] ms
   */
  async ends(limit = END_LIMIT) {
    await until("the bot ends", () => this.#process.exitCode !== null, {
      limit,
      last: () => this.#output.slice(-4000),
    });
    const { exitCode } = this.#process;
    if (exitCode !== 0) throw new Error(`the bot ended with ${exitCode}: ${this.#output.slice(-4000)}`);
  }

  /** Ends it, whatever it does. */
  kill() {
    if (this.#process.exitCode === null) this.#process.kill("SIGKILL");
  }
}
