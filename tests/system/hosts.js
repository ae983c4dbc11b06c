// SPDX-License-Identifier: MPL-2.0

/**
 * Hosts of our own: network namespaces of Linux. None has a name. The program that asks for them goes on in
 * a network of its own, so nothing of the machine's is touched; each host lives as long as a process that waits
 * at a pipe of ours. Whatever ends us, by whatever signal, ends them.
 */

import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { promisify } from "node:util";
import { within } from "./until.js";

const run = promisify(execFile);

/** ms until a host must be there, or gone. */
const LIMIT = 10_000;
/** In the environment of a program that has a network of its own. */
const MARK = "DUCKSOUP_TEST_OWN_NETWORK";
/** Starts what follows in a network of its own, in which it can speak to itself. */
const APART = ["--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"];

/**
 * Why there can be no hosts of our own here; nothing where there can.
 * @returns {Promise<string | undefined>}
 */
export async function withoutHosts() {
  for (const [program, ...words] of [
    ["unshare", ...APART, "true"],
    ["unshare", ...APART, "iptables", "--table", "nat", "--list"],
  ]) {
    try {
      await run(program, words);
    } catch (error) {
      const { stderr = "" } = /** @type {{stderr?: string}} */ (error);
      return `network namespaces are for root, with iproute2 and iptables installed: ${stderr.trim() || error}`;
    }
  }
  return undefined;
}

/**
 * Goes on in a network of its own: starts this program once more there, and returns only there. The first one
 * ends when the second does, as it did.
 */
export async function moveOut() {
  if (process.env[MARK]) return;
  const again = [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  const child = spawn("unshare", [...APART, ...again], { stdio: "inherit", env: { ...process.env, [MARK]: "true" } });
  for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM"])) process.on(signal, () => child.kill(signal));
  const [code] = await once(child, "exit");
  process.exit(code ?? 1);
}

/**
 * A command here, or elsewhere.
 * @param {string[]} words
 */
export async function command(...words) {
  await run(words[0], words.slice(1));
}

/** Another host. It has no way to anywhere yet. */
export class Host {
  #keeper;

  /** @param {import('node:child_process').ChildProcessByStdio<import('node:stream').Writable, import('node:stream').Readable, null>} keeper */
  constructor(keeper) {
    this.#keeper = keeper;
    /** For `ip link … netns`. */
    this.pid = String(keeper.pid);
    /** Where programs are to be put that shall run there: see guest.js. */
    this.network = `/proc/${keeper.pid}/ns/net`;
  }

  static async open() {
    const keeper = spawn("unshare", [...APART, "sh", "-c", "echo here && exec cat"], { stdio: ["pipe", "pipe", "inherit"] });
    await within("a host is there", LIMIT, once(keeper.stdout, "data"));
    return new Host(keeper);
  }

  /** A command there. @param {string[]} words */
  run(...words) {
    return command("nsenter", `--net=${this.network}`, "--", ...words);
  }

  /** What runs there still has a network until it ends. */
  async close() {
    if (this.#keeper.exitCode !== null || this.#keeper.signalCode !== null) return;
    const exit = once(this.#keeper, "exit");
    this.#keeper.stdin.end();
    await within("a host is gone", LIMIT, exit);
  }
}
