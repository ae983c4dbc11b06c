// SPDX-License-Identifier: MPL-2.0

/** Coming, going, coming back: whatever people and networks do, at any moment. */

import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { openBrowser } from "./browser.js";
import { people } from "./people.js";
import { toneAt } from "./recording.js";
import { Study } from "./study.js";
import { together } from "./until.js";

const [ann, ben, cleo, dan, eve] = people;

/** s that somebody whose socket broke is waited for. */
const BLACKOUT = 6;
/** ms until the others are told of somebody who left, or whose socket broke. */
const PARTING_LIMIT = BLACKOUT * 1000 + 8_000;

/** @param {import('./study.js').Conversation} conversation */
const contents = async (conversation) =>
  (await conversation.recordings())
    .map(({ user, connection, what }) => `${user} ${connection} ${what}`)
    .sort();

describe("the life of a conversation", () => {
  /** @type {Study} */
  let study;
  before(async () => {
    study = await Study.open({ DUCKSOUP_BLACKOUT: String(BLACKOUT) });
  });
  after(() => study?.close());

  test("everyone is told who is there; nobody can come twice or too many; reloads lose nothing", async () => {
    await study.conversation("reloads", async (conversation) => {
      const duration = 36;
      const peer = { duration };
      const annPage = await conversation.join(ann, { peer, embed: "mount" });
      assert.equal((await annPage.event("joined")).payload.text, "new_interaction");
      // Nothing runs yet, so a reload is a fresh start; one that comes before the answer is, too.
      await annPage.reload();
      await annPage.reload();
      await annPage.event("joined");
      const benPage = await conversation.join(ben, { peer });
      const joined = await benPage.event("joined");
      assert.equal(joined.payload.context, "existing-interaction");
      const [benToAnn, annToBen] = await Promise.all([
        annPage.event("other_joined"),
        benPage.event("other_joined"),
      ]);
      assert.equal(benToAnn.payload.userId, ben.userId);
      assert.equal(annToBen.payload.userId, ann.userId);
      const starts = await Promise.all([annPage.event("start"), benPage.event("start")]);
      assert.deepEqual(
        starts.map(({ payload }) => payload),
        [duration, duration],
      );
      assert.ok(Math.abs(starts[0].at - starts[1].at) < 500, "both start at once");
      assert.deepEqual(await Promise.all([annPage.meets(ben), benPage.meets(ann)]), [
        benToAnn.payload.streamId,
        annToBen.payload.streamId,
      ]);

      const [again, third] = await Promise.all([
        conversation.join(ann, { peer }),
        conversation.join(cleo, { peer }),
      ]);
      await Promise.all([again.event("error-duplicate"), third.event("error-full")]);
      await Promise.all([again.event("closed"), third.event("closed")]);
      await Promise.all([annPage.meets(ben), benPage.meets(ann)]);

      // Ben's page shows tracks by itself, Ann's by mountEl: both must show the other again.
      for (const [comer, stayer] of [
        [annPage, benPage],
        [benPage, annPage],
      ]) {
        await comer.reload();
        assert.equal((await comer.event("joined")).payload.text, "reconnection");
        const { payload: left } = await comer.event("start");
        assert.ok(left > 0 && left < duration, `${left} s are left`);
        await comer.event("other_joined", { where: ({ userId }) => userId === stayer.userId });
        await Promise.all([stayer.meets(comer.person), comer.meets(stayer.person)]);
      }
      const shown = (await annPage.observe()).pictures.length + (await benPage.observe()).pictures.length;
      assert.equal(shown, 2, "one picture each: none is left over");

      await Promise.all([annPage, benPage].map((page) => page.event("closed", { limit: 60_000 })));
      for (const { kinds } of [annPage, benPage])
        assert.deepEqual(kinds.slice(-3), ["files", "end", "closed"]);
      const end = await benPage.event("end");
      const took = (end.at - starts[1].at) / 1000;
      assert.ok(took > duration - 1 && took < duration + 4, `${took} s instead of ${duration}`);
      const ending = await benPage.event("ending");
      const before = (ending.at - starts[0].at) / 1000;
      assert.ok(Math.abs(before - (duration - 15)) < 1, `ending after ${before} s`);

      const { payload: files } = await annPage.event("files");
      assert.deepEqual(Object.keys(files).sort(), ["ann", "ben"]);
      assert.deepEqual(
        Object.values(files).map((paths) => paths.length),
        [2, 2],
      );
      // How often Ann had connected before the start is her own affair.
      const named = await contents(conversation);
      assert.deepEqual(named.slice(2), ["ben 1 dry", "ben 2 dry"]);
      for (const name of named.slice(0, 2)) assert.match(name, /^ann \d dry$/);

      // The same name again is a new run, and the old files stay.
      await annPage.reload();
      assert.equal((await annPage.event("joined")).payload.text, "new_interaction");
      assert.equal((await conversation.recordingNames()).length, 4);
    });
  });

  test("who stops, or closes the page, is gone at once, and may come back", async () => {
    await study.conversation("leaving", async (conversation) => {
      const peer = { duration: 30 };
      const annPage = await conversation.join(ann, { peer, embed: "mount" });
      const benPage = await conversation.join(ben, { peer });
      await Promise.all([annPage.meets(ben), benPage.meets(ann)]);

      await annPage.ask("stop");
      const { payload: left } = await benPage.event("other_left", { limit: PARTING_LIMIT });
      assert.equal(left.userId, ann.userId);
      await annPage.event("closed");
      assert.deepEqual((await benPage.observe()).pictures, []);
      await annPage.restart();
      assert.equal((await annPage.event("joined")).payload.text, "reconnection");
      await Promise.all([benPage.meets(ann), annPage.meets(ben)]);

      await benPage.close();
      const { payload: gone } = await annPage.event("other_left", { limit: PARTING_LIMIT });
      assert.equal(gone.userId, ben.userId);
      assert.ok(gone.streamId);
      const benAgain = await conversation.join(ben, { peer });
      assert.equal((await benAgain.event("joined")).payload.text, "reconnection");
      await Promise.all([annPage.meets(ben), benAgain.meets(ann)]);
      await Promise.all([annPage.event("end"), benAgain.event("end")]);
      assert.deepEqual(await contents(conversation), ["ann 1 dry", "ann 2 dry", "ben 1 dry", "ben 2 dry"]);

      // Zero in a file is t0; in that of a reconnection t0 + offset, which its name says too.
      const folder = join(study.server.data, conversation.namespace, conversation.name);
      const name = (await readdir(folder)).find((file) => /^i-[A-Za-z0-9_]+\.json$/.test(file)) ?? "";
      const { started, files } = JSON.parse(await readFile(join(folder, name), "utf8"));
      assert.equal(files.length, 4);
      for (const file of files) {
        const [, day, time, ms] = /-a-(\d{8})-(\d{6})\.(\d{3})-/.exec(file.name) ?? [];
        const zero = Date.parse(
          `${day.replace(/(....)(..)/, "$1-$2-")}T${time.replace(/(..)(..)/, "$1:$2:")}.${ms}Z`,
        );
        const offset = file.offset / 1e6;
        assert.ok(Math.abs(zero - Date.parse(started) - offset) < 2, `${file.name}: ${offset} ms after ${started}`);
        assert.equal(offset > 0, file.name.includes("-c-2-"), file.name);
      }
    });
  });

  test("a browser that crashes, or whose network is gone, costs the others nothing", async () => {
    const peer = { duration: 30 };
    const [crashing, freezing] = await Promise.all([openBrowser(), openBrowser()]);
    try {
      await together([
        study.conversation("crash", async (conversation) => {
          const annPage = await conversation.join(ann, { peer, embed: "mount" });
          const benPage = await conversation.join(ben, { peer, browser: crashing.browser });
          await Promise.all([annPage.meets(ben), benPage.meets(ann)]);
          await crashing.signal("SIGKILL");
          await annPage.event("other_left", {
            limit: PARTING_LIMIT,
            where: ({ userId }) => userId === ben.userId,
          });
          const benAgain = await conversation.join(ben, { peer });
          assert.equal((await benAgain.event("joined")).payload.text, "reconnection");
          await Promise.all([annPage.meets(ben), benAgain.meets(ann)]);
          await Promise.all([annPage.event("end"), benAgain.event("end")]);
          assert.deepEqual(await contents(conversation), ["ann 1 dry", "ben 1 dry", "ben 2 dry"]);
        }),
        study.conversation("silence", async (conversation) => {
          const danPage = await conversation.join(dan, { peer });
          const evePage = await conversation.join(eve, { peer, browser: freezing.browser });
          await Promise.all([danPage.meets(eve), evePage.meets(dan)]);
          await freezing.signal("SIGSTOP");
          // The old socket is open still, but its browser does not answer: the newcomer takes its place.
          const eveAgain = await conversation.join(eve, { peer });
          const joined = await eveAgain.event("joined", { limit: 10_000 });
          assert.equal(joined.payload.text, "reconnection");
          await Promise.all([danPage.meets(eve), eveAgain.meets(dan)]);
          await freezing.close();
          await Promise.all([danPage.event("end"), eveAgain.event("end")]);
          assert.deepEqual(await contents(conversation), ["dan 1 dry", "eve 1 dry", "eve 2 dry"]);
          const [, , afterwards] = await conversation.recordings();
          assert.ok(afterwards.sound);
          assert.ok(Math.abs(toneAt(afterwards.sound, 2).frequency / eve.frequency - 1) < 0.01);
        }),
      ]);
    } finally {
      await Promise.all([crashing.close(), freezing.close()]);
    }
  });
});

describe("a conversation for which somebody is missing", () => {
  const delay = 6;
  /** @type {Study} */
  let study;
  before(async () => {
    study = await Study.open({ DUCKSOUP_ABORT_DELAY: String(delay) });
  });
  after(() => study?.close());

  test("is given up after the delay, for all who are there, and can be tried again", async () => {
    /** @param {import('./participant.js').Participant} page */
    const isGivenUp = async (page) => {
      const { at } = await page.event("error-aborted");
      const waited = (at - (await page.event("joined")).at) / 1000;
      assert.ok(waited < delay + 3, `${page.userId} waited ${waited} s`);
      await page.event("closed");
      assert.equal(page.kinds.includes("start"), false);
      return waited;
    };
    const clients = await study.rawClients();
    await together([
      study.conversation("alone", async (conversation) => {
        const annPage = await conversation.join(ann);
        const waited = await isGivenUp(annPage);
        assert.ok(waited > delay - 1, `given up after ${waited} s already`);
        await annPage.reload();
        assert.equal((await annPage.event("joined")).payload.text, "new_interaction");
      }),
      study.conversation("mute", async (conversation) => {
        const annPage = await conversation.join(ann);
        await annPage.event("joined");
        // Joins, and never answers the offer.
        const client = await clients.join(conversation.peerOptions(ben.userId));
        await client.told("offer");
        await isGivenUp(annPage);
        await client.told("error-aborted");
        await client.closed();
      }),
      study.conversation("dark", async (conversation) => {
        const annPage = await conversation.join(ann);
        // A camera that is there but never gives a picture.
        const benPage = await conversation.join(ben, { deliver: "no picture" });
        await Promise.all([isGivenUp(annPage), isGivenUp(benPage)]);
      }),
    ]);
    await clients.close();
  });
});
