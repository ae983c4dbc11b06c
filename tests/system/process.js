// SPDX-License-Identifier: MPL-2.0

/** Processes of this machine, as /proc tells of them. */

import { readdir, readFile, readlink } from "node:fs/promises";

/**
 * What follows the name in a line of proc(5), `/proc/pid/stat`, the state first. The name, in parentheses, may hold anything.
 * @param {string} stat
 */
const fieldsOf = (stat) => stat.slice(stat.lastIndexOf(")") + 2).split(" ");

/**
 * Which process started which.
 * @returns {Promise<{pid: number, parent: number}[]>} the living; zombies are not
 */
async function processes() {
  const names = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const all = await Promise.all(
    names.map(async (name) => {
      const stat = await readFile(`/proc/${name}/stat`, "utf8").catch(() => "");
      const [state, parent] = fieldsOf(stat);
      return { pid: Number(name), parent: Number(parent), alive: stat !== "" && state !== "Z" };
    }),
  );
  return all.filter(({ alive }) => alive).map(({ pid, parent }) => ({ pid, parent }));
}

/**
 * Ids of the processes that a process started.
 * @param {number} pid
 * @returns {Promise<number[]>}
 */
export const childrenOf = async (pid) =>
  (await processes()).filter(({ parent }) => parent === pid).map((child) => child.pid);

/**
 * A process and all that come from it.
 * @param {number} pid
 * @returns {Promise<number[]>}
 */
export async function familyOf(pid) {
  const all = await processes();
  const family = [pid];
  for (const elder of family) {
    family.push(...all.filter(({ parent }) => parent === elder).map((child) => child.pid));
  }
  return family;
}

/**
 * How a process's threads are scheduled.
 * @param {number} pid
 * @returns {Promise<{name: string, nice: number, policy: number}[]>} policy 0 is the usual one, 1 and 2 are real time
 */
export async function threadsOf(pid) {
  const threads = await readdir(`/proc/${pid}/task`).catch(() => []);
  const stats = await Promise.all(
    threads.map((thread) => readFile(`/proc/${pid}/task/${thread}/stat`, "utf8").catch(() => "")),
  );
  return stats.filter(Boolean).map((stat) => {
    const fields = fieldsOf(stat);
    const name = stat.slice(stat.indexOf("(") + 1, stat.lastIndexOf(")"));
    // Fields 19 and 41 of proc(5), the state being the third.
    return { name, nice: Number(fields[16]), policy: Number(fields[38]) };
  });
}

/** @param {number} pid */
export const isAlive = async (pid) => (await processes()).some((process) => process.pid === pid);

/**
 * Paths of the files that a process has open.
 * @param {number} pid
 * @returns {Promise<string[]>}
 */
export async function openFiles(pid) {
  const descriptors = await readdir(`/proc/${pid}/fd`).catch(() => []);
  return Promise.all(
    descriptors.map((descriptor) => readlink(`/proc/${pid}/fd/${descriptor}`).catch(() => "")),
  );
}
