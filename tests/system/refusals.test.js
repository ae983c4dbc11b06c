// SPDX-License-Identifier: MPL-2.0

/** What a client may not do, and what breaks, hurts nobody else. */

import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { advance } from "./barcode.js";
import { openEmbedder } from "./embedder.js";
import { people } from "./people.js";
import { Study } from "./study.js";
import { together, until } from "./until.js";

const [ann, ben, cleo] = people;

/** Longest time without a new picture that counts as undisturbed, in ms: the machine is small. */
const STALL = 1500;

/**
 * The longest times without a new picture, and without a sound, that a page noted.
 * @param {import('./participant.js').Sample[]} samples
 */
function stalls(samples) {
  let [picture, sound] = [0, 0];
  let [number, changed, heard] = [samples[0]?.pictures[0]?.number, samples[0].at, samples[0].at];
  for (const { at, pictures, levels } of samples) {
    const now = pictures[0]?.number;
    if (now !== null && now !== undefined && now !== number) [number, changed] = [now, at];
    if ((levels[0]?.level ?? 0) > 0.05) heard = at;
    [picture, sound] = [Math.max(picture, at - changed), Math.max(sound, at - heard)];
  }
  return { picture, sound };
}

describe("what is refused", () => {
  /** @type {Study} */
  let study;
  before(async () => {
    study = await Study.open();
  });
  after(() => study?.close());

  test("a join with wrong options, or an effect that may not be, gets error-join and leaves nothing behind", async () => {
    const clients = await study.rawClients();
    await study.conversation("joins", async (conversation) => {
      const target = join(study.server.data, "written-by-an-effect");
      const effects = [
        "nosuchelement name=fx",
        `filesink location=${target}`,
        `volume ! filesink location=${target}`,
        `tee name=t ! queue ! filesink location=${target}  t.`,
        "filesrc location=/etc/passwd ! decodebin",
        "souphttpsrc location=http://localhost/",
        "tcpclientsink host=localhost port=9",
        "bin.( volume )",
        "volume volume=loud",
        "volume nosuchproperty=1",
        "volume volume=1 ! ! volume",
        'volume volume="1',
        "volume name=fx ! volume name=fx",
        "volume; rm -rf /",
        "x".repeat(3000),
      ];
      const wrong = [
        ...effects.flatMap((fx) => [{ audioFx: fx }, { videoFx: fx }]),
        ...["../../up", "a b", "", "ä", "x".repeat(51)].map((userId) => ({ userId })),
        ...["../../up", ".", "a/b", "", "x".repeat(51)].map((interactionName) => ({ interactionName })),
        ...[0, -1, 1.5, "12", null].flatMap((size) =>
          size === null ? [] : [{ size }, { duration: size }, { width: size }],
        ),
        ...[{ userId: undefined }, { interactionName: undefined }, { namespace: ".." }],
        ...[{ videoFormat: "AV1" }, { recordingMode: "all" }, { audioOnly: "yes" }],
      ];
      for (const options of wrong) {
        const client = await clients.join(conversation.peerOptions(ann.userId, { size: 1, ...options }));
        try {
          await client.told("error-join");
        } catch (error) {
          throw new Error(`with ${JSON.stringify(options).slice(0, 200)}`, { cause: error });
        }
        await client.closed();
        const { messages } = await client.seen();
        assert.equal(
          messages.some(({ kind }) => kind === "joined" || kind === "offer"),
          false,
        );
      }
      assert.deepEqual(await conversation.recordingNames(), []);
      assert.equal((await readdir(study.server.data)).includes("written-by-an-effect"), false);
      // None of them is in, or holds a seat.
      const page = await conversation.join(ann, { peer: { size: 1, duration: 2 } });
      assert.equal((await page.event("joined")).payload.text, "new_interaction");
      await page.event("end");
    });
    await clients.close();
  });

  test("a page of another origin is not let in", async () => {
    const stranger = await openEmbedder();
    const clients = await study.rawClients(stranger.origin);
    const client = await clients.dial();
    assert.deepEqual(await client.closed(), { state: "closed", code: 1006, messages: [] });
    await clients.close();
    await stranger.close();
  });

  test("rubbish on other sockets, and controls that may not be, leave a conversation untouched", async () => {
    const clients = await study.rawClients();
    await study.conversation("rubbish", async (conversation) => {
      const peer = { duration: 25 };
      const annPage = await conversation.join(ann, {
        peer: { ...peer, videoFx: "gdkpixbufoverlay name=picture", audioFx: "volume name=level" },
      });
      const benPage = await conversation.join(ben, { peer });
      await Promise.all([annPage.meets(ben), benPage.meets(ann)]);
      await Promise.all([annPage.startSampling(100), benPage.startSampling(100)]);

      for (const [name, property, kind, value] of [
        ["picture", "location", "string", "/etc/passwd"],
        ["level", "nosuchproperty", "float", "1"],
        ["nosucheffect", "volume", "float", "1"],
        ["level", "volume", "string", "loud"],
      ]) {
        await annPage.ask("polyControlFx", name, property, kind, value);
        const refused = await annPage.event("control_refused", {
          where: (payload) => payload.name === name && payload.property === property,
        });
        assert.ok(refused.payload.reason.length > 0);
      }

      const deep = "[".repeat(20_000);
      const strangers = await Promise.all(Array.from({ length: 12 }, () => clients.connect()));
      const words = [
        ...[
          "",
          "{",
          "null",
          "7",
          '"join"',
          "[]",
          "{}",
          '{"kind":7}',
          '{"kind":"join"}',
          deep,
          `{"kind":"join","payload":"${deep}"}`,
        ],
        ...[
          '{"kind":"join","payload":{}}',
          '{"kind":"stop"}',
          '{"kind":"offer","payload":"{}"}',
          "\u0000".repeat(1000),
        ],
        ...['{"kind":"client_answer","payload":"v=0"}', "x".repeat(60_000), "x".repeat(3_000_000)],
      ];
      for (const [index, stranger] of strangers.entries()) {
        for (const word of words.slice(index).concat(words.slice(0, index))) await stranger.send(word);
        await stranger.send(200_000);
      }
      // One who is in, in a conversation of their own, and then says all that comes to mind.
      const guest = await clients.join(
        conversation.peerOptions("guest", { interactionName: `${conversation.name}-guest` }),
      );
      await guest.told("offer");
      const sdp = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 999\r\n";
      for (const answer of [
        { type: "answer", sdp: "rubbish" },
        { type: "offer", sdp },
        { type: "answer", sdp },
        {},
      ]) {
        await guest.say("client_answer", answer);
      }
      for (let count = 0; count < 200; count++) {
        await guest.say("client_ice_candidate", {
          candidate: `candidate:${"9".repeat(count)} udp`,
          sdpMLineIndex: count,
        });
        await guest.say("client_control", { name: "fx", property: "x", value: count });
        await guest.say(`client_unheard_of_${count}`, "x");
      }
      await guest.say("join", conversation.peerOptions("guest"));
      await Promise.all([annPage.meets(ben), benPage.meets(ann)]);
      for (const page of [annPage, benPage]) {
        const { picture, sound } = stalls(await page.samples());
        assert.ok(
          picture < STALL && sound < STALL,
          `${page.userId}: ${picture} ms without picture, ${sound} without sound`,
        );
      }
      await until("every stranger is hung up on", async () => {
        const all = await Promise.all(strangers.map((stranger) => stranger.seen()));
        return all.every(({ state }) => state === "closed");
      });
      await Promise.all([annPage.event("end"), benPage.event("end")]);
      const recordings = await conversation.recordings();
      assert.deepEqual(
        recordings.map(({ user, what }) => `${user} ${what}`),
        ["ann dry", "ann wet", "ben dry"],
      );
    });
    assert.ok(study.server.alive);
    await clients.close();
  });

  test("a stage that dies is told to its own participants alone, and its recordings can be read", async () => {
    await together([
      study.conversation("doomed", async (conversation) => {
        const annPage = await conversation.join(ann, {
          peer: { duration: 60, videoFormat: "H264", audioFx: "volume name=fx" },
        });
        const benPage = await conversation.join(ben, { peer: { duration: 60 } });
        await Promise.all([annPage.meets(ben), benPage.meets(ann)]);
        const start = await annPage.event("start");
        await until("five seconds are recorded", () => Date.now() - start.at > 5000);
        process.kill(await conversation.stage(), "SIGKILL");
        const lasted = (Date.now() - start.at) / 1000;
        for (const page of [annPage, benPage]) {
          await until(
            `${page.userId} is told of an error`,
            () => page.kinds.some((kind) => kind.startsWith("error")),
            {
              limit: 5000,
              last: () => page.kinds,
            },
          );
          await page.event("closed");
        }
        const recordings = await conversation.recordings();
        assert.deepEqual(
          recordings.map(({ user, what }) => `${user} ${what}`),
          ["ann dry", "ann wet", "ben dry"],
        );
        for (const { path, frames, sound } of recordings) {
          const last = frames.at(-1)?.time ?? 0;
          assert.ok(last > lasted - 2, `${path} ends at ${last} of ${lasted} s`);
          const numbers = frames.flatMap(({ number }) => (number === null ? [] : [number]));
          assert.ok(advance(numbers[0], numbers[numbers.length - 1]) > 30, `${path} moves`);
          assert.ok(sound);
        }
        // The name is free: a new run.
        await annPage.reload();
        assert.equal((await annPage.event("joined")).payload.text, "new_interaction");
      }),
      study.conversation("spared", async (conversation) => {
        const page = await conversation.join(cleo, { peer: { size: 1, duration: 20 } });
        await page.meets(cleo);
        await page.startSampling(100);
        await page.event("end");
        const { picture, sound } = stalls((await page.samples()).slice(0, -20));
        assert.ok(picture < STALL && sound < STALL, `${picture} ms without picture, ${sound} without sound`);
        const [dry] = await conversation.recordings();
        assert.ok((dry.frames.at(-1)?.time ?? 0) > 19);
      }),
    ]);
  });
});
