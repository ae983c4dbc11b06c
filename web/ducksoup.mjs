// SPDX-License-Identifier: MPL-2.0

// For pages that import: `import { render } from ".../ducksoup.mjs"`. The classic script is
// ducksoup.js, beside this one.
export { DuckSoupError, render } from "./lib/player.js";
