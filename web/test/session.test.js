// SPDX-License-Identifier: MPL-2.0

import assert from "node:assert/strict";
import { test } from "node:test";
import { decode } from "../lib/protocol.js";
import { FRESH, transition } from "../lib/session.js";

/** @typedef {import("../lib/session.js").Phase} Phase */
/** @typedef {import("../lib/session.js").Input} Input */
/** @typedef {import("../lib/session.js").State} State */

/** @type {Phase[]} */
const PHASES = ["idle", "preparing", "joining", "connected", "running", "ending", "lost", "returning", "closing", "closed"];
const stream = /** @type {MediaStream} */ (/** @type {unknown} */ ({}));

/** @param {string} kind @param {unknown} [payload] @returns {Input} */
const heard = (kind, payload) => ({ on: "message", message: decode(JSON.stringify({ kind, payload })) });

/** Now, in ms; interactions here are over at 100 s. */
const NOW = 40_000;
/** @type {Partial<Record<Phase, Partial<State>>>} */
const KNOWN = {
  running: { told: "start", over: 100_000 },
  ending: { told: "ending", over: 100_000 },
  lost: { told: "start", over: 100_000, tries: 2 },
  returning: { told: "start", over: 100_000, tries: 2 },
};
/** @param {Phase} phase @returns {State} */
const at = (phase) => ({ ...FRESH, ...KNOWN[phase], phase });

/** @type {Record<string, Input>} */
const INPUTS = {
  start: { on: "start" },
  stop: { on: "stop" },
  leave: { on: "leave" },
  gone: { on: "gone" },
  captured: { on: "captured", stream },
  broken: { on: "broken", worked: true },
  unborn: { on: "broken", worked: false },
  online: { on: "online" },
  time: { on: "time" },
  failed: { on: "failed", reason: "why" },
  unconnectable: { on: "failed", reason: "why", kind: "error-peer-connection" },
  joined: heard("joined", { context: "new_interaction", iceServers: null }),
  again: heard("joined", { context: "reconnection", iceServers: [] }),
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
const loses = {
  gone: "lost: emit reconnecting, wait 500",
  broken: "lost: drop_socket 4001, emit reconnecting, wait 500",
};
const together = {
  ...loses,
  unborn: loses.broken,
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
    again: "connected: open_peer, emit joined",
    gone: "closed: emit error, hang_up 1000, emit closed",
    captured: "=: release",
  },
  connected: { ...closes, ...speaks, ...together, unborn: nothing, begin: "running: emit start", soon: "ending: emit ending" },
  running: { ...closes, ...speaks, ...together, begin: "=: emit reconnected", soon: "ending: emit ending" },
  ending: { ...closes, ...speaks, ...together, begin: "=: emit reconnected", soon: "=: emit ending" },
  lost: {
    ...closes,
    gone: nothing,
    captured: "=: release",
    online: "returning: connect, wait 5000",
    time: "returning: connect, wait 5000",
  },
  returning: {
    ...closes, ...speaks,
    gone: "lost: wait 2000",
    time: "lost: drop_socket 4001, wait 2000",
    captured: "=: release",
    again: "connected: wait_no_more, drop_peer, part_all, open_peer",
    joined: "closing: say_stop, emit error, hang_up 4000",
  },
  closing: { gone: "closed: emit closed", captured: "=: release" },
  closed: { captured: "=: release" },
};

/** @param {Phase} from @param {Pick<import("../lib/session.js").Step, "phase" | "effects">} step */
function told(from, { phase, effects }) {
  const list = effects.map((effect) => {
    if (effect.do === "emit") return `emit ${effect.kind}`;
    if (effect.do === "wait") return `wait ${effect.ms}`;
    return "code" in effect ? `${effect.do} ${effect.code}` : effect.do;
  });
  const name = phase === from ? "=" : phase;
  return list.length ? `${name}: ${list.join(", ")}` : name;
}

test("every phase answers every input as the table says", () => {
  for (const phase of PHASES) {
    for (const [name, input] of Object.entries(INPUTS)) {
      assert.equal(told(phase, transition(at(phase), input, NOW)), TABLE[phase][name] ?? nothing, `${phase} × ${name}`);
    }
  }
});

test("no input ever leads backwards, but for the way back", () => {
  for (const phase of PHASES) {
    for (const [name, input] of Object.entries(INPUTS)) {
      const { phase: next } = transition(at(phase), input, NOW);
      const back = phase === "returning" && (next === "connected" || next === "lost");
      assert.ok(back || PHASES.indexOf(next) >= PHASES.indexOf(phase), `${phase} × ${name} → ${next}`);
    }
  }
});

/**
 * Runs inputs one after the other, each so many seconds after the one before.
 * @param {[number, Input][]} script
 */
function run(script) {
  /** @type {State} */
  let state = FRESH;
  let now = 0;
  return script.map(([seconds, input]) => {
    now += seconds * 1000;
    const { effects, ...next } = transition(state, input, now);
    const said = told(state.phase, { ...next, effects });
    state = next;
    return said;
  });
}

/** @type {[number, Input][]} */
const RUNNING = [[0, INPUTS.start], [0, INPUTS.captured], [0, INPUTS.joined], [1, INPUTS.begin]];

test("who has lost the way tries at longer and longer intervals until the interaction is over", () => {
  /** @type {[number, Input][]} */
  const tries = [[0.5, INPUTS.time], [5, INPUTS.time], [1, INPUTS.time], [5, INPUTS.time], [2, INPUTS.time], [0, INPUTS.gone], [4, INPUTS.time], [5, INPUTS.time]];
  assert.deepEqual(run([...RUNNING, [2, INPUTS.gone], ...tries, [4, INPUTS.time], [5, INPUTS.time]]).slice(4), [
    "lost: emit reconnecting, wait 500",
    "returning: connect, wait 5000",
    "lost: drop_socket 4001, wait 1000",
    "returning: connect, wait 5000",
    "lost: drop_socket 4001, wait 2000",
    "returning: connect, wait 5000",
    "lost: wait 4000",
    "returning: connect, wait 5000",
    "lost: drop_socket 4001, wait 4000",
    "returning: connect, wait 5000",
    "closing: drop_socket 4001, tell_server, emit error, hang_up 4000",
  ]);
});

test("who comes back is told what is left, once, and nothing twice", () => {
  const [left, again] = [heard("start", 20), heard("start", 8)];
  assert.deepEqual(
    run([...RUNNING, [5, INPUTS.broken], [0, INPUTS.online], [0, INPUTS.again], [1, left], [5, INPUTS.soon], [1, INPUTS.gone], [0.5, INPUTS.time], [0, INPUTS.again], [1, again], [7, INPUTS.gone]]).slice(4),
    [
      "lost: drop_socket 4001, emit reconnecting, wait 500",
      "returning: connect, wait 5000",
      "connected: wait_no_more, drop_peer, part_all, open_peer",
      "running: emit reconnected",
      "ending: emit ending",
      "lost: emit reconnecting, wait 500",
      "returning: connect, wait 5000",
      "connected: wait_no_more, drop_peer, part_all, open_peer",
      "ending: emit reconnected",
      "lost: emit reconnecting, wait 500",
    ],
  );
});

test("before the start a loss is made good too, whoever else is still there", () => {
  assert.deepEqual(run([...RUNNING.slice(0, 3), [1, INPUTS.gone], [0.5, INPUTS.time], [0, INPUTS.joined], [1, INPUTS.begin]]).slice(3), [
    "lost: emit reconnecting, wait 500",
    "returning: connect, wait 5000",
    "connected: wait_no_more, drop_peer, part_all, open_peer",
    "running: emit start",
  ]);
});

test("from every phase a stop and the socket's end close the call once", () => {
  for (const phase of PHASES.slice(0, -1)) {
    const first = transition(at(phase), INPUTS.stop, NOW);
    const second = transition(first, INPUTS.gone, NOW);
    assert.equal(second.phase, "closed", phase);
    const third = transition(second, INPUTS.gone, NOW);
    const closed = [...first.effects, ...second.effects, ...third.effects].filter((effect) => effect.do === "emit" && effect.kind === "closed");
    assert.equal(closed.length, 1, phase);
  }
});

test("the payload of joined is the object, and the context as a string", () => {
  const [, emitted] = transition(at("joining"), heard("joined", { context: "reconnection", iceServers: [{ urls: "stun:x" }] }), NOW).effects;
  assert.ok(emitted.do === "emit");
  const payload = /** @type {any} */ (emitted.payload);
  assert.equal(payload.toString(), "reconnection");
  assert.equal(`${payload}`, "reconnection");
  assert.ok(payload == "reconnection"); // eslint-disable-line eqeqeq
  assert.deepEqual(Object.keys(payload), ["context", "iceServers"]);
  assert.deepEqual(payload.iceServers, [{ urls: "stun:x" }]);
});

test("a joined without ice servers opens a peer with an empty list", () => {
  const [open] = transition(at("joining"), INPUTS.joined, NOW).effects;
  assert.deepEqual(open, { do: "open_peer", iceServers: [] });
});
