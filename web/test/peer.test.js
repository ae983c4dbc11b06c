// SPDX-License-Identifier: MPL-2.0

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { Peer } from "../lib/peer.js";
import { FakeClock, settle } from "./fakes/clock.js";
import { FakeConnection, OFFER } from "./fakes/connection.js";
import { FakeDevices, FakeStream, FakeTrack } from "./fakes/media.js";

/** @type {FakeConnection} */ let connection;
/** @type {FakeClock} */ let clock;
/** @type {Peer} */ let peer;
/** @type {[string, unknown][]} */ let sent;
/** @type {string[]} */ let logged;
/** @type {string[]} */ let failures;
/** @type {boolean[]} */ let broken;
/** @type {unknown[]} */ let gone;
/** @type {() => Promise<void>} */ let reach;

beforeEach(() => {
  connection = new FakeConnection();
  clock = new FakeClock();
  sent = [];
  logged = [];
  failures = [];
  broken = [];
  gone = [];
  reach = async () => {};
  peer = new Peer(/** @type {any} */ (connection), /** @type {any} */ (new FakeDevices().stream), {
    send: (kind, payload) => sent.push([kind, payload]),
    log: (kind) => logged.push(kind),
    track: () => {},
    untrack: (track) => gone.push(track),
    reach: () => reach(),
    broken: (worked) => broken.push(worked),
    failed: (reason) => failures.push(reason),
  }, clock);
});

/** @param {string} [mark] @returns {any} */
const offer = (mark = "v=0") => ({ type: "offer", sdp: OFFER.replace("v=0", mark) });

test("one's own tracks are in place before the first answer", async () => {
  peer.negotiate(offer());
  await settle();
  assert.deepEqual(connection.done, ["add audio", "add video", "remote v=0", "answer", "local untouched"]);
});

test("the answer asks for mono, the browser's own description stays untouched", async () => {
  peer.negotiate(offer());
  await settle();
  const [[kind, answer]] = /** @type {[string, any][]} */ (sent);
  assert.equal(kind, "client_answer");
  assert.equal(answer.type, "answer");
  assert.match(answer.sdp, /a=fmtp:111 minptime=10;useinbandfec=1;stereo=0\r\n/);
  assert.ok(connection.done.includes("local untouched"));
});

test("candidates before the first offer wait for it and keep their order", async () => {
  peer.addCandidate({ candidate: "1" });
  peer.addCandidate({ candidate: "2" });
  await settle();
  assert.deepEqual(connection.done.slice(2), []);
  peer.negotiate(offer());
  peer.addCandidate({ candidate: "3" });
  await settle();
  assert.deepEqual(connection.done.slice(2), ["remote v=0", "answer", "local untouched", "candidate 1", "candidate 2", "candidate 3"]);
});

test("two offers are answered one after the other", async () => {
  /** @type {() => void} */ let open = () => {};
  connection.gate = new Promise((resolve) => (open = resolve));
  peer.negotiate(offer("v=1"));
  peer.addCandidate({ candidate: "1" });
  peer.negotiate(offer("v=2"));
  await settle();
  assert.deepEqual(connection.done.slice(2), ["remote v=1"]);
  open();
  await settle();
  const between = ["answer", "local untouched"];
  assert.deepEqual(connection.done.slice(2), ["remote v=1", ...between, "candidate 1", "remote v=2", ...between]);
  assert.equal(sent.length, 2);
});

test("a bad candidate is logged and stops nothing", async () => {
  peer.negotiate(offer());
  peer.addCandidate({ candidate: "bad" });
  peer.addCandidate({ candidate: "good" });
  await settle();
  assert.deepEqual(logged, ["client_ice_candidate_failed"]);
  assert.equal(connection.done.at(-1), "candidate good");
  assert.deepEqual(failures, []);
});

test("a first offer that cannot be taken ends the call", async () => {
  connection.bad.add(offer().sdp);
  peer.negotiate(offer());
  await settle();
  assert.deepEqual(failures, ["Error: cannot parse"]);
});

test("a later offer that cannot be taken is asked for again, once", async () => {
  connection.bad.add(offer("bad").sdp);
  peer.negotiate(offer());
  peer.negotiate(offer("bad"));
  await settle();
  assert.deepEqual(sent.map(([kind]) => kind), ["client_answer", "client_negotiation_needed"]);
  assert.deepEqual(failures, []);
  peer.negotiate(offer("bad"));
  await settle();
  assert.deepEqual(failures, ["Error: cannot parse"]);
});

test("a browser without the format asked for is a failure with a sentence, not a black picture", async () => {
  connection.answer = "m=audio 9 RTP 111\r\nm=video 0 RTP 96\r\n";
  peer.negotiate(offer());
  await settle();
  assert.deepEqual(failures, ["Error: this browser knows no format of the video offered"]);
  assert.deepEqual(sent, []);
});

test("the senders' ceilings rise to the promised bitrates within three seconds", async () => {
  peer.negotiate(offer());
  await settle();
  await clock.pass(10_000);
  const [audio, video] = connection.senders.map(({ ceilings }) => ceilings);
  assert.equal(video[0], 750_000);
  assert.equal(video.at(-1), 1_500_000);
  assert.equal(audio.at(-1), 64_000);
  assert.equal(video.length, 7);
  assert.deepEqual(video, [...video].sort((a, b) => a - b));
});

test("candidates of the browser are sent, the end of them is not", () => {
  connection.onicecandidate({ candidate: { candidate: "c", toJSON: () => ({ candidate: "c", sdpMid: "0" }) } });
  connection.onicecandidate({ candidate: null });
  connection.onicecandidate({ candidate: { candidate: "" } });
  assert.deepEqual(sent, [["client_ice_candidate", { candidate: "c", sdpMid: "0" }]]);
});

test("a disconnection is said to the server, other states are logs", () => {
  for (const state of ["checking", "connected", "disconnected", "failed"]) {
    connection.iceConnectionState = state;
    connection.oniceconnectionstatechange();
  }
  assert.deepEqual(sent.map(([kind]) => kind), ["client_ice_connection_state_disconnected", "client_ice_connection_state_failed"]);
  assert.deepEqual(logged, ["client_ice_connection_state_checking", "client_ice_connection_state_connected"]);
});

test("a track that leaves its stream is reported once, however often the stream was seen", () => {
  const track = new FakeTrack("video");
  const stream = new FakeStream("s", [track]);
  connection.ontrack({ track, streams: [stream] });
  connection.ontrack({ track, streams: [stream] });
  stream.lose(track);
  assert.deepEqual(gone, [track]);
});

test("after close nothing more is negotiated, sent or raised", async () => {
  /** @type {() => void} */ let open = () => {};
  connection.gate = new Promise((resolve) => (open = resolve));
  peer.negotiate(offer());
  peer.negotiate(offer());
  await settle();
  peer.close();
  peer.close();
  open();
  await settle();
  await clock.pass(5000);
  assert.deepEqual(sent, []);
  assert.deepEqual(failures, []);
  assert.equal(connection.done.filter((what) => what === "close").length, 1);
  assert.equal(connection.done.filter((what) => what.startsWith("remote")).length, 1);
});

test("close in the middle of the way up leaves the senders alone", async () => {
  peer.negotiate(offer());
  await settle();
  await clock.pass(1000);
  peer.close();
  const before = connection.senders.map(({ ceilings }) => ceilings.length);
  await clock.pass(5000);
  assert.deepEqual(connection.senders.map(({ ceilings }) => ceilings.length), before);
});

test("a connection that fails is broken at once, one that is disconnected when it does not heal soon", async () => {
  const goes = async (/** @type {RTCPeerConnectionState} */ state, /** @type {number} */ ms) => {
    connection.connectionState = state;
    connection.onconnectionstatechange();
    await clock.pass(ms);
    return broken.splice(0);
  };
  assert.deepEqual(await goes("failed", 0), [false], "it never worked");
  assert.deepEqual(await goes("connected", 60_000), []);
  assert.deepEqual(await goes("disconnected", 4900), []);
  assert.deepEqual(await goes("connected", 60_000), []);
  assert.deepEqual(await goes("disconnected", 5000), [true]);
  assert.deepEqual(await goes("disconnected", 100), []);
  peer.close();
  await clock.pass(60_000);
  assert.deepEqual(broken, []);
});

/** A second of a connection over which so much came in all. @param {number} bytesReceived */
const second = async (bytesReceived) => {
  connection.report = [{ type: "candidate-pair", bytesReceived }];
  await clock.pass(1000);
  return broken.splice(0);
};

test("a connection that falls silent is broken as soon as the server is there by another way", async () => {
  let tries = 0;
  reach = async () => void tries++;
  connection.connectionState = "connected";
  connection.onconnectionstatechange();
  for (let bytes = 1; bytes < 60; bytes++) assert.deepEqual(await second(bytes), []);
  assert.equal(tries, 0, "nobody asks while all is well");
  for (let count = 0; count < 3; count++) assert.deepEqual(await second(59), []);
  assert.equal(tries, 1);
  for (let count = 0; count < 2; count++) assert.deepEqual(await second(59), []);
  assert.deepEqual(await second(59), [true]);
  peer.close();
  await clock.pass(60_000);
  assert.deepEqual([tries, broken], [1, []]);
});

test("a connection that falls silent is left alone where nothing gets through, and when it heals", async () => {
  let tries = 0;
  /** @type {() => void} */ let give = () => {};
  reach = () => new Promise((_, reject) => (tries++, (give = () => reject(new Error("no way")))));
  connection.connectionState = "connected";
  connection.onconnectionstatechange();
  await second(1);
  for (let count = 0; count < 5; count++) assert.deepEqual(await second(1), []);
  assert.equal(tries, 1, "one after the other");
  give();
  await second(1);
  assert.equal(tries, 2);
  reach = async () => {};
  for (let count = 2; count < 8; count++) assert.deepEqual(await second(count), []);
});

test("a way up that stays narrow is tried by itself, and the server hears nothing of it", async () => {
  /** @type {string[]} */ const read = [];
  const set = connection.setRemoteDescription.bind(connection);
  connection.setRemoteDescription = async (offer) => {
    read.push(/b=AS:(\d+)/.exec(offer.sdp)?.[1] ?? "any");
    /** @type {any} */ (connection).onsignalingstatechange();
    await set(offer);
  };
  peer.negotiate(offer());
  connection.connectionState = "connected";
  connection.onconnectionstatechange();
  const pair = (/** @type {number} */ availableOutgoingBitrate, /** @type {number} */ bytesReceived) =>
    (connection.report = [{ type: "candidate-pair", nominated: true, availableOutgoingBitrate, bytesReceived }]);
  const seconds = async (/** @type {number} */ count, /** @type {number} */ bitrate) => {
    for (; count > 0; count--) {
      pair(bitrate, clock.now() + 1);
      await clock.pass(1000);
    }
  };
  await seconds(3, 300_000);
  await seconds(7, 600_000);
  assert.deepEqual(read, ["any"], "it has just begun");
  logged.length = sent.length = 0;
  await seconds(12, 600_000);
  assert.deepEqual(read, ["any", "2000", "2001", "2002"].slice(0, read.length));
  assert.ok(read.length >= 3, "twice the first time: only what is more makes a browser try");
  assert.deepEqual([sent, logged], [[], []]);
  const { length } = read;
  await seconds(20, 1_500_000);
  assert.equal(read.length, length, "it is wide enough");
  peer.negotiate(offer());
  await settle();
  assert.equal(read.at(-1), read[length - 1], "the server's own offers are read alike");
});

test("without pictures, or where the server says what may be sent, nothing is tried", async () => {
  const described = connection.setRemoteDescription.bind(connection);
  let read = 0;
  connection.setRemoteDescription = async (offer) => (read++, described(offer));
  peer.negotiate(offer());
  connection.connectionState = "connected";
  connection.onconnectionstatechange();
  const narrow = async () => {
    for (let count = 0; count < 30; count++) {
      connection.report = [{ type: "candidate-pair", nominated: true, availableOutgoingBitrate: 64_000, bytesReceived: clock.now() + 1 }];
      await clock.pass(1000);
    }
  };
  connection.senders = connection.senders.filter(({ track }) => track.kind === "audio");
  await narrow();
  assert.equal(read, 1);
  connection.addTrack({ kind: "video" });
  connection.remoteDescription.sdp = "v=0\r\nm=video 9 RTP 96\r\na=rtcp-fb:96 goog-remb\r\n";
  await narrow();
  assert.equal(read, 1);
});
