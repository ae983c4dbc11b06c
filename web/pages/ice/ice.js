// SPDX-License-Identifier: MPL-2.0

/**
 * @file Whether media can travel between this browser and the server: the socket, the addresses, and then a call of
 * one with a silent track, which ends as soon as it is connected.
 */

import { socketUrl } from "../../lib/protocol.js";
import { Peer, connect, pageClock } from "../../lib/peer.js";
import { Signalling } from "../../lib/signalling.js";
import { element, find, show } from "../dom.js";
import { freshName, signalingUrl } from "../form.js";

/** ms that a step may take; ours: a browser waits 10 s for a STUN server. */
const LIMIT = 12_000;
/** How often, and after how many ms, the connection's statistics are looked at. */
const [LOOKS, PAUSE] = [20, 100];

const rows = find("#candidates");
const steps = find("#steps");
const form = /** @type {HTMLFormElement} */ (find("#ice"));
const servers = /** @type {HTMLTextAreaElement} */ (find("#servers"));
const again = /** @type {HTMLButtonElement} */ (find("#again"));

form.addEventListener("submit", (event) => {
  event.preventDefault();
  void search(() => JSON.parse(servers.value || "[]"));
});
again.addEventListener("click", () => void check());

async function check() {
  again.disabled = true;
  steps.replaceChildren();
  show("joining", "checking");
  const call = new Trial();
  try {
    const begin = performance.now();
    const iceServers = await step("The server answers", () => call.join(), () => `${Math.round(performance.now() - begin)} ms`);
    servers.value = JSON.stringify(iceServers, null, 2);
    await step("Addresses of this browser", () => search(() => iceServers), (types) => types || "none: the browser may hide them from pages without a camera");
    await step("Media reach the server", () => call.connected(), (way) => way);
    show("done", "media can travel");
  } catch (reason) {
    show("error", reason instanceof Error ? reason.message : String(reason));
  } finally {
    call.end();
    again.disabled = false;
  }
}

/**
 * One step of the check, shown while it lasts and as it ended.
 * @template T
 * @param {string} title
 * @param {() => Promise<T>} work
 * @param {(result: T) => string} words
 * @returns {Promise<T>}
 */
async function step(title, work, words) {
  const line = element("li", { "data-step": "now" }, element("strong", {}, title));
  steps.append(line);
  try {
    const result = await within(work());
    line.dataset.step = "good";
    line.append(element("span", { class: "soft" }, ` ${words(result)}`));
    return result;
  } catch (reason) {
    line.dataset.step = "poor";
    throw reason;
  }
}

/**
 * @template T
 * @param {Promise<T>} promise
 * @returns {Promise<T>}
 */
function within(promise) {
  const late = new Promise((_, reject) => setTimeout(() => reject(new Error("no answer in time")), LIMIT));
  return Promise.race([promise, /** @type {Promise<never>} */ (late)]);
}

/** A call of one, without camera and microphone. */
class Trial {
  /** @type {Signalling | undefined} */
  #signalling;
  /** @type {Peer | undefined} */
  #peer;
  /** @type {RTCPeerConnection | undefined} */
  #connection;
  #sound = new AudioContext();
  /** What went wrong after `joined`. @type {(reason: Error) => void} */
  #fail = () => {};

  /** @returns {Promise<RTCIceServer[]>} */
  join() {
    return new Promise((resolve, reject) => {
      this.#fail = reject;
      const socket = new WebSocket(socketUrl(signalingUrl(location.href), location.href));
      this.#signalling = new Signalling(socket, {
        message: (message) => {
          if (message.kind === "joined") {
            this.#open(message.payload.iceServers);
            resolve(message.payload.iceServers);
          } else if (message.kind === "offer") this.#peer?.negotiate(message.payload);
          else if (message.kind === "candidate") this.#peer?.addCandidate(message.payload);
          else if (message.kind === "error") this.#fail(new Error(message.payload ? `${message.name}: ${message.payload}` : message.name));
        },
        gone: () => this.#fail(new Error("the server did not accept the connection, or closed it")),
      });
      this.#signalling.send("join", { interactionName: freshName("ice"), userId: "ice", namespace: "ice", size: 1, audioOnly: true, recordingMode: "none", duration: 3 });
    });
  }

  /** @param {RTCIceServer[]} iceServers */
  #open(iceServers) {
    this.#connection = connect({ iceServers });
    const { stream } = this.#sound.createMediaStreamDestination();
    this.#peer = new Peer(this.#connection, stream, {
      send: (kind, payload) => this.#signalling?.send(kind, payload),
      log: () => {},
      track: () => {},
      untrack: () => {},
      reach: async () => {},
      broken: () => {},
      failed: (reason) => this.#fail(new Error(reason)),
    }, pageClock());
  }

  /** @returns {Promise<string>} the way that media take */
  async connected() {
    const connection = this.#connection;
    if (!connection) throw new Error("no connection");
    await new Promise((resolve, reject) => {
      this.#fail = reject;
      const look = () => {
        if (connection.connectionState === "connected") resolve(undefined);
        if (connection.connectionState === "failed") reject(new Error("no way between this browser and the server: UDP may be blocked, or a TURN server is needed"));
      };
      connection.addEventListener("connectionstatechange", look);
      look();
    });
    // The statistics may know a little later than the connection which pair it took.
    for (let look = 0; look < LOOKS; look += 1) {
      const found = way(/** @type {Iterable<Record<string, any>>} */ (await this.#peer?.stats() ?? []));
      if (found) return found;
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
    }
    return "connected";
  }

  end() {
    this.#fail = () => {};
    this.#signalling?.send("stop");
    this.#peer?.close();
    void this.#sound.close();
    // Time for the last word to leave.
    setTimeout(() => this.#signalling?.close(1000), 200);
  }
}

/**
 * The way that media take, from the connection's statistics; nothing while they do not know.
 * @param {Iterable<Record<string, any>>} report
 * @returns {string | undefined}
 */
function way(report) {
  const entries = [...report];
  const pair = entries.find(({ type, nominated, state }) => type === "candidate-pair" && nominated && state === "succeeded");
  if (!pair) return undefined;
  const [local, remote] = [pair.localCandidateId, pair.remoteCandidateId].map((id) => entries.find((entry) => entry.id === id));
  const trip = pair.currentRoundTripTime === undefined ? "" : `, ${Math.max(1, Math.round(pair.currentRoundTripTime * 1000))} ms there and back`;
  return `${local?.protocol ?? "?"}, ${local?.candidateType ?? "?"} to ${remote?.candidateType ?? "?"}${trip}`;
}

/**
 * Lists the browser's addresses.
 * @param {() => RTCIceServer[]} read the ICE servers
 * @returns {Promise<string>} the types that were found
 */
async function search(read) {
  rows.replaceChildren();
  /** @type {RTCPeerConnection} */
  let connection;
  try {
    connection = new RTCPeerConnection({ iceServers: read() });
  } catch (reason) {
    add(["error", "", String(reason), ""]);
    return "";
  }
  /** @type {Set<string>} */
  const types = new Set();
  connection.addEventListener("icecandidate", ({ candidate }) => {
    if (!candidate?.candidate) return;
    types.add(candidate.type ?? "?");
    add([candidate.type, candidate.protocol, `${candidate.address ?? "?"} port ${candidate.port}`, candidate.relatedAddress ?? ""]);
  });
  connection.addEventListener("icecandidateerror", ({ errorCode, errorText, url }) => add(["error", String(errorCode), errorText, url]));
  const done = new Promise((resolve) => {
    setTimeout(resolve, LIMIT - 1000);
    connection.addEventListener("icegatheringstatechange", () => connection.iceGatheringState === "complete" && resolve(undefined));
  });
  connection.addTransceiver("audio");
  await connection.setLocalDescription();
  await done;
  connection.close();
  return [...types].join(", ");
}

/** @param {(string | null)[]} cells */
function add(cells) {
  rows.append(element("tr", {}, ...cells.map((text) => element("td", {}, text))));
}

void check();
