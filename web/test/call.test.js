// SPDX-License-Identifier: MPL-2.0

import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { DuckSoupError, play } from "../lib/player.js";
import { embedding } from "../lib/options.js";
import { FakeClock, settle } from "./fakes/clock.js";
import { FakeConnection, OFFER } from "./fakes/connection.js";
import { root } from "./fakes/dom.js";
import { FakeDevices, FakeStream, FakeTrack } from "./fakes/media.js";
import { FakeSocket } from "./fakes/socket.js";

const OPTIONS = { signalingUrl: "wss://h/ws", interactionName: "i", userId: "a" };

/** @type {FakeSocket[]} */ let sockets;
/** @type {FakeConnection[]} */ let connections;
/** @type {FakeDevices} */ let devices;
/** @type {FakeClock} */ let clock;
/** @type {EventTarget} */ let page;
/** @type {{ kind: string, payload?: any }[]} */ let events;
/** @type {any} */ let environment;

beforeEach(() => {
  sockets = [];
  connections = [];
  devices = new FakeDevices();
  clock = new FakeClock();
  page = new EventTarget();
  events = [];
  environment = {
    openSocket: (/** @type {string} */ url) => sockets[sockets.push(new FakeSocket(url)) - 1],
    connect: (/** @type {any} */ config) => connections[connections.push(new FakeConnection(config)) - 1],
    devices, clock, page, href: "https://study.org/x",
  };
});

const kinds = () => events.map(({ kind }) => kind);
const callback = (/** @type {any} */ event) => void events.push(event);

/** @param {any} [options] @param {any} [embed] */
async function joined(options = {}, embed = { callback }) {
  const player = await play(embed, { ...OPTIONS, ...options }, environment);
  devices.grant(devices.stream);
  await settle();
  const socket = sockets[0];
  socket.open();
  socket.hear("joined", { context: "new_interaction", iceServers: [{ urls: "stun:s" }] });
  return { player, socket, connection: connections[0] };
}

const offer = JSON.stringify({ type: "offer", sdp: OFFER });

/** @param {string} id */
function arriving(id) {
  const track = new FakeTrack("video");
  return { track, streams: [new FakeStream(id, [track])] };
}

test("camera first, then the socket, then join as the first message", async () => {
  await play({ callback }, { ...OPTIONS, size: 1, frameRate: 30, audio: { echoCancellation: true }, ...{ junk: 1 } }, environment);
  assert.equal(sockets.length, 0);
  devices.grant(devices.stream);
  await settle();
  const [socket] = sockets;
  assert.equal(socket.url, "wss://h/ws?href=https%3A%2F%2Fstudy.org%2Fx");
  assert.equal(socket.said.length, 0);
  socket.open();
  assert.equal(socket.said[0].kind, "join");
  assert.deepEqual(JSON.parse(socket.said[0].payload ?? ""), { interactionName: "i", userId: "a", size: 1, framerate: 30 });
});

test("the page's constraints are merged over the library's, which leave the voice alone", async () => {
  await play({ callback }, { ...OPTIONS, width: 640, height: 480, framerate: 30, audio: { echoCancellation: true }, video: { deviceId: "d" } }, environment);
  assert.deepEqual(devices.asked, {
    audio: { autoGainControl: false, echoCancellation: true, noiseSuppression: false, channelCount: { ideal: 1 } },
    video: { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 30 }, facingMode: { ideal: "user" }, deviceId: "d" },
  });
  await play({ callback }, { ...OPTIONS, audioOnly: true }, environment);
  assert.equal(devices.asked.video, false);
});

test("joined opens a connection with the server's ice servers and the page's configuration", async () => {
  const { connection } = await joined({ rtcConfig: { iceTransportPolicy: "relay", iceServers: [{ urls: "turn:t" }] } });
  assert.deepEqual(connection.config, { iceTransportPolicy: "relay", iceServers: [{ urls: "stun:s" }, { urls: "turn:t" }] });
  assert.equal(`${events[0].payload}`, "new_interaction");
});

test("a whole call: the page hears of all of it, in order, and closed once", async () => {
  const { socket, connection } = await joined();
  socket.hear("candidate", '{"candidate":"early"}');
  socket.hear("offer", offer);
  socket.hear("other_joined", { userId: "b", streamId: "s-b" });
  await settle();
  assert.deepEqual(connection.done.slice(2), ["remote v=0", "answer", "local untouched", "candidate early"]);
  connection.ontrack(arriving("s-b"));
  for (const [kind, payload] of /** @type {[string, any][]} */ ([["start", 30], ["ending"], ["files", { a: ["x.mp4"] }], ["end"]])) socket.hear(kind, payload);
  socket.end();
  await clock.pass(5000);
  assert.deepEqual(kinds(), ["joined", "other_joined", "track", "start", "ending", "files", "end", "closed"]);
  assert.deepEqual(socket.closes, [1000]);
  assert.ok(devices.stream.tracks.every(({ stopped }) => stopped));
  assert.equal(connection.done.at(-1), "close");
});

test("every kind that begins with error ends the call with 4000", async () => {
  for (const kind of ["error-duplicate", "error", "error-of-tomorrow"]) {
    events = [];
    sockets = [];
    connections = [];
    const { socket } = await joined();
    socket.hear(kind);
    socket.hear("start", 3);
    assert.deepEqual(kinds(), ["joined", kind]);
    assert.deepEqual(socket.closes, [4000]);
    socket.end(4000);
    assert.deepEqual(kinds(), ["joined", kind, "closed"]);
  }
});

test("a refused camera is an error event and opens no socket", async () => {
  await play({ callback }, OPTIONS, environment);
  devices.refuse(Object.assign(new Error("Permission denied"), { name: "NotAllowedError" }));
  await settle();
  assert.deepEqual(kinds(), ["error", "closed"]);
  assert.match(events[0].payload, /NotAllowedError: Permission denied/);
  assert.equal(sockets.length, 0);
});

test("a page without devices is told of HTTPS", async () => {
  await play({ callback }, OPTIONS, { ...environment, devices: undefined });
  await settle();
  assert.match(events[0].payload, /HTTPS/);
});

test("a socket that cannot be opened is an error event", async () => {
  await play({ callback }, OPTIONS, { ...environment, openSocket: () => { throw new SyntaxError("bad address"); } });
  devices.grant(devices.stream);
  await settle();
  assert.deepEqual(kinds(), ["error", "closed"]);
  assert.ok(devices.stream.tracks.every(({ stopped }) => stopped));
});

test("a server that does not accept the connection is an error event", async () => {
  await play({ callback }, OPTIONS, environment);
  devices.grant(devices.stream);
  await settle();
  sockets[0].end(1006);
  assert.deepEqual(kinds(), ["error", "closed"]);
});

test("stop says so, closes with 1000 and releases the camera; again it does nothing", async () => {
  const { player, socket } = await joined();
  player.stop();
  player.stop();
  assert.equal(socket.said.at(-1)?.kind, "stop");
  assert.deepEqual(socket.closes, [1000]);
  socket.end();
  player.stop();
  player.controlFx("fx", "p", 1);
  assert.deepEqual(kinds(), ["joined", "closed"]);
  assert.equal(socket.kinds().filter((kind) => kind === "stop").length, 1);
  assert.ok(devices.stream.tracks.every(({ stopped }) => stopped));
});

test("stop before the camera is there releases it when it comes", async () => {
  const player = await play({ callback }, OPTIONS, environment);
  player.stop();
  devices.grant(devices.stream);
  await settle();
  assert.equal(sockets.length, 0);
  assert.deepEqual(kinds(), ["closed"]);
  assert.ok(devices.stream.tracks.every(({ stopped }) => stopped));
});

test("stop in the middle of an event ends the call after it", async () => {
  const { player, socket } = await joined({}, { callback: (/** @type {any} */ event) => {
    callback(event);
    if (event.kind === "start") player.stop();
  } });
  socket.hear("start", 30);
  socket.hear("ending");
  assert.deepEqual(kinds(), ["joined", "start"]);
  assert.deepEqual(socket.closes, [1000]);
});

test("start after stop is a new call with the same options", async () => {
  const { player, socket } = await joined();
  player.start();
  assert.equal(sockets.length, 1);
  player.stop();
  socket.end();
  player.start();
  devices.grant(new FakeStream("again"));
  await settle();
  assert.equal(sockets.length, 2);
});

test("a server that never closes its end keeps nobody: closed comes after a limit", async () => {
  const { player } = await joined();
  player.stop();
  assert.deepEqual(kinds(), ["joined"]);
  await clock.pass(2000);
  assert.deepEqual(kinds(), ["joined", "closed"]);
});

test("a page that goes away closes without saying stop: a reload is a reconnection", async () => {
  const { socket } = await joined();
  page.dispatchEvent(new Event("pagehide"));
  assert.deepEqual(socket.closes, [1000]);
  assert.ok(!socket.kinds().includes("stop"));
});

test("a callback that throws is reported and the call goes on", async () => {
  const said = mock.method(console, "error", () => {});
  const { socket } = await joined({}, { callback: (/** @type {any} */ event) => {
    callback(event);
    throw new Error("the page's fault");
  } });
  socket.hear("start", 30);
  assert.deepEqual(kinds(), ["joined", "start"]);
  assert.equal(said.mock.callCount(), 2);
  said.mock.restore();
});

test("a message that is none is reported and the call goes on", async () => {
  const said = mock.method(console, "error", () => {});
  const { socket } = await joined();
  socket.onmessage({ data: "nonsense" });
  socket.hear("start", 30);
  assert.deepEqual(kinds(), ["joined", "start"]);
  assert.equal(said.mock.callCount(), 1);
  said.mock.restore();
});

test("kinds of tomorrow reach the callback", async () => {
  const { socket } = await joined();
  socket.hear("control_refused", { name: "fx", property: "p", reason: "no such property" });
  assert.deepEqual(events[1], { kind: "control_refused", payload: { name: "fx", property: "p", reason: "no such property" } });
});

test("who leaves and comes back is shown again in mountEl", async () => {
  const mountEl = root();
  const { socket, connection } = await joined({}, { mountEl, callback });
  const shown = () => mountEl.children.map((/** @type {any} */ child) => child.dataset.userId);
  socket.hear("other_joined", { userId: "b", streamId: "s-b" });
  const first = arriving("s-b");
  connection.ontrack(first);
  assert.deepEqual(shown(), ["b"]);
  socket.hear("other_left", { userId: "b", streamId: "s-b" });
  assert.deepEqual(shown(), []);
  first.streams[0].lose(first.track);
  socket.hear("other_joined", { userId: "b", streamId: "s-b" });
  connection.ontrack(arriving("s-b"));
  assert.deepEqual(shown(), ["b"]);
  assert.ok(!kinds().includes("track"));
  socket.hear("end");
  assert.deepEqual(shown(), []);
});

test("who leaves and comes back is a track again for the callback", async () => {
  const { socket, connection } = await joined();
  for (let time = 0; time < 2; time += 1) {
    socket.hear("other_joined", { userId: "b", streamId: "s-b" });
    connection.ontrack(arriving("s-b"));
    socket.hear("other_left", { userId: "b" });
  }
  const once = ["other_joined", "track", "other_left"];
  assert.deepEqual(kinds(), ["joined", ...once, ...once]);
});

test("controls and logs go out as the server reads them", async () => {
  const { player, socket } = await joined({ logLevel: 0 });
  player.controlFx("fx", "pitch", 1.2, 500, "b");
  player.controlFx("fx", "pitch", /** @type {any} */ ("0.8"));
  player.polyControlFx("fx", "preset", "int", 3);
  player.serverLog("click", { x: 1 });
  player.log("seen");
  assert.deepEqual(socket.said.slice(1).map(({ kind, payload }) => [kind, payload]), [
    ["client_control", '{"name":"fx","property":"pitch","value":1.2,"duration":500,"userId":"b"}'],
    ["client_control", '{"name":"fx","property":"pitch","value":0.8}'],
    ["client_polycontrol", '{"name":"fx","property":"preset","kind":"int","value":"3"}'],
    ["ext_click", '{"x":1}'],
    ["ext_seen", undefined],
  ]);
  assert.throws(() => player.controlFx("fx", "pitch", NaN), (error) => error instanceof DuckSoupError && error.code === "control");
});

test("stats come once a second when they are wanted", async () => {
  const { connection } = await joined({ logLevel: 0 }, { callback, stats: true });
  for (let second = 1; second <= 3; second += 1) {
    connection.report = [{ type: "outbound-rtp", kind: "audio", bytesSent: 8000 * second }];
    await clock.pass(1000);
  }
  assert.deepEqual(events.filter(({ kind }) => kind === "stats").map(({ payload }) => payload.audioUp), [64, 64]);
});

test("the log level decides what the server hears", async () => {
  /** @type {[number | undefined, string[]][]} */
  const levels = [
    [0, []],
    [undefined, ["client_video_fps_updated"]],
    [1, ["client_video_fps_updated"]],
    [2, ["client_connection_state_changed", "client_video_fps_updated"]],
  ];
  for (const [logLevel, expected] of levels) {
    sockets = [];
    connections = [];
    const { socket, connection } = await joined({ logLevel });
    connection.connectionState = "connected";
    connection.onconnectionstatechange();
    connection.report = [{ type: "outbound-rtp", kind: "video", framesPerSecond: 25 }];
    await clock.pass(2000);
    assert.deepEqual(socket.kinds().slice(1), expected, `level ${logLevel}`);
  }
});

test("after the end no statistics are read", async () => {
  const { socket, connection } = await joined();
  socket.hear("end");
  const read = mock.method(connection, "getStats");
  await clock.pass(5000);
  assert.equal(read.mock.callCount(), 0);
});

test("options that cannot be right are refused with a stable code", async () => {
  for (const embed of [undefined, {}, { callback: 3 }, { mountEl: {} }]) {
    await assert.rejects(play(/** @type {any} */ (embed), OPTIONS, environment), { name: "DuckSoupError", code: "embed-options" });
  }
  for (const missing of ["signalingUrl", "interactionName", "userId"]) {
    events = [];
    await assert.rejects(play({ callback }, { ...OPTIONS, [missing]: undefined }, environment), { code: "peer-options" });
    assert.deepEqual(kinds(), ["error-join"]);
  }
});

test("both orders of render's arguments count", () => {
  const mountEl = root();
  assert.deepEqual(embedding({ mountEl, stats: true }), { mountEl, stats: true });
  assert.deepEqual(embedding(mountEl, { callback, stats: true }), { callback, stats: true, mountEl });
  assert.deepEqual(embedding(mountEl), { mountEl });
});

test("a connection that cannot be made is an error, told after joined", async () => {
  await play({ callback }, OPTIONS, { ...environment, connect: () => { throw new Error("bad configuration"); } });
  devices.grant(devices.stream);
  await settle();
  sockets[0].open();
  sockets[0].hear("joined", { context: "new_interaction", iceServers: [] });
  sockets[0].end();
  assert.deepEqual(kinds(), ["joined", "error", "closed"]);
  assert.deepEqual(sockets[0].closes, [4000]);
  assert.equal(sockets[0].said.at(-1)?.payload, "Error: bad configuration");
});

test("a call that is over leaves no listener on the page", async () => {
  const added = mock.method(page, "addEventListener");
  const removed = mock.method(page, "removeEventListener");
  const { socket } = await joined();
  socket.hear("end");
  assert.deepEqual(added.mock.calls.map((call) => call.arguments), [["pagehide", added.mock.calls[0].arguments[1]], ["online", added.mock.calls[1].arguments[1]]]);
  assert.deepEqual(removed.mock.calls.map((call) => call.arguments), added.mock.calls.map((call) => call.arguments));
});

/** A call that runs, with somebody there. @param {any} [embed] */
async function running(embed) {
  const call = await joined({}, embed);
  call.socket.hear("other_joined", { userId: "b", streamId: "s-b" });
  call.connection.ontrack(arriving("s-b"));
  call.socket.hear("start", 30);
  events = [];
  return call;
}

/** The server lets the call in again by its newest socket. */
function readmitted() {
  const socket = sockets[sockets.length - 1];
  socket.open();
  socket.hear("joined", { context: "reconnection", iceServers: [{ urls: "stun:t" }] });
  socket.hear("other_joined", { userId: "b", streamId: "s-b" });
  return socket;
}

test("a lost socket: the call joins again by itself, with the same camera and a new connection", async () => {
  const { player, socket, connection } = await running();
  socket.end(1006);
  assert.deepEqual(kinds(), ["reconnecting"]);
  player.controlFx("fx", "pitch", 0.8);
  await clock.pass(500);
  assert.equal(sockets.length, 2);
  assert.ok(!connection.done.includes("close"), "the media go on meanwhile");
  const again = readmitted();
  assert.deepEqual(again.said[0], socket.said[0], "the same join");
  assert.equal(again.said[1].payload, '{"name":"fx","property":"pitch","value":0.8}');
  assert.equal(connection.done.at(-1), "close");
  assert.deepEqual(connections[1].done, ["add audio", "add video"]);
  assert.deepEqual(connections[1].config.iceServers, [{ urls: "stun:t" }]);
  connections[1].ontrack(arriving("s-b"));
  again.hear("start", 22);
  assert.deepEqual(kinds(), ["reconnecting", "other_left", "other_joined", "track", "reconnected"]);
  assert.equal(events.at(-1)?.payload, 22);
  again.hear("end");
  again.end();
  assert.deepEqual(kinds().slice(-2), ["end", "closed"]);
  assert.ok(devices.stream.tracks.every(({ stopped }) => stopped));
  await clock.pass(60_000);
  assert.equal(sockets.length, 2);
});

test("lost media: the old socket is closed first, and a try that hangs is given up", async () => {
  const mountEl = root();
  const { socket, connection } = await running({ mountEl, callback });
  for (const state of ["connected", "failed"]) {
    connection.connectionState = state;
    connection.onconnectionstatechange();
  }
  assert.deepEqual(socket.closes, [4001]);
  assert.equal(mountEl.children.length, 1, "what was seen last stands still");
  await clock.pass(500 + 5000 + 1000);
  assert.deepEqual(sockets.map(({ closes }) => closes), [[4001], [4001], []]);
  readmitted();
  assert.equal(mountEl.children.length, 0);
  connections[1].ontrack(arriving("s-b"));
  assert.deepEqual(mountEl.children.map((/** @type {any} */ child) => child.dataset.userId), ["b"]);
});

test("a network that is there again is tried at once", async () => {
  const { socket } = await running();
  socket.end(1006);
  page.dispatchEvent(new Event("online"));
  assert.equal(sockets.length, 2);
});

test("a page that stops while the call is coming back stops it", async () => {
  for (const wait of [0, 500]) {
    sockets = [];
    connections = [];
    const { player, socket } = await running();
    socket.end(1006);
    await clock.pass(wait);
    const count = sockets.length;
    player.stop();
    sockets[count - 1].end();
    await clock.pass(60_000);
    assert.equal(sockets.length, count);
    assert.deepEqual(kinds(), ["reconnecting", "closed"]);
    assert.ok(devices.stream.tracks.every(({ stopped }) => stopped));
  }
});

test("who does not come back before the end is told so", async () => {
  const { socket } = await running();
  socket.end(1006);
  await clock.pass(31_000);
  assert.deepEqual(kinds(), ["reconnecting", "error", "closed"]);
});

test("media that fall silent while the server can be reached: the call joins again, and no asking socket is left", async () => {
  const { connection } = await running();
  connection.report = [{ type: "candidate-pair", bytesReceived: 1 }];
  connection.connectionState = "connected";
  connection.onconnectionstatechange();
  await clock.pass(4000);
  assert.equal(sockets.length, 2, "it looks whether the server is there");
  await clock.pass(5000);
  assert.deepEqual(sockets[1].closes, [1000], "it was not, for so long");
  await clock.pass(1000);
  assert.equal(sockets.length, 3);
  sockets[2].open();
  await settle();
  assert.deepEqual(sockets[2].said, []);
  assert.deepEqual(sockets[2].closes, [1000]);
  assert.deepEqual(kinds(), []);
  await clock.pass(4000);
  assert.deepEqual(kinds(), ["reconnecting"]);
  await clock.pass(600);
  assert.equal(sockets.length, 4);
  readmitted().hear("start", 15);
  assert.equal(kinds().at(-1), "reconnected");
});
