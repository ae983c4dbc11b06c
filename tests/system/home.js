// SPDX-License-Identifier: MPL-2.0

/**
 * A participant at home: their computer behind a router that translates addresses, at the end of a street
 * that leads to the server's machine.
 *
 *     server ── street 198.18.N.1 ── 198.18.N.2 router 192.168.1.1 ── 192.168.1.2 computer
 */

import { openBrowser } from "./browser.js";
import { Host, command } from "./hosts.js";

/** Networks for tests of networks (RFC 2544): no home, and no server, has one of them. */
const street = (/** @type {number} */ number, /** @type {number} */ host) => `198.18.${number}.${host}`;
const room = (/** @type {number} */ host) => `192.168.1.${host}`;
/** Addresses of a network, and bits of a prefix. */
const [LAST, PREFIX] = [254, 24];

/** Every home has a street of its own; there is no end to either in one program. */
let homes = 0;

export class Home {
  #router;
  #computer;
  #number;
  /** The last part of the router's address, and of the computer's. */
  #door = 2;
  #desk = 2;

  /**
   * @param {number} number
   * @param {Host} router
   * @param {Host} computer
   */
  constructor(number, router, computer) {
    this.#number = number;
    this.#router = router;
    this.#computer = computer;
    /** The server, as it is found from here. */
    this.server = street(number, 1);
  }

  /** Only in a network of our own: see hosts.js. */
  static async open() {
    const number = ++homes;
    if (number > LAST) throw new Error("no more streets");
    const [router, computer] = await Promise.all([Host.open(), Host.open()]);
    const home = new Home(number, router, computer);
    try {
      await home.#build();
    } catch (error) {
      await home.close();
      throw error;
    }
    return home;
  }

  async #build() {
    const end = `street${this.#number}`;
    const { pid } = this.#router;
    await command("ip", "link", "add", end, "type", "veth", "peer", "name", "wan", "netns", pid);
    await command("ip", "address", "add", `${this.server}/${PREFIX}`, "dev", end);
    await command("ip", "link", "set", end, "up");
    await this.#router.run("ip", "link", "add", "lan", "type", "veth", "peer", "name", "eth0", "netns", this.#computer.pid);
    await this.#router.run("ip", "address", "add", `${room(1)}/${PREFIX}`, "dev", "lan");
    await this.#router.run("ip", "link", "set", "lan", "up");
    await this.#router.run("ip", "link", "set", "wan", "up");
    await this.#router.run("sysctl", "--quiet", "--write", "net.ipv4.ip_forward=1");
    await this.#router.run("iptables", "--table", "nat", "--append", "POSTROUTING", "--out-interface", "wan", "--jump", "MASQUERADE");
    await this.#connect();
    await this.plug();
  }

  /**
   * A Chromium on the computer here. `localhost` is the server's machine for it: pages are where they are for
   * all others, and as trusted.
   */
  openBrowser() {
    return openBrowser({ host: this.#computer, switches: [`--host-resolver-rules=MAP localhost ${this.server}`] });
  }

  /** From now on the router passes nothing on, and nobody is told. */
  cut() {
    return this.#router.run("iptables", "--insert", "FORWARD", "--jump", "DROP");
  }

  /** All gets through again that did before. */
  heal() {
    return this.#router.run("iptables", "--delete", "FORWARD", "--jump", "DROP");
  }

  /** The computer has no network any more, and notices. */
  async unplug() {
    await this.#computer.run("ip", "address", "flush", "dev", "eth0");
    await this.#computer.run("ip", "link", "set", "eth0", "down");
  }

  /** It has one again, with the same address. */
  async plug() {
    await this.#computer.run("ip", "link", "set", "eth0", "up");
    await this.#settle();
  }

  /** The computer has another address, at once, as from one Wi-Fi to the next. */
  async move() {
    await this.#computer.run("ip", "address", "flush", "dev", "eth0");
    this.#desk++;
    await this.#settle();
  }

  /** The provider gives the router another address. The computer is not told. */
  async renumber() {
    // Translations that were made for the old one go with it.
    await this.#router.run("ip", "address", "flush", "dev", "wan");
    this.#door++;
    await this.#connect();
  }

  /** The router lets no UDP out. */
  refuseUdp() {
    return this.#router.run("iptables", "--append", "FORWARD", "--protocol", "udp", "--jump", "DROP");
  }

  /**
   * The router lets out nothing but TCP to these ports.
   * @param {number[]} ports
   */
  async allowOnly(ports) {
    const tcp = ["--protocol", "tcp", "--in-interface", "lan"];
    for (const port of ports) {
      await this.#router.run("iptables", "--append", "FORWARD", ...tcp, "--destination-port", String(port), "--jump", "ACCEPT");
    }
    await this.#router.run("iptables", "--append", "FORWARD", "--in-interface", "lan", "--jump", "DROP");
  }

  /** What runs here has to be closed before. */
  async close() {
    await Promise.all([this.#computer.close(), this.#router.close()]);
  }

  async #connect() {
    await this.#router.run("ip", "address", "add", `${street(this.#number, this.#door)}/${PREFIX}`, "dev", "wan");
    await this.#router.run("ip", "route", "replace", "default", "via", this.server);
  }

  async #settle() {
    await this.#computer.run("ip", "address", "add", `${room(this.#desk)}/${PREFIX}`, "dev", "eth0");
    await this.#computer.run("ip", "route", "replace", "default", "via", room(1));
  }
}
