// SPDX-License-Identifier: MPL-2.0

/** A server under DUCKSOUP_WEB_PREFIX, behind a reverse proxy that speaks https: as laboratories run it. */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { openBrowser } from "./browser.js";
import { openReverseProxy } from "./reverse_proxy.js";
import { Server } from "./server.js";
import { until } from "./until.js";

const PREFIX = "/lab/soup";
const PAGES = [
  ...["/", "/test/mirror/", "/test/interaction/", "/test/play/", "/test/ice/"],
  ...["/test/direct/", "/test/audio_direct/", "/stats/"],
];
/** ms: opening devices, negotiating and a call of 3 s on a busy machine. */
const LIMIT = 90_000;

describe("behind a reverse proxy, under a prefix", () => {
  /** @type {Awaited<ReturnType<typeof openReverseProxy>>} */
  let proxy;
  /** @type {Server} */
  let server;
  /** @type {import('./browser.js').Chromium} */
  let chromium;
  /** @type {import('playwright-core').BrowserContext} */
  let context;
  /** What went wrong in a page, by its console or by an answer. @type {string[]} */
  const faults = [];

  before(async () => {
    proxy = await openReverseProxy(PREFIX);
    server = await Server.start([`https://${proxy.host}`], { DUCKSOUP_WEB_PREFIX: PREFIX });
    proxy.to(Number(new URL(server.origin).port));
    chromium = await openBrowser();
    context = await chromium.browser.newContext({
      ignoreHTTPSErrors: true,
      httpCredentials: { username: "ducksoup", password: "ducksoup" },
    });
    context.on("response", (response) => {
      // The browser asks once without the login, and then with it.
      if (response.status() >= 400 && response.status() !== 401) faults.push(`${response.status()} ${response.url()}`);
    });
    context.on("weberror", (error) => faults.push(String(error.error())));
  });
  after(async () => {
    await chromium?.close();
    await proxy?.close();
    await server?.stop();
  });

  test("every page loads, and asks for nothing outside", async () => {
    for (const path of PAGES) {
      const page = await context.newPage();
      const answer = await page.goto(`https://${proxy.host}${PREFIX}${path}`);
      assert.equal(answer?.status(), 200, path);
      await page.waitForLoadState("networkidle");
      await page.close();
    }
    assert.deepEqual(faults, []);
    assert.deepEqual(proxy.strayed, []);
  });

  test("a call is held over wss, from the script to the files", async () => {
    const page = await context.newPage();
    await page.goto(`https://${proxy.host}${PREFIX}/`);
    await page.addScriptTag({ url: `https://${proxy.host}${PREFIX}/assets/v1.5/js/ducksoup.js` });
    await page.evaluate(
      async ([signalingUrl]) => {
        const heard = /** @type {string[]} */ ([]);
        Object.assign(window, { heard });
        await window.DuckSoup.render(
          { callback: ({ kind }) => heard.push(kind) },
          { signalingUrl, interactionName: "proxied", userId: "ann", size: 1, duration: 3, width: 320, height: 240 },
        );
      },
      [`wss://${proxy.host}${PREFIX}/ws`],
    );
    const heard = () => page.evaluate(() => /** @type {{heard?: string[]}} */ (window).heard ?? []);
    await until("the call ends", async () => (await heard()).includes("closed"), { limit: LIMIT, last: heard });
    const order = ["joined", "track", "start", "ending", "files", "end", "closed"];
    const told = (await heard()).filter((kind, at, all) => order.includes(kind) && all.indexOf(kind) === at);
    assert.deepEqual([...told].sort(), [...order].sort());
    assert.deepEqual(told.filter((kind) => kind !== "track"), order.filter((kind) => kind !== "track"));
    assert.deepEqual(proxy.strayed, []);
    await page.close();
  });
});
