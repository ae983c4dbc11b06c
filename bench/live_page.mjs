// SPDX-License-Identifier: MPL-2.0

/**
 * Both ends of a call in one page, so on one clock: a camera that shows a number in bars, a microphone that
 * chirps, and what the other end sees and hears of them, peer to peer or through the server.
 */

import { NUMBERS, blockArea, blocks, read } from "../tests/system/barcode.js";
import { PAUSES, RATE, chirps, delays } from "./live_sound.mjs";

/** Pictures a second. */
const FRAMERATE = 25;
/** ms that a call may take to be up. */
const MEETING_LIMIT = 20_000;

/** @typedef {"VP8" | "H264"} Format */
/** @typedef {{at: number, delay: number, coming: number | undefined}} Seen ms; `coming`: of the delay, until the last packet was in */
/** @typedef {Record<string, number>} Counters */
/** @typedef {{pictures: Seen[], sounds: number[], video: Counters, audio: Counters, sent: Counters}} Round */
/** @typedef {{video: MediaStreamTrack, audio: MediaStreamTrack, connection: RTCPeerConnection}} Received */
/** @typedef {{width: number, height: number, script: string}} Settings */

/** When each number was shown to the camera, in ms of this page. @type {number[]} */
const shownAt = [];
/** When each chirp began, in samples of the context. @type {number[]} */
const spoken = [];
/** Each connection of this call. @type {RTCPeerConnection[]} */
const connections = [];
/** How many sockets this call has opened, and how often it asked for a camera: one for each participant. */
let [sockets, asked] = [0, 0];
/** What happens to each socket and connection while somebody joins. @type {{at: number, who: number, what: string}[]} */
let trace = [];
/** What each end sends: cameras of two people do not beat together. @type {MediaStream[]} */
let captured;
/** @type {AudioContext} */
let context;
/** @type {(kind: string, elapsed: number) => number} the server's client's own limits of what a browser sends */
let ceiling;

const note = (/** @type {number} */ who, /** @type {string} */ what) => trace.push({ at: performance.now(), who, what });
const pause = (/** @type {number} */ ms) => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * A picture with some life in it: a texture that drifts, and the bars.
 * @param {{width: number, height: number}} size
 * @param {number} phase of a picture's time
 * @param {number[]} shownAt when each number is shown
 */
function camera({ width, height }, phase, shownAt) {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const drawing = canvas.getContext("2d", { willReadFrequently: true });
  const texture = new OffscreenCanvas(width * 2, height);
  const paint = texture.getContext("2d");
  if (!drawing || !paint) throw new Error("no canvas");
  for (let n = 0; n < 400; n++) {
    const [x, y] = [((n * 7919) % 1000) / 1000, ((n * 104_729) % 997) / 997];
    paint.fillStyle = `hsl(${(n * 47) % 360} 40% ${30 + ((n * 13) % 40)}%)`;
    paint.fillRect(x * width * 2, y * height, 20 + ((n * 31) % 60), 20 + ((n * 17) % 60));
  }
  const track = /** @type {CanvasCaptureMediaStreamTrack} */ (canvas.captureStream(0).getVideoTracks()[0]);
  const begin = performance.now() + (phase * 1000) / FRAMERATE;
  let count = 0;
  const take = () => {
    const number = count % NUMBERS;
    drawing.drawImage(texture, -(count % width), 0);
    blocks(number).forEach((white, index) => {
      const area = blockArea(index);
      drawing.fillStyle = white ? "white" : "black";
      drawing.fillRect(Math.round(area.x * width), Math.round(area.y * height), Math.ceil(area.width * width), Math.ceil(area.height * height));
    });
    shownAt[number] = performance.now();
    track.requestFrame();
    count = Math.max(count + 1, Math.floor(((performance.now() - begin) * FRAMERATE) / 1000));
    setTimeout(take, begin + (count * 1000) / FRAMERATE - performance.now());
  };
  setTimeout(take, begin - performance.now());
  return track;
}

async function microphone() {
  // The shortest that there is: 2.7 ms at once, for what is heard at once is measured no finer.
  context = new AudioContext({ sampleRate: RATE, latencyHint: 0 });
  await context.audioWorklet.addModule("./live_worklet.mjs");
  const processorOptions = { chirps: chirps(), pauses: PAUSES };
  const voice = new AudioWorkletNode(context, "microphone", { numberOfInputs: 0, outputChannelCount: [1], processorOptions });
  voice.port.onmessage = ({ data }) => spoken.push(data);
  const destination = new MediaStreamAudioDestinationNode(context, { channelCount: 1 });
  voice.connect(destination);
  return destination.stream.getAudioTracks()[0];
}

/**
 * Opens the camera and the microphone, in the place of the real ones, and loads ducksoup.js.
 * @param {Settings} settings
 */
export async function prepare({ width, height, script }) {
  const voice = await microphone();
  captured = [new MediaStream([camera({ width, height }, 0, shownAt), voice]), new MediaStream([camera({ width, height }, 0.5, []), voice])];
  navigator.mediaDevices.getUserMedia = async () => captured[asked++ % captured.length].clone();
  window.RTCPeerConnection = class extends RTCPeerConnection {
    /** @param {RTCConfiguration} [configuration] */
    constructor(configuration) {
      super(configuration);
      const who = connections.push(this) - 1;
      note(who, "peer");
      this.addEventListener("iceconnectionstatechange", () => note(who, `ice ${this.iceConnectionState}`));
      this.addEventListener("connectionstatechange", () => note(who, `dtls ${this.connectionState}`));
      this.addEventListener("signalingstatechange", () => note(who, `signaling ${this.signalingState}`));
      this.addEventListener("track", ({ track }) => track.kind === "video" && note(who, "track"));
    }
  };
  window.WebSocket = class extends WebSocket {
    /** @param {string | URL} url @param {string | string[]} [protocols] */
    constructor(url, protocols) {
      super(url, protocols);
      this.who = sockets++;
      note(this.who, "socket");
      this.addEventListener("open", () => note(this.who, "open"));
      this.addEventListener("message", ({ data }) => note(this.who, `< ${JSON.parse(data).kind}`));
    }

    /** @param {string} data */
    send(data) {
      note(this.who, `> ${JSON.parse(data).kind}`);
      super.send(data);
    }
  };
  ({ ceiling } = await import(new URL("lib/bitrate.js", script).href));
  await new Promise((resolve, reject) => {
    const element = Object.assign(document.createElement("script"), { src: script, onload: resolve, onerror: reject });
    document.head.append(element);
  });
}

/** Gives the address to send to in the place of another one. @typedef {(address: string) => Promise<string>} Way */

/**
 * A call without a server, one way as the other.
 * @param {Format} format
 * @param {Way} [way] where there is one, all packets take it
 * @returns {Promise<{received: Received, stop: () => void}>}
 */
async function direct(format, way) {
  const [caller, callee] = [new RTCPeerConnection(), new RTCPeerConnection()];
  /** @type {RTCPeerConnection[]} */
  const ends = [caller, callee];
  const clones = captured.map((stream) => stream.clone());
  const wanted = ({ mimeType = "", sdpFmtpLine = "" }) =>
    mimeType === `video/${format}` && (format === "VP8" || /packetization-mode=1.*42e01f|42e01f.*packetization-mode=1/.test(sdpFmtpLine));
  const formats = RTCRtpReceiver.getCapabilities("video")?.codecs.filter(wanted) ?? [];
  if (formats.length === 0) throw new Error(`this browser has no ${format}`);
  ends.forEach((end, index) => {
    const other = ends[1 - index];
    end.onicecandidate = async ({ candidate }) => {
      if (!way) return other.addIceCandidate(candidate ?? undefined);
      // Only one end is told where the other one is: so no packet finds another way.
      if (end === callee && candidate) await other.addIceCandidate((await led(candidate, way)) ?? undefined);
    };
    for (const track of clones[index].getTracks()) end.addTrack(track, clones[index]);
  });
  const received = receives(callee);
  for (const transceiver of caller.getTransceivers()) {
    if (transceiver.sender.track?.kind === "video") transceiver.setCodecPreferences(formats);
  }
  await caller.setLocalDescription();
  await callee.setRemoteDescription(/** @type {RTCSessionDescription} */ (caller.localDescription));
  await callee.setLocalDescription();
  await caller.setRemoteDescription(/** @type {RTCSessionDescription} */ (callee.localDescription));
  const begin = performance.now();
  const limit = () => ends.forEach((end) => end.getSenders().forEach((sender) => void limited(sender, performance.now() - begin)));
  limit();
  const ramp = setInterval(limit, 500);
  const stop = () => {
    clearInterval(ramp);
    for (const end of ends) end.close();
    for (const track of clones.flatMap((clone) => clone.getTracks())) track.stop();
  };
  return { received: await received, stop };
}

/** A candidate that leads through the way; none for one that cannot. @param {RTCIceCandidate} candidate @param {Way} way */
async function led(candidate, way) {
  const { address, port, protocol, type, sdpMid } = candidate;
  if (protocol !== "udp" || type !== "host" || !address || address.includes(":")) return null;
  const words = candidate.candidate.split(" ");
  [words[4], words[5]] = (await way(`${address}:${port}`)).split(":");
  return { candidate: words.join(" "), sdpMid };
}

/** @param {RTCRtpSender} sender @param {number} elapsed ms */
async function limited(sender, elapsed) {
  const parameters = sender.getParameters();
  if (!sender.track || !parameters.encodings?.length) return;
  for (const encoding of parameters.encodings) encoding.maxBitrate = ceiling(sender.track.kind, elapsed);
  // A negotiation may come in between: the next step sets it.
  await sender.setParameters(parameters).catch(() => {});
}

/**
 * Both tracks of the other end.
 * @param {RTCPeerConnection} connection
 * @returns {Promise<Received>}
 */
const receives = (connection) =>
  new Promise((resolve) => {
    /** @type {Partial<Received>} */
    const received = { connection };
    connection.addEventListener("track", ({ track }) => {
      received[/** @type {"audio" | "video"} */ (track.kind)] = track;
      if (received.audio && received.video) resolve(/** @type {Received} */ (received));
    });
  });

/**
 * One participant's player.
 * @param {Record<string, unknown>} options the peerOptions
 * @param {string} userId
 */
function player(options, userId) {
  /** @type {Partial<Received>} */
  const tracks = {};
  const begun = performance.now();
  /** @type {Promise<any>} */
  let rendered = Promise.resolve();
  /** @type {() => void} */
  let close = () => {};
  const closed = new Promise((resolve) => (close = () => resolve(undefined)));
  /** @type {Promise<Received>} */
  const received = new Promise((resolve, reject) => {
    const callback = (/** @type {{kind: string, payload?: any}} */ { kind, payload }) => {
      if (kind.startsWith("error")) reject(new Error(`${userId}: ${kind} ${JSON.stringify(payload)}`));
      if (kind === "closed") close();
      if (kind !== "track") return;
      tracks[/** @type {"audio" | "video"} */ (payload.track.kind)] = payload.track;
      tracks.connection = payload.target;
      if (tracks.audio && tracks.video) resolve(/** @type {Received} */ (tracks));
    };
    rendered = /** @type {any} */ (window).DuckSoup.render({ callback }, { ...options, userId });
  });
  return { begun, received, stop: async () => ((await rendered).stop(), await closed) };
}

/**
 * A call through the server.
 * @param {Record<string, unknown>} options the peerOptions, for both
 * @param {string[]} doors where each finds the server, when not at the same address
 */
async function served(options, doors = []) {
  const [first, second] = ["ann", "ben"].map((userId, n) => player({ ...options, ...(doors[n] && { signalingUrl: doors[n] }) }, userId));
  const received = await second.received;
  return { received, stop: async () => void (await Promise.all([first.stop(), second.stop()])) };
}

/** Shows a track. @param {MediaStreamTrack} track */
function show(track) {
  const element = document.createElement(track.kind === "video" ? "video" : "audio");
  Object.assign(element, { srcObject: new MediaStream([track]), autoplay: true, muted: true });
  document.body.append(element);
  return element;
}

/**
 * Reads the number in each picture that is shown.
 * @param {HTMLVideoElement} video
 * @param {(seen: Seen) => void} tell
 */
function watch(video, tell) {
  const canvas = document.createElement("canvas");
  const drawing = canvas.getContext("2d", { willReadFrequently: true });
  if (!drawing) throw new Error("no canvas");
  const look = (/** @type {number} */ _, /** @type {any} */ { receiveTime }) => {
    const at = performance.now();
    video.requestVideoFrameCallback(look);
    const { videoWidth: width, videoHeight: height } = video;
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    // The bars are in the lower half.
    const top = Math.floor(height / 2);
    drawing.drawImage(video, 0, 0);
    const { data } = drawing.getImageData(0, top, width, height - top);
    const code = read((area) => {
      const x = Math.floor((area.x + area.width / 2) * width);
      const y = Math.floor((area.y + area.height / 2) * height) - top;
      return y < 0 ? 0 : data[(y * width + x) * 4 + 1];
    });
    if (code?.orientation !== "upright") return;
    const shown = shownAt[code.number];
    tell({ at, delay: at - shown, coming: receiveTime === undefined ? undefined : receiveTime - shown });
  };
  video.requestVideoFrameCallback(look);
}

/**
 * Counters of what goes through a connection.
 * @param {RTCPeerConnection} connection
 * @param {string} type
 * @param {string} kind
 * @returns {Promise<Counters>}
 */
async function counters(connection, type, kind) {
  /** @type {Counters} */
  const sum = {};
  const reports = /** @type {any[]} */ ([.../** @type {any} */ (await connection.getStats()).values()]);
  for (const report of reports.filter((one) => one.type === type && one.kind === kind)) {
    for (const [name, value] of Object.entries(report)) if (typeof value === "number") sum[name] = (sum[name] ?? 0) + value;
  }
  return sum;
}

/** Of each end: bytes of pictures sent and received so far, and what it thinks it can send, in bit/s. @typedef {{sent: number, received: number, available: number}} Flow */

/**
 * What goes through each connection of this call.
 * @returns {Promise<{at: number, flows: Flow[]}>}
 */
export async function flow() {
  const flows = connections.map(async (connection) => {
    const reports = /** @type {any[]} */ ([.../** @type {any} */ (await connection.getStats()).values()]);
    const sum = (/** @type {string} */ type, /** @type {string} */ bytes) =>
      reports.filter((one) => one.type === type && one.kind === "video").reduce((total, one) => total + one[bytes], 0);
    const pair = reports.find(({ type, nominated }) => type === "candidate-pair" && nominated);
    return { sent: sum("outbound-rtp", "bytesSent"), received: sum("inbound-rtp", "bytesReceived"), available: pair?.availableOutgoingBitrate ?? 0 };
  });
  return { at: performance.now(), flows: await Promise.all(flows) };
}

/** @param {Counters} before @param {Counters} after */
const difference = (before, after) =>
  Object.fromEntries(Object.entries(after).map(([name, value]) => [name, value - (before[name] ?? 0)]));

/**
 * One call: how late everything is, from `warm` ms after the first picture on, for so many ms.
 * @param {{path: "peer" | "server", format: Format, options: Record<string, unknown>, warm: number, length: number, doors?: string[], led?: boolean}} call
 *   `led`: peer to peer by the ways that `window.way` gives
 * @returns {Promise<Round>}
 */
export async function round({ path, format, options, warm, length, doors, led }) {
  connections.length = asked = 0;
  const call = path === "peer" ? direct(format, led ? /** @type {any} */ (window).way : undefined) : served(options, doors);
  const late = pause(MEETING_LIMIT).then(() => Promise.reject(new Error(`no call within ${MEETING_LIMIT} ms`)));
  const { received, stop } = await Promise.race([call, late]);
  late.catch(() => {});
  const elements = [show(received.video), show(received.audio)];
  /** @type {Seen[]} */
  let pictures = [];
  const first = new Promise((resolve) => {
    watch(/** @type {HTMLVideoElement} */ (elements[0]), (seen) => (pictures.push(seen), resolve(undefined)));
  });
  await Promise.race([first, pause(MEETING_LIMIT)]);
  await pause(warm);
  const ear = new AudioWorkletNode(context, "ear", { numberOfOutputs: 0, channelCount: 1, channelCountMode: "explicit" });
  /** @type {{begin: number, samples: Float32Array}[]} */
  const heard = [];
  ear.port.onmessage = ({ data }) => heard.push(data);
  const source = context.createMediaStreamSource(new MediaStream([received.audio]));
  source.connect(ear);
  const sender = connections.find((connection) => connection !== received.connection) ?? received.connection;
  const count = async () => ({
    video: await counters(received.connection, "inbound-rtp", "video"),
    audio: await counters(received.connection, "inbound-rtp", "audio"),
    sent: await counters(sender, "outbound-rtp", "video"),
  });
  const before = await count();
  pictures = [];
  await pause(length);
  const measured = pictures;
  const after = await count();
  source.disconnect();
  ear.port.onmessage = null;
  await stop();
  for (const element of elements) element.remove();
  const samples = new Float32Array(heard.length * heard[0].samples.length);
  heard.forEach(({ samples: chunk }, index) => samples.set(chunk, index * chunk.length));
  return {
    pictures: measured,
    sounds: delays(spoken, samples, heard[0].begin),
    video: { ...difference(before.video, after.video), jitter: after.video.jitter, frameWidth: after.video.frameWidth },
    audio: { ...difference(before.audio, after.audio), jitter: after.audio.jitter },
    sent: difference(before.sent, after.sent),
  };
}

/** @typedef {{offered: number, first: number, last: number, trace: {at: number, who: number, what: string}[]}} Joining */

/**
 * One participant waits, another one joins: when, in ms after its `render`, it sees the first picture of the
 * other (`last`), and is seen by the other (`first`); and when, after its own, the one who waits had an offer.
 * @param {Record<string, unknown>} options the peerOptions, for both
 * @param {number} alone ms that the first one is there before
 * @returns {Promise<Joining>}
 */
export async function join(options, alone) {
  connections.length = sockets = asked = 0;
  trace = [];
  const waiting = player(options, "ann");
  await pause(alone);
  const offered = (trace.find(({ what }) => what === "< offer")?.at ?? NaN) - waiting.begun;
  trace = [];
  const joining = player(options, "ben");
  const seen = [joining, waiting].map(async ({ received }) => {
    const { video } = await received;
    const element = /** @type {HTMLVideoElement} */ (show(video));
    const at = await new Promise((resolve) => element.requestVideoFrameCallback(() => resolve(performance.now())));
    element.remove();
    return at - joining.begun;
  });
  const late = pause(MEETING_LIMIT).then(() => Promise.reject(new Error(`no pictures within ${MEETING_LIMIT} ms`)));
  const [last, first] = await Promise.race([Promise.all(seen), late]);
  late.catch(() => {});
  const steps = trace.map(({ at, ...rest }) => ({ at: at - joining.begun, ...rest }));
  await Promise.all([waiting.stop(), joining.stop()]);
  return { offered, first, last, trace: steps };
}
