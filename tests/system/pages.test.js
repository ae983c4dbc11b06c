// SPDX-License-Identifier: MPL-2.0

/** The server's own pages, in a real browser: they work, for those who may see them, on any screen. */

import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Study } from "./study.js";
import { until } from "./until.js";

const LOGIN = { username: "ducksoup", password: "ducksoup" };
/** Small and cheap: what the browser's own fake camera shows is enough here. */
const SMALL = "width=320&height=240&framerate=15&videoFormat=VP8";
/** ms for a call to begin on a busy machine. */
const LIMIT = 40_000;
const SCREENS = { desktop: { width: 1280, height: 800 }, phone: { width: 390, height: 844 } };
const PAGES = [
  ...["", "test/play/", "test/mirror/", "test/interaction/", "test/ice/", "stats/"],
  ...["test/direct/", "test/audio_direct/", "test/direct/?userId=ann", "test/audio_direct/?userId=ann"],
];

/** @typedef {import('playwright-core').Page} Page */

/**
 * The mean colour of what the page's stage shows; null before there is a picture.
 * @param {Page} page
 * @returns {Promise<number[] | null>}
 */
const shown = (page) =>
  page.evaluate(() => {
    const video = document.querySelector("video");
    if (!video?.videoWidth) return null;
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [32, 24];
    const context = canvas.getContext("2d");
    if (!context) return null;
    context.drawImage(video, 0, 0, 32, 24);
    const { data } = context.getImageData(0, 0, 32, 24);
    const sum = [0, 0, 0];
    for (let at = 0; at < data.length; at += 4) for (const c of [0, 1, 2]) sum[c] += data[at + c];
    return sum.map((value) => value / (32 * 24));
  });

/** How far a colour is from grey. @param {number[]} colour */
const colourful = (colour) => Math.max(...colour) - Math.min(...colour);

describe("the server's pages", () => {
  /** @type {Study} */
  let study;
  before(async () => {
    study = await Study.open();
  });
  after(() => study?.close());

  /**
   * Opens a page; what its console complains about is collected.
   * @param {string} path
   * @param {import('playwright-core').BrowserContextOptions} [options]
   * @returns {Promise<{page: Page, complaints: string[], close: () => Promise<void>}>}
   */
  async function open(path, options = {}) {
    const context = await study.browser.newContext({
      httpCredentials: LOGIN,
      permissions: ["camera", "microphone"],
      ...options,
    });
    const page = await context.newPage();
    /** @type {string[]} */
    const complaints = [];
    page.on("pageerror", (error) => complaints.push(String(error)));
    page.on("console", (message) => {
      if (message.type() === "error") complaints.push(message.text());
    });
    await page.goto(`${study.server.origin}/${path}`);
    return { page, complaints, close: () => context.close() };
  }

  /**
   * Waits until the page says that it is in one of these states.
   * @param {Page} page
   * @param {string[]} states
   */
  const state = (page, states) =>
    until(
      `the page is ${states.join(" or ")}`,
      async () => {
        const now = await page.evaluate(() => document.body.dataset.state ?? "");
        return states.includes(now) && now;
      },
      { limit: LIMIT, last: () => page.evaluate(() => document.querySelector("#state")?.textContent) },
    );

  for (const [screen, viewport] of Object.entries(SCREENS)) {
    test(`fit on a ${screen}, complain of nothing, and name every control`, async () => {
      for (const path of PAGES) {
        const { page, complaints, close } = await open(path, { viewport });
        await page.waitForLoadState("networkidle");
        const found = await page.evaluate(() => ({
          overflow: document.documentElement.scrollWidth - innerWidth,
          language: document.documentElement.lang,
          title: document.title,
          headings: document.querySelectorAll("h1").length,
          nameless: [...document.querySelectorAll("input, select, textarea, meter, button")]
            .filter((control) => control.getClientRects().length > 0)
            .filter((control) => {
              const { labels } = /** @type {HTMLInputElement} */ (control);
              const text = [...(labels ?? [])].map((one) => one.textContent?.trim()).join("");
              return !text && !control.getAttribute("aria-label") && !control.textContent?.trim();
            })
            .map((control) => control.outerHTML),
        }));
        assert.deepEqual(complaints, [], path);
        assert.ok(found.overflow <= 0, `${path} is ${found.overflow} pixels too wide`);
        assert.deepEqual(found.nameless, [], path);
        assert.equal(found.language, "en", path);
        assert.match(found.title, /\w/, path);
        assert.equal(found.headings, 1, path);
        await close();
      }
    });
  }

  test("are closed without the password, but for those of participants", async () => {
    for (const path of PAGES) {
      const { status } = await fetch(`${study.server.origin}/${path}`);
      assert.equal(status, path === "" || path.includes("direct") ? 200 : 401, path);
    }
  });

  test("play: an effect from the gallery is seen, its knob is turned, and what to write is told", async () => {
    const { page, complaints, close } = await open(`test/play/?${SMALL}`);
    await page.click('[data-element="pitch"]');
    await page.click('[data-element="videobalance"]');
    await page.click("#start");
    await state(page, ["running"]);
    await until("the picture is grey", async () => {
      const colour = await shown(page);
      return colour && Math.max(...colour) > 20 && colourful(colour) < 12;
    }, { last: () => shown(page) });
    await page.locator('[data-name="face1"] [data-property="saturation"]').fill("1.5");
    await until("the picture has colours", async () => colourful((await shown(page)) ?? [0, 0, 0]) > 60, {
      last: () => shown(page),
    });
    assert.match((await page.textContent("#options")) ?? "", /audioFx: "pitch name=voice1 pitch=0\.8"[^]*saturation=1\.5/);

    // Another effect begins another call by itself, with the knobs as they stand.
    await page.click('[data-element="videoflip"]');
    await until("the call begins anew", () => page.evaluate(() => /** @type {any} */ (window).lab.events.length < 2), {
      limit: LIMIT,
    });
    await state(page, ["running"]);
    await until("the picture has colours still", async () => colourful((await shown(page)) ?? [0, 0, 0]) > 60);
    await page.click("#stop");
    await state(page, ["over"]);
    assert.deepEqual(complaints, []);
    assert.deepEqual((await study.server.list("play")).filter((name) => name === "recordings"), []);
    await close();
  });

  test("mirror and live: who is in a call is shown with what they send, and an effect that moves", async () => {
    const mirror = await open(`test/mirror/?${SMALL}&interactionName=shown&userId=ann&duration=40`);
    await mirror.page.click("#start");
    await state(mirror.page, ["running"]);
    const live = await open("stats/", { viewport: SCREENS.phone });
    await state(live.page, ["running"]);
    await mirror.page.locator('#knobs [data-property="pitch"]').fill("1.4");
    const card = live.page.locator('[data-interaction="shown"] [data-user="ann"]');
    await until("all figures are there", async () => {
      const text = (await card.textContent()) ?? "";
      const rates = await card.locator("tbody td:nth-child(2)").allTextContents();
      const flowing = rates.length === 6 && rates.every((rate) => / k$| M$/.test(rate) || Number(rate) > 0);
      return flowing && text.includes("voice.pitch = 1.4") && /\d+ (kB|MB) recorded/.test(text);
    }, { limit: LIMIT, last: () => card.textContent() });
    const cost = (await live.page.textContent("#server")) ?? "";
    assert.match(cost, /Participants1CPU\d+ % of \d+ core/);
    assert.match((await live.page.textContent('[data-interaction="shown"]')) ?? "", /CPU \d+ %/);
    await mirror.page.click("#stop");
    await live.page.waitForFunction(() => !document.querySelector('[data-user="ann"]'), null, { timeout: LIMIT });
    assert.deepEqual([...mirror.complaints, ...live.complaints], []);
    await mirror.close();
    await live.close();
  });

  test("checks: what is measured is stored under the participant, once for each check", async () => {
    /** @type {string[]} */
    const checked = [];
    for (const path of ["direct", "audio_direct", "direct"]) {
      const { page, complaints, close } = await open(`test/${path}/?userId=ann&namespace=pilot&interactionName=one`, {
        httpCredentials: undefined,
      });
      await page.click("#start");
      // The browser's fake microphone beeps at full scale, so the verdict is "too loud".
      await state(page, ["poor", "done"]);
      assert.deepEqual(complaints, []);
      const folder = join(study.server.data, "pilot", "checks");
      const names = (await readdir(folder)).filter((name) => !checked.includes(name));
      assert.equal(names.length, 1);
      assert.match(names[0], /^c-\d{8}-\d{6}\.\d{3}-u-ann-[0-9a-f]{8}\.json$/);
      checked.push(names[0]);
      const stored = JSON.parse(await readFile(join(folder, names[0]), "utf8"));
      assert.deepEqual([stored.page, stored.userId, stored.interactionName], [path, "ann", "one"]);
      assert.match(stored.browser, /Chrom/);
      assert.ok(stored.microphone.peak > -30 && stored.microphone.label !== "", JSON.stringify(stored));
      if (path === "direct") {
        const { width, height, framerate, verdict } = stored.camera;
        assert.ok(width > 0 && height > 0 && framerate > 5 && verdict === "good", JSON.stringify(stored));
      } else assert.equal(stored.camera, null);
      await close();
    }
  });

  test("network: media travel, and the way is told", async () => {
    const { page, complaints, close } = await open("test/ice/");
    assert.equal(await state(page, ["done", "error"]), "done");
    assert.match((await page.textContent("#steps li:last-child")) ?? "", /udp|tcp/);
    assert.deepEqual(complaints, []);
    await close();
  });

  test("the module is imported by a page of another origin", async () => {
    const context = await study.browser.newContext();
    const page = await context.newPage();
    await page.goto(`${study.embedder.origin}/page/raw.html`);
    const kinds = await page.evaluate(async (address) => {
      const { render, DuckSoupError } = await import(address);
      const wrong = await render({}, {}).catch((/** @type {unknown} */ reason) => reason);
      return [typeof render, wrong instanceof DuckSoupError, /** @type {any} */ (wrong).code];
    }, study.server.script.replace(/\.js$/, ".mjs"));
    assert.deepEqual(kinds, ["function", true, "embed-options"]);
    await context.close();
  });
});
