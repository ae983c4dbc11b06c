// SPDX-License-Identifier: MPL-2.0

/** A participant whose network lets nothing pass but the server's own relay: a browser that may use nothing else. */

import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { networkInterfaces } from "node:os";
import { after, before, describe, test } from "node:test";
import { keepConnections } from "./connections.js";
import { people } from "./people.js";
import { Study } from "./study.js";
import { until } from "./until.js";

const cleo = people[2];

/** This machine's address as others know it. */
function ownAddress() {
  const addresses = Object.values(networkInterfaces()).flatMap((all) => all ?? []);
  const own = addresses.find(({ family, internal }) => family === "IPv4" && !internal);
  assert.ok(own, "this machine has a network");
  return own.address;
}

/** A port that was free a moment ago. */
async function freePort() {
  const probe = createSocket("udp4").bind(0);
  await once(probe, "listening");
  const { port } = probe.address();
  probe.close();
  await once(probe, "close");
  return port;
}

/** Runs in the page: as {@link keepConnections}, and UDP to the relay does not get through. */
function keepConnectionsOverTcp() {
  const page = /** @type {any} */ (window);
  page.connections = [];
  page.RTCPeerConnection = class extends RTCPeerConnection {
    /** @param {RTCConfiguration} config */
    constructor(config) {
      const iceServers = (config.iceServers ?? [])
        .map((server) => ({ ...server, urls: [server.urls].flat().filter((url) => url.endsWith("?transport=tcp")) }))
        .filter(({ urls }) => urls.length > 0);
      super({ ...config, iceServers });
      page.connections.push(this);
    }
  };
}

/**
 * How the page's media travel.
 * @param {import('playwright-core').Page} page
 * @returns {Promise<{type: string, protocol: string} | undefined>}
 */
const route = (page) =>
  page.evaluate(async () => {
    const [connection] = /** @type {any} */ (window).connections;
    /** @type {Map<string, any>} */
    const stats = await connection.getStats();
    const transport = [...stats.values()].find(({ type }) => type === "transport");
    const pair = stats.get(transport?.selectedCandidatePairId);
    const local = stats.get(pair?.localCandidateId);
    return local && { type: local.candidateType, protocol: local.relayProtocol };
  });

/**
 * Where servers like this one stand, and what the browser calls its own end of the way.
 * @type {{place: string, settings: Record<string, string>, type: string}[]}
 */
const SITES = [
  {
    place: "in the open",
    settings: { DUCKSOUP_PUBLIC_IP: ownAddress() },
    type: "relay",
  },
  {
    place: "behind a translator",
    // RFC 5737: an address that leads nowhere.
    settings: { DUCKSOUP_PUBLIC_IP: "203.0.113.7", DUCKSOUP_EXPLICIT_HOST_CANDIDATE: "true" },
    // The relay, as the server sees it from inside.
    type: "prflx",
  },
];

for (const { place, settings, type } of SITES) {
  describe(`the embedded TURN server of a site ${place}`, () => {
    /** @type {Study} */
    let study;

    before(async () => {
      study = await Study.open({
        ...settings,
        DUCKSOUP_TURN_ADDRESS: ownAddress(),
        DUCKSOUP_TURN_PORT: String(await freePort()),
      });
    });
    after(() => study?.close());

    for (const [protocol, prepare] of /** @type {const} */ ([
      ["udp", keepConnections],
      ["tcp", keepConnectionsOverTcp],
    ])) {
      test(`carries a whole call over ${protocol} to a browser that may use nothing else`, async () => {
        await study.conversation(`relay-${protocol}`, async (conversation) => {
          const page = await conversation.join(cleo, {
            before: prepare,
            peer: { size: 1, duration: 8, rtcConfig: { iceTransportPolicy: "relay" } },
          });
          await page.meets(cleo);
          const way = await until("the route is known", () => route(page.page));
          assert.deepEqual(way, { type, protocol });
          const { payload } = await page.event("joined");
          const relay = payload.iceServers.find((/** @type {RTCIceServer} */ { urls }) => urls[0].startsWith("turn:"));
          assert.match(relay.username, /^\d+:\d+$/);
          await page.event("end");
          const log = study.server.log();
          assert.match(log, /turn_allocated/);
          assert.ok(!log.includes(relay.credential), "no log shows a credential");
          const names = await conversation.recordingNames();
          assert.equal(names.length, 1, `${names}`);
        });
      });
    }
  });
}
