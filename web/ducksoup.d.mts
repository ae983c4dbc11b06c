// SPDX-License-Identifier: MPL-2.0

export * from "./ducksoup.js";
