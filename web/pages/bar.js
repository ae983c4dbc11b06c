// SPDX-License-Identifier: MPL-2.0

/**
 * @file The bar at the top of the lab's pages: `<header class="bar" data-here="play">`. Pages for participants
 * have none: nothing there leads to the experimenter's tools.
 */

import { element, find } from "./dom.js";

/** Paths from the server's root. */
const PAGES = [
  ["test/play/", "Play"],
  ["test/mirror/", "Mirror"],
  ["test/interaction/", "Interaction"],
  ["test/ice/", "Network"],
  ["test/direct/", "Checks"],
  ["stats/", "Live"],
];

const bar = find("header.bar");
/** The server's root, prefix or not: this script lies two folders below it. */
const root = new URL("../../", import.meta.url);

bar.append(
  element("a", { class: "brand", href: root.href }, element("img", { src: new URL("duck.svg", import.meta.url).href, alt: "", width: 30, height: 30 }), "DuckSoup"),
  element("nav", { "aria-label": "Pages" }, ...PAGES.map(([path, title]) => element("a", { href: new URL(path, root).href, "aria-current": path.includes(`${bar.dataset.here}/`) ? "page" : null }, title))),
);
