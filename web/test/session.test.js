// SPDX-License-Identifier: MPL-2.0

import assert from "node:assert/strict";
import { test } from "node:test";
import { decode } from "../lib/protocol.js";
import { transition } from "../lib/session.js";

/** @typedef {import("../lib/session.js").Phase} Phase */
/** @typedef {import("../lib/session.js").Input} Input */

/** @type {Phase[]} */
const PHASES = ["idle", "preparing", "joining", "connected", "running", "ending", "closing", "closed"];
const stream = /** @type {MediaStream} */ (/** @type {unknown} */ ({}));

/** @param {string} kind @param {unknown} [payload] @returns {Input} */
const heard = (kind, payload) => ({ on: "message", message: decode(JSON.stringify({ kind, payload })) });

/** @type {Record<string, Input>} */
const INPUTS = {
  start: { on: "start" },
  stop: { on: "stop" },
  leave: { on: "leave" },
  gone: { on: "gone" },
  captured: { on: "captured", stream },
  failed: { on: "failed", reason: "why" },
  unconnectable: { on: "failed", reason: "why", kind: "error-peer-connection" },
  joined: heard("joined", { context: "new_interaction", iceServers: null }),
  offer: heard("offer", '{"type":"offer","sdp":"v=0"}'),
  candidate: heard("candidate", '{"candidate":"c"}'),
  other_joined: heard("other_joined", { userId: "b", streamId: "s" }),
  other_left: heard("other_left", { userId: "b" }),
  begin: heard("start", 30),
  soon: heard("ending"),
  files: heard("files", { a: ["x"] }),
  end: heard("end"),
  refused: heard("error-full"),
  news: heard("control_refused", { name: "fx", property: "p", reason: "r" }),
};

const nothing = "=";
const closes = {
  stop: "closing: say_stop, hang_up 1000",
  leave: "closing: hang_up 1000",
  failed: "closing: tell_server, emit error, hang_up 4000",
  unconnectable: "closing: tell_server, emit error-peer-connection, hang_up 4000",
  gone: "closed: hang_up 1000, emit closed",
};
const speaks = { end: "closing: emit end, hang_up 1000", refused: "closing: emit error-full, hang_up 4000", news: "=: emit control_refused" };
const together = {
  offer: "=: negotiate",
  candidate: "=: add_candidate",
  other_joined: "=: meet, emit other_joined",
  other_left: "=: part, emit other_left",
  files: "=: emit files",
  captured: "=: release",
};

/** Next phase and effects by phase and input; what is not here is nothing. @type {Record<Phase, Record<string, string>>} */
const TABLE = {
  idle: { ...closes, start: "preparing: capture", captured: "=: release" },
  preparing: { ...closes, captured: "joining: keep, connect" },
  joining: {
    ...closes, ...speaks,
    joined: "connected: open_peer, emit joined",
    gone: "closed: emit error, hang_up 1000, emit closed",
    captured: "=: release",
  },
  connected: { ...closes, ...speaks, ...together, begin: "running: emit start", soon: "ending: emit ending" },
  running: { ...closes, ...speaks, ...together, begin: "=: emit start", soon: "ending: emit ending" },
  ending: { ...closes, ...speaks, ...together, begin: "=: emit start", soon: "=: emit ending" },
  closing: { gone: "closed: emit closed", captured: "=: release" },
  closed: { captured: "=: release" },
};

/** @param {Phase} from @param {import("../lib/session.js").Step} step */
function told(from, { phase, effects }) {
  const list = effects.map((effect) => {
    if (effect.do === "emit") return `emit ${effect.kind}`;
    return effect.do === "hang_up" ? `hang_up ${effect.code}` : effect.do;
  });
  const name = phase === from ? "=" : phase;
  return list.length ? `${name}: ${list.join(", ")}` : name;
}

test("every phase answers every input as the table says", () => {
  for (const phase of PHASES) {
    for (const [name, input] of Object.entries(INPUTS)) {
      assert.equal(told(phase, transition(phase, input)), TABLE[phase][name] ?? nothing, `${phase} × ${name}`);
    }
  }
});

test("no input ever leads backwards", () => {
  for (const phase of PHASES) {
    for (const [name, input] of Object.entries(INPUTS)) {
      const { phase: next } = transition(phase, input);
      assert.ok(PHASES.indexOf(next) >= PHASES.indexOf(phase), `${phase} × ${name} → ${next}`);
    }
  }
});

test("from every phase a stop and the socket's end close the call once", () => {
  for (const phase of PHASES.slice(0, -1)) {
    const first = transition(phase, INPUTS.stop);
    const second = transition(first.phase, INPUTS.gone);
    assert.equal(second.phase, "closed", phase);
    const third = transition(second.phase, INPUTS.gone);
    const closed = [...first.effects, ...second.effects, ...third.effects].filter((effect) => effect.do === "emit" && effect.kind === "closed");
    assert.equal(closed.length, 1, phase);
  }
});

test("the payload of joined is the object, and the context as a string", () => {
  const [, emitted] = transition("joining", heard("joined", { context: "reconnection", iceServers: [{ urls: "stun:x" }] })).effects;
  assert.ok(emitted.do === "emit");
  const payload = /** @type {any} */ (emitted.payload);
  assert.equal(payload.toString(), "reconnection");
  assert.equal(`${payload}`, "reconnection");
  assert.ok(payload == "reconnection"); // eslint-disable-line eqeqeq
  assert.deepEqual(Object.keys(payload), ["context", "iceServers"]);
  assert.deepEqual(payload.iceServers, [{ urls: "stun:x" }]);
});

test("a joined without ice servers opens a peer with an empty list", () => {
  const [open] = transition("joining", INPUTS.joined).effects;
  assert.deepEqual(open, { do: "open_peer", iceServers: [] });
});
