// SPDX-License-Identifier: MPL-2.0

import js from "@eslint/js";
import globals from "globals";

export default [
  { ignores: ["target/", "build/", "data/", "node_modules/", "tests/system/out/"] },
  js.configs.recommended,
  {
    files: ["**/*.js", "**/*.mjs"],
    rules: {
      "eqeqeq": "error",
      "no-var": "error",
      "prefer-const": "error",
      "no-console": "error",
      "no-unused-vars": ["error", { argsIgnorePattern: "^_" }],
      "max-lines": ["error", { max: 500, skipBlankLines: true }],
    },
  },
  { files: ["web/**/*.js"], ignores: ["web/test/**"], languageOptions: { globals: globals.browser } },
  { files: ["web/ducksoup.js"], languageOptions: { sourceType: "script" } },
  { files: ["web/test/**/*.js"], languageOptions: { globals: globals.node } },
  // The system tests and benchmarks drive browsers from node, and hold functions that run in a page.
  { files: ["tests/**/*.{js,mjs}", "bench/*.mjs"], languageOptions: { globals: { ...globals.node, ...globals.browser } }, rules: { "no-console": "off" } },
];
