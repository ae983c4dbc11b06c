// SPDX-License-Identifier: MPL-2.0

/**
 * @file The phases of a call, as a pure function. They never go backwards:
 *
 * | phase     | what happens                         | leaves by                                    |
 * |-----------|--------------------------------------|----------------------------------------------|
 * | idle      | nothing yet                          | start                                        |
 * | preparing | camera and microphone are asked for  | captured → joining                           |
 * | joining   | the socket opens, `join` goes out    | `joined` → connected                         |
 * | connected | media are negotiated, others come    | `start` → running                            |
 * | running   | the conversation                     | `ending` → ending                            |
 * | ending    | its last seconds                     | `end` → closing                              |
 * | closing   | all is released, the socket closes   | gone → closed                                |
 * | closed    | over                                 |                                              |
 *
 * From every phase before closing: `end`, an error, a failure, stop and leave go to closing, and
 * the loss of the socket to closed. What is not in the table changes nothing.
 */

import { CLOSE_ERROR, CLOSE_NORMAL } from "./protocol.js";

/** @typedef {"idle" | "preparing" | "joining" | "connected" | "running" | "ending" | "closing" | "closed"} Phase */

/**
 * What happens to a call.
 * - `start`, `stop`: the page's wish; `leave`: the page goes away (a reload is a reconnection, so
 *   the server is not told `stop`)
 * - `captured`: camera and microphone are there
 * - `message`: the server speaks
 * - `gone`: the socket is closed, or there was none
 * - `failed`: something here does not work; `reason` is a sentence, `kind` the event's kind
 *   (`error` by default)
 * @typedef {{ on: "start" | "stop" | "leave" | "gone" }
 *   | { on: "captured", stream: MediaStream }
 *   | { on: "message", message: import("./protocol.js").ServerMessage }
 *   | { on: "failed", reason: string, kind?: "error" | "error-peer-connection" }
 * } Input
 */

/**
 * What is to be done, in this order.
 * - `keep`: what was captured is for the peer to send; `release`: it came too late
 * - `say_stop`, `tell_server`: words for the server, while it can hear them
 * - `meet`, `part`: whose stream is whose
 * - `hang_up`: everything is released and the socket closed; the input `gone` follows
 * @typedef {{ do: "capture" | "connect" | "say_stop" }
 *   | { do: "keep", stream: MediaStream }
 *   | { do: "release", stream: MediaStream }
 *   | { do: "open_peer", iceServers: RTCIceServer[] }
 *   | { do: "negotiate", offer: RTCSessionDescriptionInit }
 *   | { do: "add_candidate", candidate: RTCIceCandidateInit }
 *   | { do: "meet", userId: string, streamId: string }
 *   | { do: "part", userId: string, streamId?: string }
 *   | { do: "emit", kind: string, payload?: unknown }
 *   | { do: "tell_server", text: string }
 *   | { do: "hang_up", code: number }
 * } Effect
 */

/** @typedef {{ phase: Phase, effects: Effect[] }} Step */

/**
 * @param {Phase} phase
 * @param {Input} input
 * @returns {Step}
 */
export function transition(phase, input) {
  if (phase === "closing" || phase === "closed") return afterwards(phase, input);
  switch (input.on) {
    case "start":
      return phase === "idle" ? { phase: "preparing", effects: [{ do: "capture" }] } : stay(phase);
    case "captured":
      if (phase !== "preparing") return stay(phase, { do: "release", stream: input.stream });
      return { phase: "joining", effects: [{ do: "keep", stream: input.stream }, { do: "connect" }] };
    case "message":
      return phase === "idle" || phase === "preparing" ? stay(phase) : heard(phase, input.message);
    case "stop":
      return close(CLOSE_NORMAL, { do: "say_stop" });
    case "leave":
      return close(CLOSE_NORMAL);
    case "failed":
      return close(CLOSE_ERROR, { do: "tell_server", text: input.reason }, { do: "emit", kind: input.kind ?? "error", payload: input.reason });
    case "gone": {
      /** @type {Effect[]} */
      const effects = [{ do: "hang_up", code: CLOSE_NORMAL }, { do: "emit", kind: "closed" }];
      if (phase === "joining") {
        // The one loss that nothing else explains: a refused origin, no server, no network.
        effects.unshift({ do: "emit", kind: "error", payload: "the server did not accept the connection" });
      }
      return { phase: "closed", effects };
    }
  }
}

/**
 * @param {"closing" | "closed"} phase
 * @param {Input} input
 * @returns {Step}
 */
function afterwards(phase, input) {
  if (input.on === "captured") return stay(phase, { do: "release", stream: input.stream });
  if (input.on === "gone" && phase === "closing") return { phase: "closed", effects: [{ do: "emit", kind: "closed" }] };
  return stay(phase);
}

/**
 * @param {"joining" | "connected" | "running" | "ending"} phase
 * @param {import("./protocol.js").ServerMessage} message
 * @returns {Step}
 */
function heard(phase, message) {
  switch (message.kind) {
    case "error":
      return close(CLOSE_ERROR, { do: "emit", kind: message.name, payload: message.payload });
    case "end":
      return close(CLOSE_NORMAL, { do: "emit", kind: "end" });
    case "other":
      return stay(phase, { do: "emit", kind: message.name, payload: message.payload });
    case "joined":
      if (phase !== "joining") return stay(phase);
      return {
        phase: "connected",
        effects: [{ do: "open_peer", iceServers: message.payload.iceServers }, { do: "emit", kind: "joined", payload: joined(message.payload) }],
      };
  }
  // Without `joined` there is no peer yet and nothing below makes sense.
  if (phase === "joining") return stay(phase);
  switch (message.kind) {
    case "offer":
      return stay(phase, { do: "negotiate", offer: message.payload });
    case "candidate":
      return stay(phase, { do: "add_candidate", candidate: message.payload });
    case "other_joined":
      return stay(phase, { do: "meet", userId: message.payload.userId, streamId: message.payload.streamId }, emit(message));
    case "other_left":
      return stay(phase, { do: "part", userId: message.payload.userId, streamId: message.payload.streamId }, emit(message));
    case "start":
      return { phase: phase === "connected" ? "running" : phase, effects: [emit(message)] };
    case "ending":
      return { phase: "ending", effects: [emit(message)] };
    case "files":
      return stay(phase, emit(message));
  }
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
 * @param {Phase} phase
 * @param {Effect[]} effects
 * @returns {Step}
 */
function stay(phase, ...effects) {
  return { phase, effects };
}

/**
 * @param {number} code
 * @param {Effect[]} effects
 * @returns {Step}
 */
function close(code, ...effects) {
  return { phase: "closing", effects: [...effects, { do: "hang_up", code }] };
}
