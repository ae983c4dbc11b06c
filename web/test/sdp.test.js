// SPDX-License-Identifier: MPL-2.0

import assert from "node:assert/strict";
import { test } from "node:test";
import { askForMono, refusedMedia } from "../lib/sdp.js";

test("every opus line asks for mono, whatever its number, and no other line changes", () => {
  const sdp = (/** @type {string} */ one, /** @type {string} */ two) => [
    "v=0", "m=audio 9 UDP/TLS/RTP/SAVPF 111", "a=rtpmap:111 opus/48000/2", `a=fmtp:111 ${one}`,
    "m=video 9 UDP/TLS/RTP/SAVPF 96", "a=rtpmap:96 H264/90000", "a=fmtp:96 packetization-mode=1",
    "m=audio 9 UDP/TLS/RTP/SAVPF 109", "a=rtpmap:109 OPUS/48000/2", `a=fmtp:109 ${two}`, "",
  ].join("\r\n");
  assert.equal(askForMono(sdp("minptime=10;useinbandfec=1", "stereo=1;maxplaybackrate=48000")), sdp("minptime=10;useinbandfec=1;stereo=0", "maxplaybackrate=48000;stereo=0"));
  assert.equal(askForMono(sdp("sprop-stereo=1", "x")), sdp("sprop-stereo=1;stereo=0", "x;stereo=0"));
});

test("media that were offered and are refused are named, those that were not are not", () => {
  const offer = "m=audio 9 X\r\nm=video 9 X\r\nm=video 0 X\r\n";
  assert.deepEqual(refusedMedia(offer, "m=audio 9 X\r\nm=video 0 X\r\nm=video 0 X\r\n"), ["video"]);
  assert.deepEqual(refusedMedia(offer, "m=audio 9 X\r\nm=video 9 X\r\nm=video 0 X\r\n"), []);
});

test("a section without a port of its own, because it is bundled, counts as any other", () => {
  const offer = "m=audio 9 X\r\na=mid:0\r\nm=video 0 X\r\na=bundle-only\r\na=mid:1\r\n";
  assert.deepEqual(refusedMedia(offer, "m=audio 9 X\r\nm=video 0 X\r\na=inactive\r\n"), ["video"]);
  assert.deepEqual(refusedMedia(offer, "m=audio 9 X\r\nm=video 0 X\r\na=bundle-only\r\n"), []);
});
