// SPDX-License-Identifier: MPL-2.0

/** The browser under test: Debian's Chromium, headless. */

import { chromium } from "playwright-core";
import { asGuest } from "./guest.js";
import { familyOf } from "./process.js";

/** Where Chromium is; Debian's by default. */
const EXECUTABLE = process.env.CHROMIUM ?? "/usr/bin/chromium";

/**
 * @typedef {object} Chromium
 * @property {import('playwright-core').Browser} browser
 * @property {() => Promise<number[]>} family its processes
 * @property {(signal: 'SIGSTOP' | 'SIGKILL') => Promise<void>} signal to all its processes at once: frozen, it is
 *   a participant whose network is gone; killed, one whose computer crashed
 * @property {() => Promise<void>} close
 */

/**
 * @param {object} [where]
 * @param {import('./hosts.js').Host} [where.host] another one than this
 * @param {string[]} [where.switches] of its command line, more than usual
 * @param {boolean} [where.givesWay] to the server (guest.sh). Where delays are measured it does not: a browser late
 *   for its own sound keeps more of it back, which is no fault of the server's
 * @returns {Promise<Chromium>}
 */
export async function openBrowser({ host, switches = [], givesWay = true } = {}) {
  const { executable, environment } = asGuest(EXECUTABLE, { host, givesWay });
  const server = await chromium.launchServer({
    executablePath: executable,
    env: { ...process.env, ...environment },
    args: [
      ...switches,
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--disable-background-networking",
      "--use-fake-device-for-media-stream",
      "--use-fake-ui-for-media-stream",
      "--autoplay-policy=no-user-gesture-required",
      // Several pages share one browser, and none is "in the background".
      "--disable-background-timer-throttling",
      "--disable-backgrounding-occluded-windows",
      "--disable-renderer-backgrounding",
    ],
  });
  const pid = server.process().pid;
  if (!pid) throw new Error("the browser has no process");
  return {
    browser: await chromium.connect(server.wsEndpoint()),
    family: () => familyOf(pid),
    async signal(name) {
      for (const member of await familyOf(pid)) process.kill(member, name);
    },
    async close() {
      // A frozen browser can only be killed, and a killed one is gone already.
      await server.kill();
    },
  };
}
