// SPDX-License-Identifier: MPL-2.0

/** Where a page finds both ends of a call (live_page.mjs), for the programs that measure in browsers. */

import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { basename } from "node:path";

/** The files of the page, and the folders that they are in. */
const FILES = { "live_page.mjs": ".", "live_sound.mjs": ".", "live_worklet.mjs": ".", "barcode.js": "../tests/system" };

/**
 * Serves them.
 * @returns {Promise<{origin: string, module: string, close: () => void}>} `module`: the page's address
 */
export async function openSite() {
  /** @type {Map<string, Buffer>} */
  const bodies = new Map();
  for (const [name, folder] of Object.entries(FILES)) {
    bodies.set(name, await readFile(new URL(`${folder}/${name}`, import.meta.url)));
  }
  const web = createServer(({ url = "/" }, response) => {
    const body = bodies.get(basename(url));
    response.writeHead(200, { "content-type": body ? "text/javascript" : "text/html" }).end(body ?? "<!doctype html>");
  }).listen(0, "127.0.0.1");
  await once(web, "listening");
  const address = web.address();
  if (!address || typeof address === "string") throw new Error("no port");
  const origin = `http://localhost:${address.port}`;
  const close = () => {
    web.close();
    web.closeAllConnections();
  };
  return { origin, module: `${origin}/live_page.mjs`, close };
}
