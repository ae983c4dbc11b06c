// SPDX-License-Identifier: MPL-2.0

/** The browser under test: Debian's Chromium, headless. */

import { chromium } from 'playwright-core';

/** Where Chromium is; Debian's by default. */
const EXECUTABLE = process.env.CHROMIUM ?? '/usr/bin/chromium';

/** @returns {Promise<import('playwright-core').Browser>} */
export const openBrowser = () =>
  chromium.launch({
    executablePath: EXECUTABLE,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--disable-background-networking',
      '--use-fake-device-for-media-stream',
      '--use-fake-ui-for-media-stream',
      '--autoplay-policy=no-user-gesture-required',
      // Several pages share one browser, and none is "in the background".
      '--disable-background-timer-throttling',
      '--disable-backgrounding-occluded-windows',
      '--disable-renderer-backgrounding',
    ],
  });
