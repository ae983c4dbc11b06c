// SPDX-License-Identifier: MPL-2.0

/** Another make of browser: Debian's Firefox ESR, headless, by WebDriver BiDi. */

import puppeteer from "puppeteer-core";
import { asGuest } from "./guest.js";
import { openSoundCard } from "./soundcard.js";

/** Where Firefox is; Debian's by default. */
const EXECUTABLE = process.env.FIREFOX ?? "/usr/bin/firefox-esr";
/** ms until it must be up: a first start writes a whole profile. */
const START_LIMIT = 60_000;

/** @type {Record<string, unknown>} */
const PREFERENCES = {
  // Camera and microphone are made up, and nobody is asked.
  "media.navigator.streams.fake": true,
  "media.navigator.permission.disabled": true,
  // Sound plays without a click.
  "media.autoplay.default": 0,
  "media.autoplay.blocking_policy": 0,
  // Addresses as they are: nobody on this machine could look a .local name up.
  "media.peerconnection.ice.obfuscate_host_addresses": false,
  "media.peerconnection.ice.loopback": true,
  // Several pages share one browser, and none is "in the background".
  "dom.min_background_timeout_value": 4,
  "dom.timeout.enable_budget_timer_throttling": false,
};

/**
 * A page of Firefox with as much of a Playwright page's face as a {@link import('./participant.js').Participant}
 * looks at. Frames on WebSockets are not among it.
 * @param {import('puppeteer-core').Page} page
 * @param {import('puppeteer-core').BrowserContext} context
 */
function face(page, context) {
  const listened = new Set(["console", "pageerror"]);
  return {
    exposeFunction: page.exposeFunction.bind(page),
    evaluate: page.evaluate.bind(page),
    goto: (/** @type {string} */ url) => page.goto(url, { waitUntil: "load" }),
    reload: () => page.reload(),
    context: () => context,
    on(/** @type {string} */ kind, /** @type {(what: any) => void} */ listener) {
      if (listened.has(kind)) page.on(/** @type {any} */ (kind), listener);
    },
  };
}

/** @returns {Promise<{browser: import('playwright-core').Browser, close: () => Promise<void>}>} */
export async function openFirefox() {
  const sound = await openSoundCard();
  const { executable, environment } = asGuest(EXECUTABLE);
  const firefox = await puppeteer
    .launch({
      browser: "firefox",
      executablePath: executable,
      headless: true,
      timeout: START_LIMIT,
      env: { ...process.env, ...environment, ...sound.environment },
      extraPrefsFirefox: PREFERENCES,
    })
    .catch(async (error) => {
      await sound.close();
      throw error;
    });
  const browser = {
    async newContext() {
      const context = await firefox.createBrowserContext();
      return { newPage: async () => face(await context.newPage(), context) };
    },
  };
  return {
    // The part that participants use; the rest would be an error at once.
    browser: /** @type {any} */ (browser),
    async close() {
      await firefox.close();
      await sound.close();
    },
  };
}
