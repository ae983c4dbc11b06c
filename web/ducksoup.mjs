// SPDX-License-Identifier: MPL-2.0

// For pages that import `render` as a module. The classic script is ducksoup.js, beside this one.
export { DuckSoupError, render } from "./lib/player.js";
