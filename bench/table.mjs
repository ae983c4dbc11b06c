// SPDX-License-Identifier: MPL-2.0

/** Tables in a page of results, found again by their names, as src/page.rs writes them. */

import { execFileSync } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { availableParallelism, cpus } from "node:os";

/** @typedef {{name: string, head: string[], rows: string[][]}} Table */

/**
 * The page with this table in its place: that of the table before, or the end of its section.
 * @param {string} page
 * @param {string} title of the section, as `## In browsers`
 * @param {Table} table
 */
export function placed(page, title, { name, head, rows }) {
  const line = (/** @type {string[]} */ cells) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |\n`;
  const [begin, end] = [`<!-- begin: ${name} -->`, `<!-- end: ${name} -->`];
  const text = `${begin}\n${[head, head.map(() => "---"), ...rows].map(line).join("")}${end}`;
  const [from, to] = [page.indexOf(begin), page.indexOf(end)];
  if (from >= 0 && to > from) return page.slice(0, from) + text + page.slice(to + end.length);
  const sections = page.split(/^(?=## )/m);
  const place = sections.findIndex((section) => section.startsWith(`${title}\n`));
  if (place < 0) return `${page.trimEnd()}\n\n${title}\n\n${text}\n`;
  const gap = place < sections.length - 1 ? "\n" : "";
  sections[place] = `${sections[place].trimEnd()}\n\n${text}\n${gap}`;
  return sections.join("");
}

/**
 * @param {string} path
 * @param {string} title
 * @param {Table[]} tables
 */
export async function write(path, title, tables) {
  const page = await readFile(path, "utf8");
  await writeFile(path, tables.reduce((text, table) => placed(text, title, table), page));
}

/** When and with what something was measured. @param {string} browser its version */
export function measured(browser) {
  const version = (/** @type {string} */ program) => execFileSync(program, ["--version"], { encoding: "utf8" });
  const gstreamer = /GStreamer ([\d.]+)/.exec(version("gst-inspect-1.0"))?.[1];
  return `${new Date().toISOString().slice(0, 10)}, Chromium ${browser}, GStreamer ${gstreamer}, ${availableParallelism()} × ${cpus()[0].model}`;
}

/**
 * Puts rows in the place of those that begin with the same cell, or at the end of their table.
 * @param {string} path
 * @param {string} title
 * @param {Table} table
 */
export async function put(path, title, { name, head, rows }) {
  const page = await readFile(path, "utf8");
  const [, text = ""] = new RegExp(`<!-- begin: ${name} -->\n([^]*?)<!-- end: ${name} -->`).exec(page) ?? [];
  const cells = (/** @type {string} */ line) => line.slice(2, -2).split(" | ");
  const [above = "", , ...old] = text.trimEnd().split("\n");
  // Rows of other columns are of no use among these.
  const all = cells(above).join() === head.join() ? old.map(cells) : [];
  for (const row of rows) {
    const place = all.findIndex(([key]) => key === row[0]);
    if (place < 0) all.push(row);
    else all[place] = row;
  }
  await writeFile(path, placed(page, title, { name, head, rows: all }));
}

/** @param {number[]} values */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return ((sorted[Math.floor((sorted.length - 1) / 2)] ?? NaN) + (sorted[Math.floor(sorted.length / 2)] ?? NaN)) / 2;
}
