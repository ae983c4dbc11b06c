// SPDX-License-Identifier: MPL-2.0

/** What breaks for one participant ends that participant's call, with a typed error, and no other's. */

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { people } from "./people.js";
import { levelAt, secondsOf, toneAt } from "./recording.js";
import { Study } from "./study.js";

const [ann, ben] = people;

/** What a test takes hold of in a page. */
/** @typedef {Window & {cameras: HTMLCanvasElement[], peers: RTCPeerConnection[]}} Handles */

/** Runs in the page before its scripts: keeps the canvas of the camera, and the connection. */
function keepHandles() {
  const handles = /** @type {Handles} */ (/** @type {unknown} */ (window));
  handles.cameras = [];
  handles.peers = [];
  const captureStream = HTMLCanvasElement.prototype.captureStream;
  /** @param {number} [rate] */
  HTMLCanvasElement.prototype.captureStream = function capture(rate) {
    handles.cameras.push(this);
    return captureStream.call(this, rate);
  };
  const Peer = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Peer {
    /** @param {RTCConfiguration} [configuration] */
    constructor(configuration) {
      super(configuration);
      handles.peers.push(this);
    }
  };
}

/** The sizes that a camera takes, one after the other. */
const SIZES = [
  [240, 180],
  [480, 360],
  [320, 240],
  [160, 120],
];

/** An answer that takes the sound and rejects the picture, as a browser without the codec gives it. */
const NO_PICTURE = [
  "v=0",
  "o=- 1 1 IN IP4 0.0.0.0",
  "s=-",
  "t=0 0",
  "m=audio 9 UDP/TLS/RTP/SAVPF 111",
  "c=IN IP4 0.0.0.0",
  "a=rtpmap:111 opus/48000/2",
  "a=sendonly",
  "m=video 0 UDP/TLS/RTP/SAVPF 102",
  "c=IN IP4 0.0.0.0",
  "a=inactive",
  "",
].join("\r\n");

describe("what breaks", () => {
  /** @type {Study} */
  let study;
  before(async () => {
    // `identity` is no effect by the policy; here the operator allows it, because it can be told to fail.
    study = await Study.open({ DUCKSOUP_EFFECT_POLICY: "identity" });
  });
  after(() => study?.close());

  test("a browser without the codec is told so, and its seat is free", async () => {
    await study.conversation("codec", async (conversation) => {
      const clients = await study.rawClients();
      const stranger = await clients.join(conversation.peerOptions("ann", { videoFormat: "H264" }));
      await stranger.told("offer");
      await stranger.say("client_answer", { type: "answer", sdp: NO_PICTURE });
      await stranger.told("error-peer-connection");
      await stranger.closed();
      await clients.close();

      const peer = { duration: 4 };
      const [annPage, benPage] = [
        await conversation.join(ann, { peer }),
        await conversation.join(ben, { peer }),
      ];
      await Promise.all([annPage.meets(ben), benPage.meets(ann)]);
      await Promise.all([annPage.event("end"), benPage.event("end")]);
    });
  });

  test("an effect that fails ends its owner's call, who may come back", async () => {
    await study.conversation("effect", async (conversation) => {
      const peer = { duration: 25 };
      const annPage = await conversation.join(ann, {
        // Fails about six seconds after the first packet of 20 ms.
        peer: { ...peer, audioFx: "identity error-after=300 name=fx" },
      });
      const benPage = await conversation.join(ben, { peer });
      await Promise.all([annPage.meets(ben), benPage.meets(ann)]);
      await annPage.event("error-peer-connection");
      await annPage.event("closed");
      await benPage.event("other_left");
      assert.ok(!benPage.kinds.some((kind) => kind.startsWith("error")), `${benPage.kinds}`);

      await annPage.reload();
      await Promise.all([annPage.meets(ben), benPage.meets(ann)]);
      await benPage.event("end", { limit: 40_000 });
      const recordings = await conversation.recordings();
      assert.deepEqual(
        recordings.map(({ user, connection, what }) => `${user} ${connection} ${what}`).sort(),
        ["ann 1 dry", "ann 1 wet", "ann 2 dry", "ann 2 wet", "ben 1 dry"],
      );
      const { namespace, name } = conversation;
      const log = await readFile(join(study.server.data, namespace, name, `${name}.log`), "utf8");
      const lines = log.trim().split("\n").map((line) => JSON.parse(line));
      const told = lines.find(({ message }) => message === "gstreamer_pipeline_error");
      assert.deepEqual([told?.level, told?.user], ["error", ann.userId]);
    });
  });

  test("a camera that changes its size every two seconds and a microphone that falls silent for ten are recorded whole", async () => {
    await study.conversation("restless", async (conversation) => {
      const peer = { duration: 16, width: 480, height: 360, videoFormat: "H264" };
      const annPage = await conversation.join(ann, { peer, before: keepHandles });
      const benPage = await conversation.join(ben, { peer, before: keepHandles });
      await Promise.all([annPage.meets(ben), benPage.meets(ann)]);
      const framesSent = () =>
        annPage.page.evaluate(async () => {
          const { peers } = /** @type {Handles} */ (/** @type {unknown} */ (window));
          const stats = [...(await peers[peers.length - 1].getStats()).values()];
          return stats.find(({ type, kind }) => type === "outbound-rtp" && kind === "video").framesSent;
        });
      /** @param {boolean} silent */
      const setSilent = (silent) =>
        benPage.page.evaluate(async (silent) => {
          const { peers } = /** @type {Handles} */ (/** @type {unknown} */ (window));
          const handles = /** @type {{microphone?: MediaStreamTrack | null}} */ (/** @type {unknown} */ (window));
          const { sender } = peers[peers.length - 1].getTransceivers()[0];
          handles.microphone ??= sender.track;
          await sender.replaceTrack(silent ? null : (handles.microphone ?? null));
        }, silent);
      const before = await framesSent();
      await setSilent(true);
      for (const size of [0, 1, 2, 3, 0]) {
        await annPage.page.evaluate(([width, height]) => {
          const { cameras } = /** @type {Handles} */ (/** @type {unknown} */ (window));
          Object.assign(cameras[cameras.length - 1], { width, height });
        }, SIZES[size]);
        await delay(2000);
      }
      await setSilent(false);
      const sent = (await framesSent()) - before;
      await Promise.all([annPage.event("end"), benPage.event("end")]);
      const recordings = await conversation.recordings();
      const dry = (/** @type {import('./people.js').Person} */ { userId }) =>
        recordings.find(({ user, what }) => user === userId && what === "dry") ?? assert.fail(userId);
      const { frames } = dry(ann);
      assert.ok(frames.length >= sent, `${frames.length} recorded of ${sent} sent`);
      assert.ok(new Set(frames.map(({ width }) => width)).size >= 4, "every size is there");
      const far = frames.map(({ time }, index) => (index ? time - frames[index - 1].time : 0));
      assert.ok(Math.max(...far) < 1, `no hole: ${Math.max(...far)} s`);
      // Silence stands where nothing came; before and after it is ben's tone.
      const { sound, frames: pictures } = dry(ben);
      assert.ok(sound && Math.abs(secondsOf(sound) - 16) < 0.3, "sound from t0 to the end");
      assert.ok(pictures.length > 100, `${pictures.length} pictures of ben, who was silent`);
      const levels = Array.from({ length: 150 }, (_, tenth) => levelAt(sound, 0.5 + tenth / 10));
      const silent = levels.filter((level) => level < 0.001).length;
      assert.ok(silent > 85 && silent < 125, `${silent / 10} s of silence`);
      assert.ok(Math.abs(toneAt(sound, 15.2).frequency / ben.frequency - 1) < 0.02, "ben again");
    });
  });
});
