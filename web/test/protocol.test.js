// SPDX-License-Identifier: MPL-2.0

import assert from "node:assert/strict";
import { test } from "node:test";
import { decode, encode, socketUrl } from "../lib/protocol.js";

test("a payload for the server is a text, whatever it was", () => {
  for (const [payload, frame] of /** @type {[unknown, object][]} */ ([
    [undefined, { kind: "k" }],
    ["text", { kind: "k", payload: "text" }],
    [{ a: 1 }, { kind: "k", payload: '{"a":1}' }],
    [3, { kind: "k", payload: "3" }],
    [null, { kind: "k", payload: "null" }],
    [() => 0, { kind: "k", payload: "() => 0" }],
  ])) {
    assert.deepEqual(JSON.parse(encode("k", payload)), frame);
  }
});

test("the page's address goes into the socket's", () => {
  assert.equal(socketUrl("wss://h/p/ws", "https://x/a?b=1&c d"), "wss://h/p/ws?href=https%3A%2F%2Fx%2Fa%3Fb%3D1%26c%20d");
  assert.equal(socketUrl("wss://h/ws?x=1", "https://x/"), "wss://h/ws?x=1&href=https%3A%2F%2Fx%2F");
});

test("offers and candidates are JSON inside a text", () => {
  assert.deepEqual(decode('{"kind":"offer","payload":"{\\"type\\":\\"offer\\",\\"sdp\\":\\"v=0\\"}"}'), { kind: "offer", payload: { type: "offer", sdp: "v=0" } });
  assert.deepEqual(decode('{"kind":"candidate","payload":"{\\"candidate\\":\\"c\\",\\"sdpMLineIndex\\":0}"}'), {
    kind: "candidate", payload: { candidate: "c", sdpMLineIndex: 0 },
  });
});

test("every kind that begins with error is an error, every other unknown one is kept", () => {
  for (const name of ["error", "error-full", "error-of-tomorrow"]) assert.deepEqual(decode(JSON.stringify({ kind: name, payload: "x" })), { kind: "error", name, payload: "x" });
  assert.deepEqual(decode('{"kind":"control_refused","payload":{"name":"fx"}}'), { kind: "other", name: "control_refused", payload: { name: "fx" } });
});

test("what the server may not say is refused", () => {
  for (const text of [
    "", "[]", "3", "null", '{"payload":1}', '{"kind":1}', '{"kind":"joined"}', '{"kind":"joined","payload":{}}', '{"kind":"offer","payload":{}}',
    '{"kind":"offer","payload":"{}"}', '{"kind":"offer","payload":"nope"}', '{"kind":"candidate","payload":"3"}', '{"kind":"other_joined","payload":{"userId":"b"}}', '{"kind":"other_left"}',
  ]) {
    assert.throws(() => decode(text), text);
  }
});
