// SPDX-License-Identifier: MPL-2.0

/** How browsers are started: as the guests of this machine that they are. See guest.sh. */

import { fileURLToPath } from "node:url";

/**
 * What starts a browser: a path, and the environment it needs.
 * @param {string} path of the browser
 * @param {object} [how]
 * @param {import('./hosts.js').Host} [how.host] another one than this
 * @param {boolean} [how.givesWay] to the server
 */
export const asGuest = (path, { host, givesWay = true } = {}) => ({
  executable: fileURLToPath(new URL("guest.sh", import.meta.url)),
  environment: {
    DUCKSOUP_TEST_PROGRAM: path,
    ...(givesWay && { DUCKSOUP_TEST_GIVES_WAY: "true" }),
    ...(host && { DUCKSOUP_TEST_NETWORK: host.network }),
  },
});
