// SPDX-License-Identifier: MPL-2.0

/**
 * A participant's network, in a test's hand. It stands before the server: the WebSocket comes to its
 * address and is passed on, and the server's candidates are told with the network's own ports, so
 * that all media pass through it too. The participant's candidates are kept from the server, which
 * therefore finds no way around.
 */

import { createSocket } from "node:dgram";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { networkInterfaces } from "node:os";
import { FrameReader, HEAD_END, frame } from "./frames.js";

/** This machine's address as others know it. */
export function ownAddress() {
  const addresses = Object.values(networkInterfaces()).flatMap((all) => all ?? []);
  const own = addresses.find(({ family, internal }) => family === "IPv4" && !internal);
  if (!own) throw new Error("this machine has no network");
  return own.address;
}

/** @typedef {import('node:dgram').Socket} Udp */
/** @typedef {import('node:net').Socket} Tcp */

/** One way of media: an address of the participant's, and the port under which the server knows it. */
/** @typedef {{outer: Udp, inner: Udp, dead: boolean}} Flow */

async function udp() {
  const socket = createSocket("udp4").bind(0);
  await once(socket, "listening");
  // An address that is gone answers with an error, which is no news here.
  socket.on("error", () => {});
  return socket;
}

export class Network {
  /** Addresses of the server's media, by `ip:port`. @type {Map<string, Promise<Udp>>} */
  #fronts = new Map();
  /** By front and participant's port. @type {Map<string, Promise<Flow>>} */
  #flows = new Map();
  /** @type {Set<Tcp>} */
  #tcp = new Set();
  #up = true;
  #server;
  #door;

  /**
   * @param {URL} server its WebSocket
   * @param {import('node:net').Server} door
   */
  constructor(server, door) {
    this.#server = server;
    this.#door = door;
    const address = /** @type {import('node:net').AddressInfo} */ (door.address());
    /** Where the participant finds the server. */
    this.signalling = `ws://localhost:${address.port}${server.pathname}`;
    door.on("connection", (outer) => this.#carry(outer));
  }

  /** @param {string} signalling address of the server's WebSocket */
  static async open(signalling) {
    const door = createServer().listen(0, "localhost");
    await once(door, "listening");
    return new Network(new URL(signalling), door);
  }

  /** From now on nothing gets through, and nobody is told. */
  cut() {
    this.#up = false;
    for (const socket of this.#tcp) socket.pause();
  }

  /** All gets through again. */
  heal() {
    this.#up = true;
    for (const socket of this.#tcp) socket.resume();
  }

  /** The WebSockets that are open are gone, without a farewell; new ones get through. */
  hangUp() {
    for (const socket of this.#tcp) socket.destroy();
  }

  /** The ways of media that are open get nothing through any more; new ones do, and the WebSocket. */
  stray() {
    for (const flow of this.#flows.values()) void flow.then((it) => (it.dead = true));
  }

  async close() {
    this.#door.close();
    for (const socket of this.#tcp) socket.destroy();
    for (const flow of this.#flows.values()) (await flow).inner.close();
    for (const front of this.#fronts.values()) (await front).close();
  }

  /** @param {Tcp} outer */
  #carry(outer) {
    const inner = connect(Number(this.#server.port), this.#server.hostname);
    for (const [from, to, mask, edit] of /** @type {const} */ ([
      [outer, inner, true, (/** @type {any} */ message) => this.#goesOut(message)],
      [inner, outer, false, (/** @type {any} */ message) => this.#comesIn(message)],
    ])) {
      this.#tcp.add(from);
      from.setNoDelay(true);
      from.on("error", () => {});
      from.on("close", () => {
        this.#tcp.delete(from);
        to.end();
      });
      const reader = new FrameReader();
      let head = "";
      let talking = false;
      /** @type {Promise<unknown>} */
      let order = Promise.resolve();
      from.on("data", (/** @type {Buffer} */ bytes) => {
        let rest = bytes;
        if (!talking) {
          head += bytes.toString("latin1");
          const end = head.indexOf(HEAD_END);
          if (end < 0) return;
          talking = true;
          to.write(head.slice(0, end + HEAD_END.length), "latin1");
          rest = Buffer.from(head.slice(end + HEAD_END.length), "latin1");
        }
        for (const { text, raw } of reader.read(rest)) {
          order = order.then(async () => {
            if (text === undefined) return void to.write(raw);
            const edited = await edit(JSON.parse(text));
            if (edited) to.write(frame(JSON.stringify(edited), mask));
          });
        }
      });
    }
    if (!this.#up) this.cut();
  }

  /** A message of the participant, as the server is to read it. @param {{kind: string, payload?: string}} message */
  #goesOut(message) {
    if (message.kind === "client_ice_candidate") return null;
    if (message.kind !== "client_answer") return message;
    return { ...message, payload: message.payload?.replace(/a=candidate:.*?\\r\\n/g, "") };
  }

  /** A message of the server, as the participant is to read it. @param {{kind: string, payload?: any}} message */
  async #comesIn(message) {
    if (message.kind === "offer") {
      return { ...message, payload: message.payload.replace(/a=candidate:.*?\\r\\n/g, "") };
    }
    if (message.kind !== "candidate") return message;
    const candidate = JSON.parse(message.payload);
    const words = candidate.candidate.split(" ");
    const [, , transport, , ip, port] = words;
    // The others would lead around.
    if (transport?.toUpperCase() !== "UDP" || ip.includes(":")) return null;
    const front = await this.#front(ip, Number(port));
    [words[4], words[5]] = [ownAddress(), String(front.address().port)];
    return { ...message, payload: JSON.stringify({ ...candidate, candidate: words.join(" ") }) };
  }

  /**
   * @param {string} ip
   * @param {number} port
   */
  #front(ip, port) {
    const key = `${ip}:${port}`;
    let front = this.#fronts.get(key);
    if (!front) {
      front = udp();
      this.#fronts.set(key, front);
      void front.then((outer) => {
        outer.on("message", async (packet, from) => {
          const flow = await this.#flow(outer, `${key} ${from.address}:${from.port}`, from);
          if (this.#up && !flow.dead) flow.inner.send(packet, port, ip);
        });
      });
    }
    return front;
  }

  /**
   * @param {Udp} outer
   * @param {string} key
   * @param {import('node:dgram').RemoteInfo} from
   */
  #flow(outer, key, from) {
    let flow = this.#flows.get(key);
    if (!flow) {
      flow = udp().then((inner) => {
        /** @type {Flow} */
        const made = { outer, inner, dead: false };
        inner.on("message", (packet) => {
          if (this.#up && !made.dead) outer.send(packet, from.port, from.address);
        });
        return made;
      });
      this.#flows.set(key, flow);
    }
    return flow;
  }
}
