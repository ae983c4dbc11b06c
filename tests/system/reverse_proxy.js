// SPDX-License-Identifier: MPL-2.0

/** What stands before a server in a laboratory: https outside, plain inside, one path for DuckSoup. */

import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { request as ask } from "node:http";
import { createServer } from "node:https";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

/** A certificate for localhost that nobody trusts. */
async function certificate() {
  const folder = await mkdtemp(join(tmpdir(), "ducksoup-certificate-"));
  const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
  try {
    await promisify(execFile)("openssl", [
      ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"],
      ...["-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=localhost"],
      ...["-addext", "subjectAltName=DNS:localhost"],
    ]);
    return { key: await readFile(key), cert: await readFile(cert) };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * Opens one on a free port. What is asked for outside of the path is kept in `strayed` and not
 * passed on; everything else is, as it is, once `to` has been told where the server is.
 * @param {string} prefix
 */
export async function openReverseProxy(prefix) {
  let port = 0;
  /** @type {string[]} */
  const strayed = [];
  /** @type {Set<import('node:stream').Duplex>} */
  const tunnels = new Set();
  const isOurs = (path = "") => path === prefix || path.startsWith(`${prefix}/`);
  const proxy = createServer(await certificate(), (request, response) => {
    const { method, url: path, headers } = request;
    if (!isOurs(path)) {
      strayed.push(`${method} ${path}`);
      response.writeHead(404).end();
      return;
    }
    const inner = ask({ host: "127.0.0.1", port, method, path, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    inner.on("error", () => response.destroy());
    request.pipe(inner);
  });
  proxy.on("upgrade", (request, outer, head) => {
    if (!isOurs(request.url)) {
      strayed.push(`upgrade ${request.url}`);
      outer.destroy();
      return;
    }
    const inner = connect(port, "127.0.0.1", () => {
      const lines = [`${request.method} ${request.url} HTTP/1.1`];
      for (let at = 0; at < request.rawHeaders.length; at += 2) {
        lines.push(`${request.rawHeaders[at]}: ${request.rawHeaders[at + 1]}`);
      }
      inner.write(`${lines.join("\r\n")}\r\n\r\n`);
      inner.write(head);
      inner.pipe(outer).pipe(inner);
    });
    for (const [one, other] of [[inner, outer], [outer, inner]]) {
      tunnels.add(one);
      one.on("error", () => other.destroy());
      one.on("close", () => {
        tunnels.delete(one);
        other.destroy();
      });
    }
  });
  await new Promise((resolve) => proxy.listen(0, "127.0.0.1", () => resolve(undefined)));
  const address = proxy.address();
  if (!address || typeof address === "string") throw new Error("the proxy has no port");
  return {
    host: `localhost:${address.port}`,
    strayed,
    /** @param {number} server the port of the server behind */
    to(server) {
      port = server;
    },
    close: () =>
      new Promise((resolve) => {
        for (const tunnel of tunnels) tunnel.destroy();
        proxy.close(() => resolve(undefined));
        proxy.closeAllConnections();
      }),
  };
}
