// SPDX-License-Identifier: MPL-2.0

/** Networks that go away, come back, or become others, in the middle of a conversation. */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { Network } from "./network.js";
import { people } from "./people.js";
import { levelAt, toneAt } from "./recording.js";
import { Study } from "./study.js";
import { together } from "./until.js";

const [ann, ben, cleo, dan] = people;

/** s that nothing gets through: less than what browsers bear (some 15). */
const BLACKOUT = 8;
/** ms within which somebody is back whose network has become another: the library's own pauses, a call's setup, a busy machine. */
const RETURN_LIMIT = 15_000;
/** ms within which a browser is sure that media get through no more, and 5 s of patience. */
const NOTICE_LIMIT = 25_000;

/** @param {import('./study.js').Conversation} conversation */
const contents = async (conversation) =>
  (await conversation.recordings())
    .map(({ user, connection, what }) => `${user} ${connection} ${what}`)
    .sort();

/**
 * @param {import('./study.js').NamedRecording[]} recordings
 * @param {string} name user, connection and kind
 */
const soundOf = (recordings, name) => {
  const found = recordings.find(({ user, connection, what }) => `${user} ${connection} ${what}` === name);
  return found?.sound ?? assert.fail(`no sound of ${name}`);
};

describe("a participant's network", () => {
  /** @type {Study} */
  let study;
  before(async () => {
    study = await Study.open();
  });
  after(() => study?.close());

  /**
   * Runs a conversation of somebody behind a network with somebody who is not.
   * @param {string} name
   * @param {(network: Network, conversation: import('./study.js').Conversation) => Promise<void>} body
   */
  const behind = (name, body) =>
    study.conversation(name, async (conversation) => {
      const network = await Network.open(study.server.signalling);
      try {
        await body(network, conversation);
      } finally {
        await network.close();
      }
    });

  test("that is gone for seconds is a gap, and nothing else", async () => {
    await behind("blackout", async (network, conversation) => {
      const peer = { duration: 20 };
      const away = await conversation.join(ann, { peer: { ...peer, signalingUrl: network.signalling } });
      const other = await conversation.join(ben, { peer });
      await Promise.all([away.meets(ben), other.meets(ann)]);
      network.cut();
      await delay(BLACKOUT * 1000);
      network.heal();
      await Promise.all([away.meets(ben), other.meets(ann)]);
      await Promise.all([away.event("end"), other.event("end")]);
      assert.ok(!away.kinds.includes("reconnecting"), `${away.kinds}`);
      assert.ok(!other.kinds.includes("other_left"), `${other.kinds}`);
      // Pictures that come late make nobody keep the others back: the browser takes the limit that the server offers.
      const answer = other.wire.filter(({ sent, kind }) => sent && kind === "client_answer").at(-1);
      assert.match(answer?.payload ?? "no answer", /playout-delay/);
      const recordings = await conversation.recordings();
      assert.deepEqual(await contents(conversation), ["ann 1 dry", "ben 1 dry"]);
      const tenths = Array.from({ length: 190 }, (_, tenth) => 0.5 + tenth / 10);
      const [gap, none] = ["ann 1 dry", "ben 1 dry"].map(
        (name) => tenths.filter((time) => levelAt(soundOf(recordings, name), time) < 0.001).length / 10,
      );
      assert.ok(gap > BLACKOUT - 1.5 && gap < BLACKOUT + 3, `${gap} s are missing of ${BLACKOUT}`);
      assert.ok(none < 1, `${none} s are missing of who was there`);
    });
  });

  test("that becomes another one keeps seat and effects, and the others hear of nothing", async () => {
    await together([
      behind("move", async (network, conversation) => {
        const peer = { duration: 22 };
        const raised = { frequency: ann.frequency * 1.25 };
        const moving = await conversation.join(ann, {
          peer: { ...peer, signalingUrl: network.signalling, audioFx: "pitch pitch=0.8 name=voice" },
        });
        const other = await conversation.join(ben, { peer, embed: "mount" });
        await Promise.all([moving.meets(ben), other.meets(ann, { frequency: ann.frequency * 0.8 })]);
        await moving.ask("controlFx", "voice", "pitch", 1.25, 300);
        await other.meets(ann, raised);
        network.stray();
        network.hangUp();
        await moving.event("reconnecting");
        const { payload: left } = await moving.event("reconnected", { limit: RETURN_LIMIT });
        assert.ok(left > 0 && left < peer.duration, `${left} s are left`);
        await Promise.all([moving.meets(ben), other.meets(ann, raised)]);
        assert.equal((await moving.observe()).pictures.length, 1, "one picture: none is left over");
        await Promise.all([moving.event("end"), other.event("end")]);
        assert.ok(!other.kinds.includes("other_left"), `${other.kinds}`);
        for (const once of ["joined", "start"]) {
          assert.equal(moving.kinds.filter((kind) => kind === once).length, 1, once);
        }
        assert.deepEqual(await contents(conversation), ["ann 1 dry", "ann 1 wet", "ann 2 dry", "ann 2 wet", "ben 1 dry"]);
        const recordings = await conversation.recordings();
        for (const [name, frequency] of /** @type {const} */ ([
          ["ann 2 dry", ann.frequency],
          ["ann 2 wet", raised.frequency],
        ])) {
          const heard = toneAt(soundOf(recordings, name), 1).frequency;
          assert.ok(Math.abs(heard / frequency - 1) < 0.02, `${name}: ${heard} Hz instead of ${frequency}`);
        }
      }),
      behind("stray", async (network, conversation) => {
        // Longer than any of this takes: nobody waits for the end.
        const peer = { duration: 60 };
        const straying = await conversation.join(cleo, { peer: { ...peer, signalingUrl: network.signalling } });
        const other = await conversation.join(dan, { peer });
        await Promise.all([straying.meets(dan), other.meets(cleo)]);
        // The WebSocket lives on, so the server must not take the newcomer for a second page.
        network.stray();
        await straying.event("reconnecting", { limit: NOTICE_LIMIT });
        await straying.event("reconnected", { limit: RETURN_LIMIT });
        await Promise.all([straying.meets(dan), other.meets(cleo)]);
        assert.ok(!other.kinds.includes("other_left"), `${other.kinds}`);
      }),
    ]);
  });
});
