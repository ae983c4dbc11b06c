// SPDX-License-Identifier: MPL-2.0

/**
 * @file The phases of a call, as a pure function:
 *
 * | phase     | what happens                         | leaves by                                    |
 * |-----------|--------------------------------------|----------------------------------------------|
 * | idle      | nothing yet                          | start                                        |
 * | preparing | camera and microphone are asked for  | captured → joining                           |
 * | joining   | the socket opens, `join` goes out    | `joined` → connected                         |
 * | connected | media are negotiated, others come    | `start` → running                            |
 * | running   | the conversation                     | `ending` → ending                            |
 * | ending    | its last seconds                     | `end` → closing                              |
 * | lost      | the next try to come back is awaited | time, online → returning                     |
 * | returning | a socket opens, `join` goes out again| `joined` → connected; gone, time → lost      |
 * | closing   | all is released, the socket closes   | gone → closed                                |
 * | closed    | over                                 |                                              |
 *
 * From connected, running and ending the loss of the socket or of the media leads to lost; that is
 * the only way back. What was captured, and until `joined` the connection for media too, stay: a
 * server that lost no more than the socket goes on with them meanwhile.
 *
 * From every phase before closing: `end`, an error, a failure, stop and leave go to closing, and
 * while joining the loss of the socket to closed. What is not in the table changes nothing.
 */

import { CLOSE_ERROR, CLOSE_NORMAL, CLOSE_RETURNING } from "./protocol.js";

/** Before each try to come back, ms; the last one for all that follow. Ours: half a second is no burden for a server. */
const PAUSES = [500, 1000, 2000, 4000];
/** How long a try may take, in ms. Ours: a handshake and a join take a few round trips; what hangs longer began while the network was down. */
const TRY_LIMIT = 5000;
/** How long tries go on when the interaction has not started, in ms. Ours, as the server's own default of what silence it bears. */
const UNSTARTED_LIMIT = 30_000;

/** @typedef {"idle" | "preparing" | "joining" | "connected" | "running" | "ending" | "lost" | "returning" | "closing" | "closed"} Phase */

/**
 * Where a call is.
 * - `told`: which of the things that happen once the page has been told
 * - `over`: when the interaction is over; with `now`, the page's clock, in ms
 * - `tries`: to come back, since the last time it was in
 * @typedef {{ phase: Phase, told: "nothing" | "start" | "ending", over: number, tries: number }} State
 */

/** @type {State} */
export const FRESH = { phase: "idle", told: "nothing", over: Infinity, tries: 0 };

/**
 * What happens to a call.
 * - `start`, `stop`: the page's wish; `leave`: the page goes away (a reload is a reconnection, so
 *   the server is not told `stop`)
 * - `captured`: camera and microphone are there
 * - `message`: the server speaks
 * - `gone`: the socket is closed, or there was none
 * - `broken`: media no longer get through; `worked`: on this connection they once did
 * - `online`: the browser has a network again
 * - `time`: what `wait` asked for is over
 * - `failed`: something here does not work; `reason` is a sentence, `kind` the event's kind
 *   (`error` by default)
 * @typedef {{ on: "start" | "stop" | "leave" | "gone" | "online" | "time" }
 *   | { on: "captured", stream: MediaStream }
 *   | { on: "message", message: import("./protocol.js").ServerMessage }
 *   | { on: "broken", worked: boolean }
 *   | { on: "failed", reason: string, kind?: "error" | "error-peer-connection" }
 * } Input
 */

/**
 * What is to be done, in this order.
 * - `keep`: what was captured is for the peer to send; `release`: it came too late
 * - `say_stop`, `tell_server`: words for the server, while it can hear them
 * - `meet`, `part`: whose stream is whose; `part_all`: the page is told that everyone left
 * - `drop_socket`, `drop_peer`: without a further word of theirs
 * - `wait`: the input `time` follows after so many ms, unless another wait or `hang_up` comes first
 * - `wait_no_more`: it does not
 * - `hang_up`: everything is released and the socket closed; the input `gone` follows
 * @typedef {{ do: "capture" | "connect" | "say_stop" | "drop_peer" | "part_all" | "wait_no_more" }
 *   | { do: "keep", stream: MediaStream }
 *   | { do: "release", stream: MediaStream }
 *   | { do: "open_peer", iceServers: RTCIceServer[] }
 *   | { do: "negotiate", offer: RTCSessionDescriptionInit }
 *   | { do: "add_candidate", candidate: RTCIceCandidateInit }
 *   | { do: "meet", userId: string, streamId: string }
 *   | { do: "part", userId: string, streamId?: string }
 *   | { do: "emit", kind: string, payload?: unknown }
 *   | { do: "tell_server", text: string }
 *   | { do: "wait", ms: number }
 *   | { do: "drop_socket" | "hang_up", code: number }
 * } Effect
 */

/** @typedef {State & { effects: Effect[] }} Step */

/**
 * @param {State} state
 * @param {Input} input
 * @param {number} now ms
 * @returns {Step}
 */
export function transition(state, input, now) {
  const { phase } = state;
  if (phase === "closing" || phase === "closed") return afterwards(state, input);
  switch (input.on) {
    case "start":
      return phase === "idle" ? go(state, "preparing", { do: "capture" }) : stay(state);
    case "captured":
      if (phase !== "preparing") return stay(state, { do: "release", stream: input.stream });
      return go(state, "joining", { do: "keep", stream: input.stream }, { do: "connect" });
    case "message":
      return phase === "idle" || phase === "preparing" || phase === "lost" ? stay(state) : heard(state, input.message, now);
    case "stop":
      return close(state, CLOSE_NORMAL, { do: "say_stop" });
    case "leave":
      return close(state, CLOSE_NORMAL);
    case "failed":
      return fail(state, input.reason, input.kind);
    case "gone":
      return gone(state, now);
    case "broken":
      // Who never got through before the start is told by the server why.
      if (!isIn(phase) || (!input.worked && state.told === "nothing")) return stay(state);
      return lose(state, now, { do: "drop_socket", code: CLOSE_RETURNING });
    case "online":
      return phase === "lost" ? comeBack(state, now) : stay(state);
    case "time":
      if (phase === "lost") return comeBack(state, now);
      return phase === "returning" ? pause(state, now, { do: "drop_socket", code: CLOSE_RETURNING }) : stay(state);
  }
}

/**
 * @param {State} state
 * @param {Input} input
 * @returns {Step}
 */
function afterwards(state, input) {
  if (input.on === "captured") return stay(state, { do: "release", stream: input.stream });
  if (input.on === "gone" && state.phase === "closing") return go(state, "closed", { do: "emit", kind: "closed" });
  return stay(state);
}

/** @param {Phase} phase */
function isIn(phase) {
  return phase === "connected" || phase === "running" || phase === "ending";
}

/**
 * @param {State} state
 * @param {number} now
 * @returns {Step}
 */
function gone(state, now) {
  if (isIn(state.phase)) return lose(state, now);
  if (state.phase === "returning") return pause(state, now);
  if (state.phase === "lost") return stay(state);
  /** @type {Effect[]} */
  const effects = [{ do: "hang_up", code: CLOSE_NORMAL }, { do: "emit", kind: "closed" }];
  if (state.phase === "joining") {
    // The one loss that nothing else explains: a refused origin, no server, no network.
    effects.unshift({ do: "emit", kind: "error", payload: "the server did not accept the connection" });
  }
  return go(state, "closed", ...effects);
}

/**
 * The way to the server is lost: from now on it is tried again.
 * @param {State} state
 * @param {number} now
 * @param {Effect[]} effects
 * @returns {Step}
 */
function lose(state, now, ...effects) {
  const over = state.told === "nothing" ? now + UNSTARTED_LIMIT : state.over;
  return pause({ ...state, over, tries: 0 }, now, ...effects, { do: "emit", kind: "reconnecting" });
}

/**
 * Until the next try, if there is to be one.
 * @param {State} state
 * @param {number} now
 * @param {Effect[]} effects
 * @returns {Step}
 */
function pause(state, now, ...effects) {
  const ms = PAUSES[Math.min(state.tries, PAUSES.length - 1)];
  if (now + ms >= state.over) return fail(state, "the connection was lost", undefined, effects);
  return go({ ...state, tries: state.tries + 1 }, "lost", ...effects, { do: "wait", ms });
}

/**
 * @param {State} state
 * @param {number} now
 * @returns {Step}
 */
function comeBack(state, now) {
  if (now >= state.over) return fail(state, "the connection was lost");
  return go(state, "returning", { do: "connect" }, { do: "wait", ms: TRY_LIMIT });
}

/**
 * @param {State} state
 * @param {import("./protocol.js").ServerMessage} message
 * @param {number} now
 * @returns {Step}
 */
function heard(state, message, now) {
  const { phase, told } = state;
  switch (message.kind) {
    case "error":
      return close(state, CLOSE_ERROR, { do: "emit", kind: message.name, payload: message.payload });
    case "end":
      return close(state, CLOSE_NORMAL, { do: "emit", kind: "end" });
    case "other":
      return stay(state, { do: "emit", kind: message.name, payload: message.payload });
    case "joined":
      return admitted(state, message.payload);
  }
  // Without `joined` there is no peer yet and nothing below makes sense.
  if (!isIn(phase)) return stay(state);
  switch (message.kind) {
    case "offer":
      return stay(state, { do: "negotiate", offer: message.payload });
    case "candidate":
      return stay(state, { do: "add_candidate", candidate: message.payload });
    case "other_joined":
      return stay(state, { do: "meet", userId: message.payload.userId, streamId: message.payload.streamId }, emit(message));
    case "other_left":
      return stay(state, { do: "part", userId: message.payload.userId, streamId: message.payload.streamId }, emit(message));
    case "start": {
      const over = now + message.payload * 1000;
      if (told === "nothing") return go({ ...state, over, told: "start" }, phase === "connected" ? "running" : phase, emit(message));
      // What is told once is not told again: a page would begin its trial anew.
      return go({ ...state, over }, told === "ending" ? "ending" : "running", { do: "emit", kind: "reconnected", payload: message.payload });
    }
    case "ending":
      return go({ ...state, told: "ending" }, "ending", emit(message));
    case "files":
      return stay(state, emit(message));
  }
}

/**
 * The server lets us in.
 * @param {State} state
 * @param {{ context: import("../ducksoup.js").JoinContext, iceServers: RTCIceServer[] }} payload
 * @returns {Step}
 */
function admitted(state, payload) {
  const open = /** @type {Effect} */ ({ do: "open_peer", iceServers: payload.iceServers });
  if (state.phase === "joining") return go(state, "connected", open, { do: "emit", kind: "joined", payload: joined(payload) });
  if (state.phase !== "returning") return stay(state);
  if (state.told !== "nothing" && payload.context !== "reconnection") {
    // The same name has begun anew: nothing of ours is left there.
    return close(state, CLOSE_ERROR, { do: "say_stop" }, { do: "emit", kind: "error", payload: "the interaction is over" });
  }
  return go({ ...state, tries: 0 }, "connected", { do: "wait_no_more" }, { do: "drop_peer" }, { do: "part_all" }, open);
}

/**
 * Pages of the README read the context, pages of the field this whole object: it is both.
 * @param {{ context: import("../ducksoup.js").JoinContext, iceServers: RTCIceServer[] }} payload
 * @returns {import("../ducksoup.js").Joined}
 */
function joined(payload) {
  const both = { ...payload, toString: () => payload.context };
  // Not among the fields that a page lists or writes as JSON.
  return Object.defineProperty(both, "toString", { enumerable: false });
}

/**
 * @param {{ kind: string, payload?: unknown }} message
 * @returns {Effect}
 */
function emit({ kind, payload }) {
  return { do: "emit", kind, payload };
}

/**
 * @param {State} state
 * @param {Phase} phase
 * @param {Effect[]} effects
 * @returns {Step}
 */
function go(state, phase, ...effects) {
  return { phase, told: state.told, over: state.over, tries: state.tries, effects };
}

/**
 * @param {State} state
 * @param {Effect[]} effects
 * @returns {Step}
 */
function stay(state, ...effects) {
  return go(state, state.phase, ...effects);
}

/**
 * @param {State} state
 * @param {number} code
 * @param {Effect[]} effects
 * @returns {Step}
 */
function close(state, code, ...effects) {
  return go(state, "closing", ...effects, { do: "hang_up", code });
}

/**
 * @param {State} state
 * @param {string} reason a sentence
 * @param {string} [kind]
 * @param {Effect[]} [before]
 * @returns {Step}
 */
function fail(state, reason, kind = "error", before = []) {
  return close(state, CLOSE_ERROR, ...before, { do: "tell_server", text: reason }, { do: "emit", kind, payload: reason });
}
