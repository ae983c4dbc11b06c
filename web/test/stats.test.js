// SPDX-License-Identifier: MPL-2.0

import assert from "node:assert/strict";
import { test } from "node:test";
import { ceiling, reached } from "../lib/bitrate.js";
import { changes, measure, sample } from "../lib/stats.js";

/** @param {number} second */
const report = (second) => [
  { type: "outbound-rtp", kind: "audio", bytesSent: 8000 * second },
  { type: "outbound-rtp", kind: "video", bytesSent: 100_000 * second, frameWidth: 640, frameHeight: 480, framesPerSecond: 24.6, keyFramesEncoded: second, pliCount: 2, firCount: 0 },
  { type: "inbound-rtp", kind: "audio", bytesReceived: 4000 * second, packetsLost: 3 * second },
  { type: "inbound-rtp", kind: "video", bytesReceived: 50_000 * second, packetsLost: 1, keyFramesDecoded: 4 },
  { type: "inbound-rtp", kind: "video", bytesReceived: 25_000 * second, keyFramesDecoded: 1 },
  { type: "candidate-pair", nominated: true, state: "succeeded", currentRoundTripTime: 0.0421 },
  { type: "candidate-pair", nominated: false, state: "succeeded", currentRoundTripTime: 9 },
  { type: "codec" },
];

test("two reports give the traffic of the time between them", () => {
  assert.deepEqual(measure(sample(report(1), 1000), sample(report(3), 3000)), {
    audioUp: 64, audioDown: 32, videoUp: 800, videoDown: 600, width: 640, height: 480, framerate: 25, roundTrip: 42, lost: 6,
  });
});

test("a counter that falls, or two reports at once, give no nonsense", () => {
  const { videoUp, videoDown, lost } = measure(sample(report(3), 3000), sample(report(1), 3000));
  assert.deepEqual([videoUp, videoDown, lost], [0, 0, 0]);
});

test("the server is told what changed, and only that", () => {
  const first = sample(report(1), 1000);
  assert.deepEqual(changes(undefined, first), [
    { kind: "client_video_resolution_updated", payload: "640x480" },
    { kind: "client_video_fps_updated", payload: "25" },
    { kind: "client_keyframe_encoded_count_updated", payload: "1" },
    { kind: "client_keyframe_decoded_count_updated", payload: "5" },
    { kind: "client_pli_received_count_updated", payload: "2" },
  ]);
  assert.deepEqual(changes(first, sample(report(2), 2000)), [{ kind: "client_keyframe_encoded_count_updated", payload: "2" }]);
  assert.deepEqual(changes(first, first), []);
  assert.deepEqual(changes(undefined, sample([], 0)), []);
});

test("the sender's ceiling rises over three seconds and stays", () => {
  assert.deepEqual([-5, 0, 1500, 3000, 9000].map((ms) => ceiling("video", ms)), [750_000, 750_000, 1_125_000, 1_500_000, 1_500_000]);
  assert.deepEqual([0, 3000].map((ms) => ceiling("audio", ms)), [32_000, 64_000]);
  assert.deepEqual([2999, 3000].map(reached), [false, true]);
});
