// SPDX-License-Identifier: MPL-2.0

/** What breaks for one participant ends that participant's call, with a typed error, and no other's. */

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { people } from "./people.js";
import { Study } from "./study.js";

const [ann, ben] = people;

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
});
