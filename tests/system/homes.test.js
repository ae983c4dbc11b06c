// SPDX-License-Identifier: MPL-2.0

/** Participants at home, behind routers of their own: their addresses change, their firewalls are strict. */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Home } from "./home.js";
import { moveOut, withoutHosts } from "./hosts.js";
import { people } from "./people.js";
import { toneAt } from "./recording.js";
import { freePort } from "./server.js";
import { Study } from "./study.js";
import { together, until } from "./until.js";

const [ann, ben, cleo] = people;
/** ms within which somebody is back whose address has changed: the library's own pauses, a call's setup, a busy machine. */
const RETURN_LIMIT = 20_000;

const skip = await withoutHosts();
if (!skip) await moveOut();

describe("a participant at home", { skip }, () => {
  /** @type {Home[]} */
  let homes = [];
  /** @type {Study} */
  let study;
  let turn = 0;
  before(async () => {
    homes = [await Home.open(), await Home.open()];
    turn = await freePort();
    const [{ server }] = homes;
    study = await Study.open(
      { DUCKSOUP_PUBLIC_IP: server, DUCKSOUP_TURN_ADDRESS: server, DUCKSOUP_TURN_PORT: String(turn) },
      "0.0.0.0",
    );
  });
  after(async () => {
    await study?.close();
    for (const home of homes) await home.close();
  });

  test("whose address changes is back by themselves, and one whose firewall knows the web alone takes part", async () => {
    const browsers = await Promise.all(homes.map((home) => home.openBrowser()));
    try {
      await together([
        study.conversation("address", async (conversation) => {
          const [home] = homes;
          const peer = { duration: 24 };
          const raised = { frequency: ann.frequency * 1.25 };
          const moving = await conversation.join(ann, {
            browser: browsers[0].browser,
            peer: { ...peer, audioFx: "pitch pitch=0.8 name=voice" },
          });
          const other = await conversation.join(ben, { peer, embed: "mount" });
          await Promise.all([moving.meets(ben), other.meets(ann, { frequency: ann.frequency * 0.8 })]);
          await moving.ask("controlFx", "voice", "pitch", 1.25, 300);
          await other.meets(ann, raised);
          await home.move();
          await moving.event("reconnecting", { limit: RETURN_LIMIT });
          const { payload: left } = await moving.event("reconnected", { limit: RETURN_LIMIT });
          assert.ok(left > 0 && left < peer.duration, `${left} s are left`);
          await Promise.all([moving.meets(ben), other.meets(ann, raised)]);
          await Promise.all([moving.event("end"), other.event("end")]);
          assert.ok(!other.kinds.includes("other_left"), `${other.kinds}`);
          const recordings = await conversation.recordings();
          assert.deepEqual(
            recordings.map(({ user, connection, what }) => `${user} ${connection} ${what}`).sort(),
            ["ann 1 dry", "ann 1 wet", "ann 2 dry", "ann 2 wet", "ben 1 dry"],
          );
          const sound = recordings.find(({ connection, what }) => connection === 2 && what === "wet")?.sound;
          assert.ok(sound);
          const heard = toneAt(sound, 1).frequency;
          assert.ok(Math.abs(heard / raised.frequency - 1) < 0.02, `${heard} Hz instead of ${raised.frequency}`);
        }),
        study.conversation("firewall", async (conversation) => {
          const web = Number(new URL(study.server.origin).port);
          const site = Number(new URL(study.embedder.origin).port);
          await homes[1].allowOnly([web, site, turn]);
          const page = await conversation.join(cleo, { browser: browsers[1].browser, peer: { size: 1, duration: 8, logLevel: 2 } });
          await page.meets(cleo);
          const pair = await until("the way is known", () =>
            page.wire.find(({ sent, kind }) => sent && kind === "client_selected_candidate_pair"),
          );
          assert.match(pair.payload, / typ relay /);
          await page.event("end");
          assert.equal((await conversation.recordings()).length, 1);
        }),
      ]);
    } finally {
      for (const browser of browsers) await browser.close();
    }
  });
});
