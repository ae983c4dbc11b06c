// SPDX-License-Identifier: MPL-2.0

/** What an operator sets counts for a call from its first packet to its files. */

import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { after, before, describe, test } from "node:test";
import { people } from "./people.js";
import { Study } from "./study.js";
import { until } from "./until.js";

const [ann] = people;
/** Ports asked for: a browser's connection takes one on each of the server's addresses. */
const PORTS = 20;

/** The first of some ports of which at least this one was free a moment ago. */
async function freePorts() {
  for (;;) {
    const probe = createSocket("udp4").bind(0);
    await once(probe, "listening");
    const { port } = probe.address();
    probe.close();
    if (port + PORTS <= 65_535) return port;
  }
}

describe("settings", () => {
  /** @type {Study} */
  let study;
  /** @type {number} */
  let first;
  before(async () => {
    first = await freePorts();
    study = await Study.open({
      DUCKSOUP_NO_RECORDING: "true",
      DUCKSOUP_MEDIA_PORTS: `${first}-${first + PORTS - 1}`,
    });
  });
  after(() => study?.close());

  test("without recordings a call leaves its log and its table, and no media", async () => {
    await study.conversation("unrecorded", async (conversation) => {
      const page = await conversation.join(ann, { peer: { size: 1, duration: 4 } });
      await page.meets(ann);
      await page.event("end");
      assert.deepEqual(await conversation.recordingNames(), []);
      const names = await study.server.list(conversation.namespace, conversation.name);
      assert.ok(names.includes(`${conversation.name}.log`), `${names}`);
      assert.ok(names.some((name) => name.endsWith("-events.tsv")), `${names}`);
    });
  });

  test("media are offered on the ports that were named, and on no others", async () => {
    await study.conversation("ports", async (conversation) => {
      const clients = await study.rawClients();
      const client = await clients.join(conversation.peerOptions("ben", { size: 1 }));
      const ports = async () => {
        const { messages } = await client.seen();
        return messages
          .filter(({ kind }) => kind === "candidate")
          .map(({ payload }) => JSON.parse(String(payload)).candidate.split(" "))
          .filter((/** @type {string[]} */ words) => words[2]?.toUpperCase() === "UDP")
          .map((/** @type {string[]} */ words) => Number(words[5]));
      };
      await until("the server names its ports", async () => (await ports()).length > 0);
      for (const port of await ports()) {
        assert.ok(first <= port && port < first + PORTS, `${port} of ${first} to ${first + PORTS - 1}`);
      }
      await client.say("stop");
      await client.closed();
      await clients.close();
    });
  });
});
