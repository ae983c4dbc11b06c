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
 * @returns {Promise<{origin: string, close: () => Promise<void>}>}
 */
export async function openEmbedder() {
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
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
  const address = server.address();
  if (!address || typeof address === "string") throw new Error("the embedding site has no port");
  return {
    origin: `http://localhost:${address.port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
