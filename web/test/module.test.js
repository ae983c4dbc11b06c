// SPDX-License-Identifier: MPL-2.0

import assert from "node:assert/strict";
import { test } from "node:test";
import { DuckSoupError, render } from "../ducksoup.mjs";

/** @import { DuckSoupEvent, PeerOptions, Player } from "../ducksoup.mjs" */

test("the module gives render and its error, without a page around them", () => {
  assert.equal(typeof render, "function");
  assert.ok(new DuckSoupError("control", "why") instanceof Error);
});

test("what the README shows has types", () => {
  /** @type {PeerOptions} */
  const peerOptions = {
    ...{ signalingUrl: "wss://ducksoup-host.com/ws", interactionName: "i", userId: "u", duration: 30, size: 1 },
    ...{ audioFx: "pitch pitch=0.8 name=fx", videoFormat: "VP8", recordingMode: "forced", logLevel: 2 },
    ...{ audio: { echoCancellation: true }, video: { width: { ideal: 640 } }, rtcConfig: { iceServers: [] } },
  };
  /** @param {DuckSoupEvent} event @returns {string | number | undefined} */
  const callback = (event) => {
    if (event.kind === "start") return event.payload;
    if (event.kind === "joined") return event.payload.context;
    if (event.kind === "stats") return event.payload.videoUp;
    return event.kind.startsWith("error") ? event.kind : undefined;
  };
  /** @param {Player} player */
  const use = (player) => {
    player.controlFx("fx", "pitch", 1.2, 500, "other");
    player.polyControlFx("fx", "preset", "string", "xpro");
    player.serverLog("user_event", "inactive");
    player.log("user_event");
    player.stop();
    player.start();
  };
  assert.equal(callback({ kind: "start", payload: 30 }), 30);
  assert.equal(typeof use, "function");
  assert.equal(peerOptions.size, 1);
});
