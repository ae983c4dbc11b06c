// SPDX-License-Identifier: MPL-2.0

import { report, sentence } from "./error.js";
import { capture, release } from "./media.js";
import { Mount } from "./mount.js";
import { connectionConfig, joinPayload } from "./options.js";
import { Peer } from "./peer.js";
import { CLOSE_NORMAL, socketUrl } from "./protocol.js";
import { FRESH, transition } from "./session.js";
import { Signalling } from "./signalling.js";
import { changes, measure, sample } from "./stats.js";

/** How often statistics are read, in ms (the README's "every second"). */
const STATS_PERIOD = 1000;
/** How long a socket may take to close, in ms; ours: a server that is gone does not keep the page. */
const CLOSING_LIMIT = 2000;
/** How long a new way to the server may take, in ms; ours, as long as a try to come back (session.js). */
const REACH_LIMIT = 5000;
/** Words of the page that wait while it comes back; ours, as for a socket that is not open yet. */
const MAX_UNSAID = 100;

/**
 * What of the browser a call uses; tests bring their own.
 * @typedef {object} Environment
 * @property {(url: string) => import("./signalling.js").Socket} openSocket
 * @property {import("./peer.js").Connect} connect
 * @property {Pick<MediaDevices, "getUserMedia"> | undefined} devices
 * @property {string} href
 * @property {Pick<EventTarget, "addEventListener" | "removeEventListener">} page fires `pagehide` and `online`
 * @property {import("./peer.js").Clock} clock
 */

/** One call, from its start to its end: does what the session decides. */
export class Call {
  /** @type {import("../ducksoup.js").EmbedOptions} */
  #embed;
  /** @type {import("../ducksoup.js").PeerOptions} */
  #options;
  /** @type {Environment} */
  #environment;
  #state = FRESH;
  /** Inputs that came while another was worked on. @type {import("./session.js").Input[]} */
  #inputs = [];
  #working = false;
  /** @type {MediaStream | undefined} */
  #stream;
  /** @type {Signalling | undefined} */
  #signalling;
  /** @type {Peer | undefined} */
  #peer;
  /** @type {Mount | undefined} */
  #mount;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #polling;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #waiting;
  /** Who is there: streams by user. @type {Map<string, string>} */
  #others = new Map();
  /** What the page said while there was nobody to hear it. @type {[string, unknown][]} */
  #unsaid = [];

  /**
   * @param {import("../ducksoup.js").EmbedOptions} embed
   * @param {import("../ducksoup.js").PeerOptions} options
   * @param {Environment} environment
   */
  constructor(embed, options, environment) {
    this.#embed = embed;
    this.#options = options;
    this.#environment = environment;
    if (embed.mountEl) this.#mount = new Mount(embed.mountEl);
  }

  /** Whether it is over, or soon will be. */
  get over() {
    const { phase } = this.#state;
    return phase === "closing" || phase === "closed";
  }

  start() {
    this.#dispatch({ on: "start" });
  }

  stop() {
    this.#dispatch({ on: "stop" });
  }

  /**
   * Says something of the page's to the server, as soon as it can hear it.
   * @param {string} kind
   * @param {unknown} [payload]
   */
  send(kind, payload) {
    if (!this.#isAway) this.#say(kind, payload);
    else if (this.#unsaid.length < MAX_UNSAID) this.#unsaid.push([kind, payload]);
  }

  /** Whether it is on its way back. */
  get #isAway() {
    return this.#state.phase === "lost" || this.#state.phase === "returning";
  }

  /**
   * Says something of the connection's own: what nobody hears is lost.
   * @param {string} kind
   * @param {unknown} [payload]
   */
  #say(kind, payload) {
    if (!this.over && !this.#isAway) this.#signalling?.send(kind, payload);
  }

  /**
   * Inputs are worked on one after the other: a page may call `stop` in the middle of an event.
   * @param {import("./session.js").Input} input
   */
  #dispatch(input) {
    this.#inputs.push(input);
    if (this.#working) return;
    this.#working = true;
    try {
      for (let next = this.#inputs.shift(); next; next = this.#inputs.shift()) {
        const { effects, ...state } = transition(this.#state, next, this.#environment.clock.now());
        this.#state = state;
        for (const effect of effects) this.#perform(effect);
      }
    } finally {
      this.#working = false;
    }
  }

  /** @param {import("./session.js").Effect} effect */
  #perform(effect) {
    switch (effect.do) {
      case "capture":
        return this.#capture();
      case "keep":
        this.#stream = effect.stream;
        return;
      case "release":
        return release(effect.stream);
      case "connect":
        return this.#attempt(() => this.#connect());
      case "open_peer":
        return this.#attempt(() => this.#openPeer(effect.iceServers));
      case "negotiate":
        return this.#peer?.negotiate(effect.offer);
      case "add_candidate":
        return this.#peer?.addCandidate(effect.candidate);
      case "drop_socket":
        return this.#signalling?.drop(effect.code);
      case "drop_peer":
        return this.#dropPeer();
      case "wait":
        return this.#wait(effect.ms);
      case "wait_no_more":
        return this.#environment.clock.clearTimeout(this.#waiting);
      case "meet":
        this.#others.set(effect.userId, effect.streamId);
        return this.#mount?.meet(effect.userId, effect.streamId);
      case "part":
        this.#others.delete(effect.userId);
        return this.#mount?.part(effect.userId, effect.streamId);
      case "part_all":
        return this.#partAll();
      case "say_stop":
        return this.#signalling?.send("stop");
      case "tell_server":
        if ((this.#options.logLevel ?? 1) >= 1) this.#signalling?.send("client_message", effect.text);
        return;
      case "hang_up":
        return this.#hangUp(effect.code);
      case "emit":
        return this.#emit(effect.kind, effect.payload);
    }
  }

  /**
   * Tells the page. A callback that throws is the page's affair, not the call's.
   * @param {string} kind
   * @param {unknown} [payload]
   */
  #emit(kind, payload) {
    const { callback } = this.#embed;
    if (kind.startsWith("error") && !callback) report(kind, payload);
    try {
      callback?.(/** @type {import("../ducksoup.js").DuckSoupEvent} */ (payload === undefined ? { kind } : { kind, payload }));
    } catch (reason) {
      report(`the callback threw on ${kind}`, reason);
    }
  }

  /** @param {() => void} work */
  #attempt(work) {
    try {
      work();
    } catch (reason) {
      this.#dispatch({ on: "failed", reason: sentence(reason) });
    }
  }

  #capture() {
    this.#environment.page.addEventListener("pagehide", this.#leave);
    this.#environment.page.addEventListener("online", this.#online);
    capture(this.#options, this.#environment.devices).then(
      (stream) => this.#dispatch({ on: "captured", stream }),
      (reason) => this.#dispatch({ on: "failed", reason: `no camera or microphone: ${sentence(reason)}` }),
    );
  }

  // Not beforeunload: the user may still stay on the page after that.
  #leave = () => this.#dispatch({ on: "leave" });

  #online = () => this.#dispatch({ on: "online" });

  /** @param {number} ms */
  #wait(ms) {
    const { clock } = this.#environment;
    clock.clearTimeout(this.#waiting);
    this.#waiting = clock.setTimeout(() => this.#dispatch({ on: "time" }), ms);
  }

  #connect() {
    const { openSocket, href } = this.#environment;
    this.#signalling = new Signalling(openSocket(socketUrl(this.#options.signalingUrl, href)), {
      message: (message) => this.#dispatch({ on: "message", message }),
      gone: () => this.#dispatch({ on: "gone" }),
    });
    this.#signalling.send("join", joinPayload(this.#options));
  }

  /** Whether the server can be reached by a way that is not open yet: fails when not. */
  async #reach() {
    if (this.#isAway) throw new Error("on the way back already");
    const { openSocket, href, clock } = this.#environment;
    const socket = openSocket(socketUrl(this.#options.signalingUrl, href));
    await new Promise((/** @type {(value: void) => void} */ resolve, reject) => {
      const end = (/** @type {() => void} */ tell) => () => {
        clock.clearTimeout(limit);
        socket.onopen = socket.onclose = null;
        socket.close(CLOSE_NORMAL);
        tell();
      };
      const limit = clock.setTimeout(end(reject), REACH_LIMIT);
      socket.onopen = end(resolve);
      socket.onclose = end(reject);
    });
  }

  /** @param {RTCIceServer[]} iceServers */
  #openPeer(iceServers) {
    const { connect, clock } = this.#environment;
    if (!this.#stream) return;
    this.#peer = new Peer(connect(connectionConfig(this.#options.rtcConfig, iceServers)), this.#stream, {
      send: (kind, payload) => this.#say(kind, payload),
      log: (kind, payload) => {
        if ((this.#options.logLevel ?? 1) >= 2) this.#say(kind, payload);
      },
      track: (event) => this.#track(event),
      untrack: (track, stream) => this.#mount?.hide(track, stream),
      reach: () => this.#reach(),
      broken: (worked) => this.#dispatch({ on: "broken", worked }),
      failed: (reason) => this.#dispatch({ on: "failed", reason, kind: "error-peer-connection" }),
    }, clock);
    this.#poll(this.#peer);
    // Whose effects they are about is known to the server from `join` on.
    for (const [kind, payload] of this.#unsaid.splice(0)) this.#say(kind, payload);
  }

  #dropPeer() {
    this.#environment.clock.clearInterval(this.#polling);
    this.#peer?.close();
    this.#peer = undefined;
  }

  /** The page is told that everyone left: on the new connection they come as anew. */
  #partAll() {
    for (const [userId, streamId] of this.#others) {
      this.#mount?.part(userId, streamId);
      this.#emit("other_left", { userId, streamId });
    }
    this.#others.clear();
    // A mirror has nobody to part from.
    this.#mount?.empty();
  }

  /** @param {RTCTrackEvent} event */
  #track(event) {
    if (this.over) return;
    if (!this.#mount) return this.#emit("track", event);
    const stream = event.streams[0];
    // Every track of the server belongs to a participant's stream; one without is nobody's.
    if (stream) this.#mount.show(event.track, stream);
  }

  /** @param {Peer} peer */
  #poll(peer) {
    const wanted = this.#embed.stats === true;
    const told = (this.#options.logLevel ?? 1) >= 1;
    if (!wanted && !told) return;
    const { clock } = this.#environment;
    /** @type {import("./stats.js").Sample | undefined} */
    let before;
    this.#polling = clock.setInterval(async () => {
      let values;
      try {
        values = await peer.stats();
      } catch {
        return; // the connection closed meanwhile
      }
      if (this.over) return;
      const now = sample(values, clock.now());
      if (told) for (const { kind, payload } of changes(before, now)) this.#say(kind, payload);
      if (wanted && before) this.#emit("stats", measure(before, now));
      before = now;
    }, STATS_PERIOD);
  }

  /** @param {number} code */
  #hangUp(code) {
    const { page, clock } = this.#environment;
    page.removeEventListener("pagehide", this.#leave);
    page.removeEventListener("online", this.#online);
    clock.clearTimeout(this.#waiting);
    this.#dropPeer();
    if (this.#stream) release(this.#stream);
    this.#mount?.clear();
    const gone = () => this.#dispatch({ on: "gone" });
    if (!this.#signalling) return gone();
    this.#signalling.close(code);
    clock.setTimeout(gone, CLOSING_LIMIT);
  }
}
