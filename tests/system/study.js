// SPDX-License-Identifier: MPL-2.0

/** A study: a server, a site that embeds it, a browser, and conversations one after another or at once. */

import { cp, mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openBrowser } from "./browser.js";
import { openEmbedder } from "./embedder.js";
import { Participant } from "./participant.js";
import { RawClients } from "./raw.js";
import { readRecording } from "./recording.js";
import { Server } from "./server.js";
import { within } from "./until.js";

/** Namespace of all conversations. */
const NAMESPACE = "system";
/** What every participant asks for, unless a test says otherwise: small enough for a small machine. */
const PEER = { duration: 12, size: 2, width: 320, height: 240, framerate: 15, videoFormat: "VP8" };
/** ms that no conversation here may last, whatever goes wrong. */
const LIMIT = 120_000;

/**
 * @typedef {object} Wishes
 * @property {Record<string, unknown>} [peer] peerOptions
 * @property {'mount' | 'callback'} [embed] 'callback' by default
 * @property {import('./page/camera.js').CameraOptions['deliver']} [deliver] 'all' by default
 * @property {import('playwright-core').Browser} [browser] the study's by default
 * @property {() => void} [before] runs in the page before its scripts
 */

/** @typedef {import('./recording.js').Recording & {path: string, user: string, connection: number, what: string, extension: string}} NamedRecording */

/** `i-<id>-a-<date>-s-<namespace>-n-<interaction>-u-<user>-c-<count>-<what>.<ext>` */
const RECORDING_NAME =
  /^i-[A-Za-z0-9_]+-a-\d{8}-\d{6}\.\d{3}-s-(?<namespace>.+)-n-(?<interaction>.+)-u-(?<user>.+)-c-(?<connection>\d+)-(?<what>(audio-|video-)?(dry|wet))\.(?<extension>mp4|mkv|ogg)$/;

/** One interaction and its participants. */
export class Conversation {
  namespace = NAMESPACE;
  /** @type {Participant[]} */
  participants = [];
  #study;

  /**
   * @param {Study} study
   * @param {string} name
   */
  constructor(study, name) {
    this.#study = study;
    this.name = name;
  }

  /**
   * peerOptions for a member of this conversation.
   * @param {string} userId
   * @param {Record<string, unknown>} [peer]
   */
  peerOptions(userId, peer = {}) {
    const { signalling: signalingUrl } = this.#study.server;
    return { ...PEER, signalingUrl, interactionName: this.name, userId, namespace: NAMESPACE, ...peer };
  }

  /**
   * Opens a participant's page; does not wait for anything.
   * @param {import('./people.js').Person} person
   * @param {Wishes} [wishes]
   * @returns {Promise<Participant>}
   */
  async join(person, { peer, embed = "callback", deliver = "all", browser, before } = {}) {
    const { server, embedder } = this.#study;
    const all = this.peerOptions(person.userId, peer);
    const { colour, frequency } = person;
    const participant = await Participant.open({
      browser: browser ?? this.#study.browser,
      site: embedder.origin,
      person,
      before,
      page: {
        script: server.script,
        peer: all,
        camera: { colour, frequency, width: all.width, height: all.height, fps: all.framerate, deliver },
        embed,
      },
    });
    this.participants.push(participant);
    return participant;
  }

  /** The process that carries this conversation. */
  stage() {
    return this.#study.server.stageOf(NAMESPACE, this.name);
  }

  /** Names of the recordings on disk. */
  recordingNames() {
    return this.#study.server.list(NAMESPACE, this.name, "recordings");
  }

  /**
   * Decodes all recordings on disk.
   * @returns {Promise<NamedRecording[]>} sorted by name
   * @throws when a name or a file is not as it must be
   */
  async recordings() {
    const names = (await this.recordingNames()).sort();
    const all = [];
    for (const name of names) {
      const parts = RECORDING_NAME.exec(name)?.groups;
      if (!parts || parts.namespace !== NAMESPACE || parts.interaction !== this.name) {
        throw new Error(`not a recording's name: ${name}`);
      }
      const path = join(NAMESPACE, this.name, "recordings", name);
      const { user, connection, what, extension } = parts;
      const recording = await readRecording(join(this.#study.server.data, path));
      all.push({ ...recording, path, user, connection: Number(connection), what, extension });
    }
    return all;
  }

  /**
   * Keeps everything that helps to understand a failure.
   * @returns {Promise<string>} the folder: its files, and what its participants and the server said
   */
  async keep() {
    const { server } = this.#study;
    const folder = fileURLToPath(new URL(`out/${this.name}`, import.meta.url));
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder, { recursive: true });
    const files = join(server.data, NAMESPACE, this.name);
    await cp(files, folder, { recursive: true }).catch(() => {});
    const stories = await Promise.all(this.participants.map((participant) => participant.story()));
    await writeFile(join(folder, "participants.txt"), stories.join("\n"));
    await writeFile(join(folder, "server.txt"), server.log());
    return folder;
  }
}

/** Server, site and browser. */
export class Study {
  #chromium;
  #started = 0;

  /**
   * @param {Server} server
   * @param {Awaited<ReturnType<typeof openEmbedder>>} embedder
   * @param {import('./browser.js').Chromium} chromium
   */
  constructor(server, embedder, chromium) {
    this.server = server;
    this.embedder = embedder;
    this.browser = chromium.browser;
    this.#chromium = chromium;
  }

  /**
   * @param {Record<string, string>} [settings] environment of the server
   * @param {string} [address] where the site listens
   * @returns {Promise<Study>}
   */
  static async open(settings = {}, address = undefined) {
    const embedder = await openEmbedder(address);
    const [server, chromium] = await Promise.all([Server.start([embedder.origin], settings), openBrowser()]);
    return new Study(server, embedder, chromium);
  }

  /**
   * Runs a conversation; closes its pages afterwards, and tells all that is known when it fails.
   * @param {string} name a word; a number is added
   * @param {(conversation: Conversation) => Promise<void>} body
   */
  async conversation(name, body) {
    const conversation = new Conversation(this, `${name}-${++this.#started}`);
    try {
      await within(`conversation "${conversation.name}" is over`, LIMIT, body(conversation));
    } catch (error) {
      console.error(`${conversation.name} failed; see ${await conversation.keep()}`);
      throw error;
    } finally {
      // One that was killed with its browser has nothing left to close.
      await Promise.allSettled(conversation.participants.map((participant) => participant.close()));
    }
  }

  /**
   * Clients without a player, on the embedding site or another one.
   * @param {string} [site] origin of the page they run in
   */
  rawClients(site = this.embedder.origin) {
    return RawClients.open(this.browser, site, this.server.signalling);
  }

  /** Ends everything; the server last, which must leave nothing behind. */
  async close() {
    await this.#chromium.close();
    await this.embedder.close();
    await this.server.stop();
  }
}
