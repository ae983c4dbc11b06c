// SPDX-License-Identifier: MPL-2.0

/** The experimenter's own web site: serves the pages that embed DuckSoup, on an origin of its own. */

import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { extname } from "node:path";

/** @type {Record<string, string>} */
const TYPES = { ".html": "text/html", ".js": "text/javascript" };

/**
 * Serves this folder on a free port.
 * @param {string} address from which it can be reached; everybody's is "0.0.0.0"
 * @returns {Promise<{origin: string, close: () => Promise<void>}>}
 */
export async function openEmbedder(address = "127.0.0.1") {
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url ?? "/", "http://localhost");
    const type = TYPES[extname(pathname)];
    try {
      // URL parsing has already taken every ".." out of the path.
      const body = type && (await readFile(fileURLToPath(new URL(`.${pathname}`, import.meta.url))));
      if (!body) throw new Error("no such type");
      response.writeHead(200, { "content-type": type, "cache-control": "no-store" }).end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((resolve) => server.listen(0, address, () => resolve(undefined)));
  const bound = server.address();
  if (!bound || typeof bound === "string") throw new Error("the embedding site has no port");
  return {
    origin: `http://localhost:${bound.port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
