// SPDX-License-Identifier: MPL-2.0

/** One participant: a page of their own, their camera, and what they see, hear and are told. */

import { distance } from "./colour.js";
import { Hopeless, until, within } from "./until.js";

/**
 * Largest difference in a colour channel that two codecs in a row, at low bitrates, and VP8 without a
 * word about its colour space may leave: less than half of what is between two people.
 */
const COLOUR_TOLERANCE = 34;
/** Largest ratio by which a tone may be off: soundtouch is good to one percent. */
const TONE_TOLERANCE = 0.025;
/** Least level of a tone that counts as heard; the microphones have 0.18. */
const HEARD = 0.01;
/** ms until a call must be up: ICE, DTLS, a first keyframe, on a busy machine. */
const MEETING_LIMIT = 30_000;

/** @typedef {import('./page/participant.js').PageEvent} PageEvent */
/** @typedef {import('./page/participant.js').Observation} Observation */
/** @typedef {import('./page/participant.js').Sample} Sample */
/** @typedef {{at: number, sent: boolean, kind: string, payload: any}} WireMessage */

/**
 * What somebody looks and sounds like to others.
 * @typedef {object} Appearance
 * @property {import('./colour.js').Rgb | null} colour null: they are only heard
 * @property {number} frequency Hz
 * @property {import('./barcode.js').Orientation} [orientation] upright by default
 */

/** @param {Appearance} look */
const describe = ({ colour, frequency, orientation = "upright" }) =>
  `(${colour ? `${colour.map(Math.round)} ${orientation}, ` : ""}${Math.round(frequency)} Hz)`;

/**
 * @param {import('./page/readers.js').SoundHeard} sound
 * @param {Appearance} look
 */
const soundsLike = ({ frequency, level }, look) =>
  level > HEARD && Math.abs(frequency / look.frequency - 1) < TONE_TOLERANCE;

/**
 * @param {import('./page/readers.js').PictureSeen} picture
 * @param {Appearance} look
 */
const looksLike = ({ colour, orientation }, look) =>
  orientation === (look.orientation ?? "upright") &&
  look.colour !== null &&
  distance(colour, look.colour) < COLOUR_TOLERANCE;

/**
 * @typedef {object} ParticipantOptions
 * @property {import('playwright-core').Browser} browser
 * @property {string} site origin of the embedding site
 * @property {import('./people.js').Person} person
 * @property {(() => void) | undefined} before runs in the page before its scripts
 * @property {import('./page/participant.js').PageOptions} page
 */

/** A participant in a browser. */
export class Participant {
  /** @type {PageEvent[]} All the player said, over reloads. */
  events = [];
  /** @type {WireMessage[]} All that went over WebSockets, over reloads. */
  wire = [];
  /** @type {string[]} What the browser's console said. */
  complaints = [];
  /** Index of the first event since the page was loaded last. */
  #loaded = 0;

  /**
   * @param {import('./people.js').Person} person
   * @param {import('playwright-core').Page} page
   */
  constructor(person, page) {
    this.person = person;
    this.userId = person.userId;
    this.page = page;
  }

  /**
   * Opens the page; the player starts by itself.
   * @param {ParticipantOptions} options
   * @returns {Promise<Participant>}
   */
  static async open({ browser, site, person, before, page: options }) {
    const context = await browser.newContext();
    if (before) await context.addInitScript(before);
    const page = await context.newPage();
    const participant = new Participant(person, page);
    await page.exposeFunction("report", (/** @type {PageEvent} */ event) => participant.events.push(event));
    page.on("pageerror", (error) => participant.complaints.push(String(error)));
    page.on("console", (message) => {
      if (["error", "warning"].includes(message.type())) participant.complaints.push(message.text());
    });
    page.on("websocket", (socket) => {
      const note =
        (/** @type {boolean} */ sent) =>
        (/** @type {{payload: string | Buffer}} */ { payload }) => {
          const message = JSON.parse(String(payload));
          participant.wire.push({ at: Date.now(), sent, ...message });
        };
      socket.on("framereceived", note(false));
      socket.on("framesent", note(true));
    });
    await page.goto(`${site}/page/participant.html#${encodeURIComponent(JSON.stringify(options))}`);
    return participant;
  }

  /** Presses the browser's reload button. Events from before count no more for {@link event}. */
  async reload() {
    this.#loaded = this.events.length;
    await this.page.reload();
  }

  /** Starts the player again that was stopped. Events from before count no more. */
  async restart() {
    this.#loaded = this.events.length;
    await this.ask("start");
  }

  /** Closes the tab. */
  close() {
    return within(`${this.userId}'s page closes`, 5000, this.page.context().close());
  }

  /** Kinds of the events since the page was loaded, in order, without tracks. */
  get kinds() {
    return this.events
      .slice(this.#loaded)
      .map(({ kind }) => kind)
      .filter((kind) => kind !== "track");
  }

  /**
   * The first event of a kind since the page was loaded.
   * @param {string} kind
   * @param {{limit?: number, where?: (payload: any) => boolean}} [options] ms
   * @returns {Promise<PageEvent>}
   */
  event(kind, { limit = MEETING_LIMIT, where = () => true } = {}) {
    return until(
      `${this.userId} is told "${kind}"`,
      () => {
        const events = this.events.slice(this.#loaded);
        const found = events.find((event) => event.kind === kind && where(event.payload));
        if (!found && this.kinds.at(-1) === "closed") {
          throw new Hopeless(`${this.userId} waits for "${kind}" after ${this.kinds.join(", ")}`);
        }
        return found;
      },
      { limit, last: () => this.kinds },
    );
  }

  /** @returns {Promise<Observation>} */
  observe() {
    return this.page.evaluate(() => /** @type {any} */ (window).participant.observe());
  }

  /**
   * Waits until all of these are there: each with their picture, which moves, and their tone in one and
   * the same stream.
   * @param {Appearance[]} expected
   * @param {number} [limit] ms
   * @returns {Promise<string[]>} the stream's id of each
   */
  async meetsAll(expected, limit = MEETING_LIMIT) {
    /** @type {Map<string, {last: number, changes: number}>} the numbers seen in each stream */
    const streams = new Map();
    /** @type {Map<Appearance, string>} */
    const found = new Map();
    /** @type {Observation | undefined} */
    let observation;
    await until(
      `${this.userId} sees and hears ${expected.map(describe).join(", ")}`,
      async () => {
        if (this.kinds.at(-1) === "closed") {
          const sought = expected.filter((look) => !found.has(look)).map(describe);
          throw new Hopeless(
            `${this.userId} seeks ${sought}, saw ${JSON.stringify(observation)}, and it is over`,
          );
        }
        observation = await this.observe();
        for (const { streamId, number } of observation.pictures) {
          if (number === null) continue;
          const { last, changes } = streams.get(streamId) ?? { last: number, changes: 0 };
          streams.set(streamId, { last: number, changes: changes + (last === number ? 0 : 1) });
        }
        for (const look of expected) {
          // The picture first: after a reload it proves that the tone is no echo of before.
          const heard = observation.sounds.filter((sound) => soundsLike(sound, look));
          const met = heard.find(
            ({ streamId }) =>
              look.colour === null ||
              ((streams.get(streamId)?.changes ?? 0) >= 3 &&
                observation?.pictures.some(
                  (picture) => picture.streamId === streamId && looksLike(picture, look),
                )),
          );
          if (met) found.set(look, met.streamId);
        }
        return found.size === expected.length;
      },
      { limit, every: 100 * expected.length, last: () => observation },
    );
    return expected.map((look) => found.get(look) ?? "");
  }

  /**
   * Waits until somebody is seen and heard.
   * @param {import('./people.js').Person} other
   * @param {Partial<Appearance>} [as] what effects make of them; themselves by default
   * @returns {Promise<string>} the stream's id
   */
  async meets(other, as = {}) {
    const [streamId] = await this.meetsAll([{ ...other, ...as }]);
    return streamId;
  }

  /**
   * Begins to note what is shown and heard.
   * @param {number} every ms
   */
  async startSampling(every) {
    await this.page.evaluate((ms) => /** @type {any} */ (window).participant.startSampling(ms), every);
  }

  /** @returns {Promise<Sample[]>} all noted so far */
  samples() {
    return this.page.evaluate(() => /** @type {any} */ (window).participant.samples);
  }

  /** @returns {Promise<number[]>} when the camera showed each frame number, in ms since 1970 */
  shownAt() {
    return this.page.evaluate(() => /** @type {any} */ (window).participant.shownAt);
  }

  /**
   * Calls a method of the player.
   * @param {'controlFx' | 'polyControlFx' | 'stop' | 'start' | 'serverLog'} method
   * @param {(string | number)[]} values
   * @returns {Promise<number>} when, in ms since 1970
   */
  ask(method, ...values) {
    return this.page.evaluate(([name, args]) => {
      const at = Date.now();
      /** @type {any} */ (window).participant.player[name](...args);
      return at;
    }, /** @type {const} */ ([method, values]));
  }

  /** Everything that helps to understand a failure. */
  async story() {
    const observation = await within("an observation", 3000, this.observe()).catch(String);
    const short = (/** @type {unknown} */ value) => (JSON.stringify(value) ?? "").slice(0, 160);
    return [
      `--- ${this.userId}`,
      ...this.events.map(({ at, kind, payload }) => `${at.toFixed(0)} event ${kind} ${short(payload)}`),
      ...this.wire.map(
        ({ at, sent, kind, payload }) => `${at} ${sent ? "sent" : "received"} ${kind} ${short(payload)}`,
      ),
      ...this.complaints.map((text) => `console: ${text}`),
      `now: ${JSON.stringify(observation)}`,
    ].join("\n");
  }
}
