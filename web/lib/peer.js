// SPDX-License-Identifier: MPL-2.0

/**
 * @file The connection for media: the only file that names RTCPeerConnection.
 *
 * The server is always the offerer. Offers and candidates go through one promise chain, so no two
 * negotiations interleave; candidates that come before the first offer wait for it.
 */

import { STEP, WHOLE, ceiling, reached } from "./bitrate.js";
import { sentence } from "./error.js";
import * as pulse from "./pulse.js";
import { askForMono, refusedMedia } from "./sdp.js";
import { UNTRIED, allowing, available, judged } from "./uplink.js";

/**
 * @typedef {object} Listeners
 * @property {(kind: string, payload?: unknown) => void} send a message for the server
 * @property {(kind: string, payload?: unknown) => void} log a log of the signalling for the server
 * @property {(event: RTCTrackEvent) => void} track
 * @property {(track: MediaStreamTrack, stream: MediaStream) => void} untrack a track is gone
 * @property {() => Promise<void>} reach opens a new way to the server, and closes it; fails when there is none
 * @property {(worked: boolean) => void} broken media no longer get through; whether they once did
 * @property {(reason: string) => void} failed nothing can be negotiated any more
 */

/**
 * @typedef {(config: RTCConfiguration) => RTCPeerConnection} Connect
 * @typedef {Pick<typeof globalThis, "setInterval" | "clearInterval" | "setTimeout" | "clearTimeout"> & { now(): number }} Clock
 */

/**
 * How long a connection that is disconnected may take to heal, in ms. Ours: browsers say
 * `disconnected` some 5 s after the last packet, and seldom heal later than 15 s after it.
 */
const PATIENCE = 5000;
/** In a description: the browser is told which packet came when, and finds out what it may send (transport-wide feedback). */
const FEEDBACK = " transport-cc";

/** How often it is felt whether the connection lives, in ms; ours: a second is soon enough for what takes longer to cure. */
const PULSE_PERIOD = 1000;

/** @type {Connect} */
export const connect = (config) => new RTCPeerConnection(config);

/** The page's own. @returns {Clock} */
export const pageClock = () => ({
  now: () => performance.now(),
  setInterval: window.setInterval.bind(window),
  clearInterval: window.clearInterval.bind(window),
  setTimeout: window.setTimeout.bind(window),
  clearTimeout: window.clearTimeout.bind(window),
});

/** A connection to the server. */
export class Peer {
  /** @type {RTCPeerConnection} */
  #connection;
  /** @type {Listeners} */
  #listeners;
  /** @type {Clock} */
  #clock;
  /** The end of everything asked so far. @type {Promise<void>} */
  #chain = Promise.resolve();
  /** Candidates that came before the first offer; undefined after it. @type {RTCIceCandidateInit[] | undefined} */
  #early = [];
  /** The way up of the sender's ceilings. @type {ReturnType<typeof setInterval> | undefined} */
  #ramp;
  /** Whether that is done. */
  #rose = false;
  /** Streams whose end is listened to already. @type {WeakSet<MediaStream>} */
  #followed = new WeakSet();
  #closed = false;
  /** Whether media ever got through. */
  #worked = false;
  /** While they do not. @type {ReturnType<typeof setTimeout> | undefined} */
  #patience;
  /** What came in so far. */
  #pulse = pulse.begun(0);
  /** Feels it. @type {ReturnType<typeof setInterval> | undefined} */
  #feeling;
  /** What is known of the way up. */
  #uplink = UNTRIED;
  /** Whether it is being tried: nobody needs to hear of that. */
  #trying = false;
  /** Whether the server is being reached anew. */
  #reaching = false;
  /** Whether the last negotiation failed and a new offer was asked for. */
  #retrying = false;

  /**
   * @param {RTCPeerConnection} connection
   * @param {MediaStream} stream what to send: in place before the first answer
   * @param {Listeners} listeners
   * @param {Clock} clock
   */
  constructor(connection, stream, listeners, clock) {
    this.#connection = connection;
    this.#listeners = listeners;
    this.#clock = clock;
    for (const track of stream.getTracks()) connection.addTrack(track, stream);
    this.#listen();
  }

  /**
   * Takes an offer, sends the answer.
   * @param {RTCSessionDescriptionInit} offer
   */
  negotiate(offer) {
    this.#enqueue(async () => {
      try {
        await this.#answer(offer);
        this.#retrying = false;
      } catch (reason) {
        if (this.#closed) return;
        // A running call survives one offer that cannot be taken; a first one has nothing to keep.
        if (this.#early || this.#retrying) this.#listeners.failed(sentence(reason));
        else this.#listeners.send("client_negotiation_needed");
        this.#retrying = true;
      }
    });
  }

  /**
   * Takes one of the server's candidates.
   * @param {RTCIceCandidateInit} candidate
   */
  addCandidate(candidate) {
    this.#enqueue(async () => {
      if (this.#early) this.#early.push(candidate);
      else await this.#add(candidate);
    });
  }

  /** @returns {Promise<Iterable<Record<string, any>>>} */
  async stats() {
    return /** @type {any} */ (await this.#connection.getStats()).values();
  }

  /** Releases the connection; what is still in the chain does nothing. */
  close() {
    if (this.#closed) return;
    this.#closed = true;
    this.#clock.clearInterval(this.#ramp);
    this.#clock.clearTimeout(this.#patience);
    this.#clock.clearInterval(this.#feeling);
    const connection = this.#connection;
    connection.ontrack = connection.onicecandidate = connection.onicecandidateerror = null;
    connection.oniceconnectionstatechange = connection.onconnectionstatechange = null;
    connection.onsignalingstatechange = connection.onicegatheringstatechange = null;
    connection.close();
  }

  /** @param {() => Promise<void>} work */
  #enqueue(work) {
    this.#chain = this.#chain.then(() => (this.#closed ? undefined : work()));
  }

  /** @param {RTCSessionDescriptionInit} offer */
  async #answer(offer) {
    const connection = this.#connection;
    await connection.setRemoteDescription({ ...offer, sdp: allowing(offer.sdp ?? "", this.#uplink.allowed) });
    const answer = await connection.createAnswer();
    const sdp = answer.sdp ?? "";
    const refused = refusedMedia(offer.sdp ?? "", sdp);
    if (refused.length > 0 && this.#early) throw new Error(`this browser knows no format of the ${refused.join(" and ")} offered`);
    await connection.setLocalDescription(answer);
    if (this.#closed) return;
    this.#listeners.send("client_answer", { type: "answer", sdp: askForMono(sdp) });
    this.#raise();
    const early = this.#early ?? [];
    this.#early = undefined;
    for (const candidate of early) await this.#add(candidate);
  }

  /** @param {RTCIceCandidateInit} candidate */
  async #add(candidate) {
    try {
      await this.#connection.addIceCandidate(candidate);
    } catch (reason) {
      // One candidate less is no end: others may do.
      this.#listeners.log("client_ice_candidate_failed", sentence(reason));
    }
  }

  /** Starts the way up of the sender's ceilings, once. */
  #raise() {
    if (this.#ramp !== undefined) return;
    const start = this.#clock.now();
    const step = () => {
      const elapsed = this.#clock.now() - start;
      for (const sender of this.#connection.getSenders()) void limit(sender, elapsed);
      if (!reached(elapsed)) return;
      this.#clock.clearInterval(this.#ramp);
      this.#rose = true;
    };
    this.#ramp = this.#clock.setInterval(step, STEP);
    step();
  }

  #listen() {
    const connection = this.#connection;
    const { send, log, track } = this.#listeners;
    connection.ontrack = (event) => {
      for (const stream of event.streams) this.#follow(stream);
      track(event);
    };
    connection.onicecandidate = ({ candidate }) => {
      if (candidate?.candidate) send("client_ice_candidate", candidate.toJSON());
    };
    connection.onicecandidateerror = ({ errorCode, errorText, url }) => {
      log("client_ice_candidate_failed", `${errorCode} ${errorText} ${url ?? ""}`.trim());
    };
    connection.oniceconnectionstatechange = () => {
      const state = connection.iceConnectionState;
      // The server acts on these two, so they are no mere logs.
      const needed = state === "disconnected" || state === "failed";
      (needed ? send : log)(`client_ice_connection_state_${state}`);
      if (state === "connected") this.#followPair();
    };
    connection.onconnectionstatechange = () => {
      log("client_connection_state_changed", connection.connectionState);
      this.#judge(connection.connectionState);
    };
    connection.onsignalingstatechange = () => {
      if (!this.#trying) log("client_signaling_state_changed", connection.signalingState);
    };
    connection.onicegatheringstatechange = () => log("client_ice_gathering_state_changed", connection.iceGatheringState);
  }

  /**
   * Whether media get through: a connection may heal by itself for a while.
   * @param {RTCPeerConnectionState} state
   */
  #judge(state) {
    const broken = () => this.#listeners.broken(this.#worked);
    if (state === "failed") return broken();
    this.#clock.clearTimeout(this.#patience);
    if (state === "connected") this.#work();
    if (state === "disconnected") this.#patience = this.#clock.setTimeout(broken, PATIENCE);
  }

  #work() {
    this.#worked = true;
    if (this.#feeling !== undefined) return;
    this.#pulse = pulse.begun(this.#clock.now());
    this.#feeling = this.#clock.setInterval(() => this.#feel(), PULSE_PERIOD);
  }

  async #feel() {
    const values = await this.stats().catch(() => undefined);
    if (this.#closed || !values) return;
    const stats = [...values];
    const now = this.#clock.now();
    this.#pulse = pulse.felt(this.#pulse, pulse.received(stats), now);
    const found = pulse.verdict(this.#pulse, now);
    if (found === "broken") this.#listeners.broken(this.#worked);
    if (found === "doubtful") void this.#reach();
    if (found === "alive" && this.#rose) this.#judgeUplink(available(stats), now);
  }

  /** What there is to send that a try could find room for, in bit/s: nothing without pictures, or where it is not by trying that the browser learns what it may send. */
  #wanted() {
    const sends = this.#connection.getSenders().some(({ track }) => track?.kind === "video" && track.readyState !== "ended");
    const tries = this.#connection.remoteDescription?.sdp.includes(FEEDBACK);
    return sends && tries ? WHOLE : 0;
  }

  /**
   * @param {number | undefined} bitrate bit/s
   * @param {number} now ms
   */
  #judgeUplink(bitrate, now) {
    const before = this.#uplink.allowed;
    const { uplink, due } = judged(this.#uplink, bitrate, this.#wanted(), now);
    this.#uplink = uplink;
    // Only what is more than before makes the browser try, so the first time needs something before.
    if (due) this.#enqueue(() => this.#allow(before === undefined ? [Number(uplink.allowed) - 1, Number(uplink.allowed)] : [Number(uplink.allowed)]));
  }

  /**
   * Reads the last offer again, with other limits; the server hears nothing of it, for nothing else changes.
   * @param {number[]} limits kbit/s, one after another
   */
  async #allow(limits) {
    const connection = this.#connection;
    this.#trying = true;
    try {
      for (const limit of limits) {
        const { remoteDescription, signalingState } = connection;
        if (this.#closed || !remoteDescription || signalingState !== "stable") return;
        await connection.setRemoteDescription({ type: "offer", sdp: allowing(remoteDescription.sdp, limit) });
        await connection.setLocalDescription(await connection.createAnswer());
      }
    } catch {
      // The call goes on as before; the server's next offer is read in any state.
    } finally {
      this.#trying = false;
    }
  }

  /** Looks whether the server is there by another way: what is silent then may be given up. */
  async #reach() {
    if (this.#reaching || this.#pulse.reached < Infinity) return;
    this.#reaching = true;
    const quiet = this.#pulse.heard;
    try {
      await this.#listeners.reach();
      if (this.#pulse.heard === quiet) this.#pulse = pulse.reached(this.#pulse, this.#clock.now());
    } catch {
      // The network is gone: the old way may be the first to heal.
    } finally {
      this.#reaching = false;
    }
  }

  /** Tells the server which pair of addresses carries the call. */
  #followPair() {
    const transport = this.#connection.getSenders()[0]?.transport?.iceTransport;
    // Firefox has no getSelectedCandidatePair (2026).
    if (!transport || !("getSelectedCandidatePair" in transport)) return;
    const tell = () => {
      const pair = transport.getSelectedCandidatePair();
      if (pair) this.#listeners.log("client_selected_candidate_pair", `${pair.local?.candidate} / ${pair.remote?.candidate}`);
    };
    transport.onselectedcandidatepairchange = tell;
    tell();
  }

  /**
   * A track leaves its stream when the server stops sending it.
   * @param {MediaStream} stream
   */
  #follow(stream) {
    if (this.#followed.has(stream)) return;
    this.#followed.add(stream);
    stream.addEventListener("removetrack", ({ track }) => {
      if (!this.#closed) this.#listeners.untrack(track, stream);
    });
  }
}

/**
 * Sets a sender's ceiling for this moment.
 * @param {RTCRtpSender} sender
 * @param {number} elapsed ms since the first answer
 */
async function limit(sender, elapsed) {
  if (!sender.track) return;
  const parameters = sender.getParameters();
  // Firefox has none before the first negotiation (2026).
  if (!parameters.encodings?.length) return;
  for (const encoding of parameters.encodings) encoding.maxBitrate = ceiling(sender.track.kind, elapsed);
  try {
    await sender.setParameters(parameters);
  } catch {
    // A negotiation came in between: the next step sets it.
  }
}
