// SPDX-License-Identifier: MPL-2.0

/**
 * @file The pages on which participants check their devices before they take part. With `#picture` the camera is
 * checked too. `?userId=` (else the page asks), `?namespace=` and `?interactionName=` say whose check it is. Only
 * measurements leave the browser: see {@link handIn}.
 */

import { capture, release } from "../../lib/media.js";
import { element, find, show } from "../dom.js";
import { ADVICE, brightness, fill, isNoisy, judgeCamera, judgeMicrophone, loudness, speech, together } from "./measure.js";

/** ms of each part of the check; ours: long enough to read the sentence. */
const PARTS = { camera: 1500, silence: 3000, speech: 5000 };
/** ms between two looks at sound and picture. */
const LOOK = 50;
/** The server's root, prefix or not: this script lies three folders below it. */
const ROOT = new URL("../../../", import.meta.url);

const picture = /** @type {HTMLVideoElement | null} */ (document.querySelector("#picture"));
const level = /** @type {HTMLMeterElement} */ (find("#level"));
const start = /** @type {HTMLButtonElement} */ (find("#start"));
const who = /** @type {HTMLFormElement} */ (find("#who"));
const steps = find("#steps");
const choices = { audioinput: /** @type {HTMLSelectElement | null} */ (document.querySelector("#microphone")), videoinput: /** @type {HTMLSelectElement | null} */ (document.querySelector("#camera")) };
const parameters = new URLSearchParams(location.search);

/** @type {MediaStream | undefined} */
let stream;
/** What sounds now. @type {import("./measure.js").Loudness} */
let now = loudness([]);
/** Ends the meter of the stream before. @type {(() => void) | undefined} */
let silence;
/** The participant. */
let userId = parameters.get("userId") ?? "";

if (userId) open();
else who.hidden = false;
who.addEventListener("submit", (event) => {
  event.preventDefault();
  userId = /** @type {HTMLInputElement} */ (who.elements.namedItem("userId")).value;
  who.hidden = true;
  open();
});
start.addEventListener("click", () => void check());
for (const select of Object.values(choices)) select?.addEventListener("change", () => void listen());

function open() {
  find("#check").hidden = false;
  list([]);
}

/**
 * Camera and microphone as chosen; false when they cannot be had.
 * @returns {Promise<boolean>}
 */
async function listen() {
  if (stream) release(stream);
  silence?.();
  try {
    stream = await capture({ audioOnly: !picture, audio: chosen("audioinput"), video: chosen("videoinput") }, navigator.mediaDevices);
  } catch (reason) {
    show("error", refusal(reason));
    return false;
  }
  if (picture) picture.srcObject = stream;
  silence = meter(stream);
  await offer();
  return true;
}

async function check() {
  start.disabled = true;
  list([]);
  show("joining", "Your browser asks for your permission.");
  if (await listen()) {
    for (const select of Object.values(choices)) if (select) select.disabled = true;
    await measure().catch((reason) => show("error", String(reason)));
    for (const select of Object.values(choices)) if (select) select.disabled = false;
  }
  start.disabled = false;
  start.textContent = "Check again";
}

async function measure() {
  /** @type {Step[]} */
  const done = [];
  if (picture) {
    show("running", "Look into the camera.");
    list([...done, { title: "Camera", state: "now" }]);
    const camera = await look(picture);
    done.push({ title: "Camera", state: camera.verdict === "good" ? "good" : "poor", words: ADVICE[camera.verdict], fact: `${camera.width}×${camera.height}, ${Math.round(camera.framerate)} frames a second` });
    await sound(done, camera);
  } else {
    await sound(done);
  }
}

/**
 * @param {Step[]} done
 * @param {Camera} [camera]
 */
async function sound(done, camera) {
  show("running", "Please be silent for a moment.");
  list([...done, { title: "Silence", state: "now" }]);
  const quiet = together(await hear(PARTS.silence));
  show("running", "Now speak: read this sentence aloud, as you would talk to somebody, and count to ten.");
  list([...done, { title: "Silence", state: "good", fact: `${Math.round(quiet.level)} dB` }, { title: "Your voice", state: "now" }]);
  const spoken = speech(await hear(PARTS.speech));
  const verdict = judgeMicrophone(spoken, quiet);
  const noisy = isNoisy(spoken, quiet);
  const heard = verdict === "good" || verdict === "noisy";
  done.push(
    { title: "Silence", state: noisy ? "poor" : "good", words: noisy ? ADVICE.noisy : undefined, fact: `${Math.round(quiet.level)} dB` },
    { title: "Your voice", state: heard ? "good" : "poor", words: ADVICE[heard ? "good" : verdict], fact: `${Math.round(spoken.level)} dB` },
  );
  list(done);
  const good = done.every(({ state }) => state === "good");
  const settings = stream?.getAudioTracks()[0]?.getSettings() ?? {};
  const { echoCancellation, noiseSuppression, autoGainControl, sampleRate } = settings;
  const microphone = {
    label: labelOf("audio"),
    speech: spoken.level, peak: spoken.peak, noise: quiet.level, clipped: spoken.clipped, verdict,
    sampleRate: sampleRate ?? null,
    // A browser may tell a mode as a text (2025); the server takes yes, no or nothing.
    ...Object.fromEntries(Object.entries({ echoCancellation, noiseSuppression, autoGainControl }).map(([name, on]) => [name, typeof on === "boolean" ? on : null])),
  };
  await handIn({ microphone, camera: camera ?? null, verdict: good ? "good" : "poor" });
  const advice = "Please do what is said above, then check again.";
  show(good ? "done" : "poor", good ? "All is well, and noted. You may close this page." : advice);
}

/** @typedef {{ label: string, width: number, height: number, framerate: number, brightness: number, verdict: import("./measure.js").CameraVerdict }} Camera */

/**
 * A look at the camera's picture for a second and a half.
 * @param {HTMLVideoElement} video
 * @returns {Promise<Camera>}
 */
async function look(video) {
  await video.play();
  const canvas = element("canvas", { width: 64, height: 48 });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const counter = count(video);
  const begin = performance.now();
  let [light, looks] = [0, 0];
  while (performance.now() - begin < PARTS.camera) {
    await pause(LOOK);
    if (!context || !video.videoWidth) continue;
    context.drawImage(video, 0, 0, canvas.width, canvas.height);
    light += brightness(context.getImageData(0, 0, canvas.width, canvas.height).data);
    looks += 1;
  }
  const told = { brightness: looks ? light / looks : 0, framerate: counter() / ((performance.now() - begin) / 1000) };
  return { label: labelOf("video"), width: video.videoWidth, height: video.videoHeight, ...told, verdict: judgeCamera(told) };
}

/**
 * Counts the pictures that are shown from now on; the returned function says how many, and ends it.
 * @param {HTMLVideoElement} video
 * @returns {() => number}
 */
function count(video) {
  let [frames, ended] = [0, false];
  // Firefox has it since 132 (2024); before, the camera's promise must do.
  if (!("requestVideoFrameCallback" in video)) return () => ((stream?.getVideoTracks()[0]?.getSettings().frameRate ?? 0) * PARTS.camera) / 1000;
  const next = () => {
    if (ended) return;
    frames += 1;
    video.requestVideoFrameCallback(next);
  };
  video.requestVideoFrameCallback(next);
  return () => {
    ended = true;
    return frames;
  };
}

/**
 * What sounds for some time, in pieces.
 * @param {number} time ms
 */
async function hear(time) {
  const pieces = [];
  for (const end = performance.now() + time; performance.now() < end; ) {
    await pause(LOOK);
    pieces.push(now);
  }
  return pieces;
}

/**
 * Hands the measurements in; the server gives them a name.
 * @param {Record<string, unknown>} result
 */
async function handIn(result) {
  const whose = Object.fromEntries(["namespace", "interactionName"].flatMap((name) => (parameters.get(name) ? [[name, parameters.get(name)]] : [])));
  const body = { page: picture ? "direct" : "audio_direct", userId, ...whose, ...result, language: navigator.language, screen: { width: screen.width, height: screen.height } };
  const answer = await fetch(new URL("test/checks", ROOT), { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
  if (!answer.ok) {
    const { error } = await answer.json().catch(() => ({ error: answer.statusText }));
    throw new Error(`The result could not be handed in (${error}). Please tell the experimenter.`);
  }
}

/**
 * Follows how loud the microphone is; the returned function ends it.
 * @param {MediaStream} source
 */
function meter(source) {
  const context = new AudioContext();
  const analyser = context.createAnalyser();
  context.createMediaStreamSource(source).connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  const timer = setInterval(() => {
    analyser.getFloatTimeDomainData(samples);
    now = loudness(samples);
    level.value = fill(now.level);
  }, LOOK);
  return () => {
    clearInterval(timer);
    void context.close();
  };
}

/** Devices have names only once one of them was granted. */
async function offer() {
  const devices = await navigator.mediaDevices.enumerateDevices();
  for (const kind of /** @type {const} */ (["audioinput", "videoinput"])) {
    const used = stream?.getTracks().find((track) => track.kind === kind.slice(0, 5))?.getSettings().deviceId;
    choices[kind]?.replaceChildren(...devices.filter((device) => device.kind === kind).map(({ label, deviceId }) => new Option(label || "without a name", deviceId, false, deviceId === used)));
  }
}

/** @param {"audioinput" | "videoinput"} kind */
function chosen(kind) {
  const deviceId = choices[kind]?.value;
  return deviceId ? { deviceId: { exact: deviceId } } : {};
}

/** @param {"audio" | "video"} kind */
function labelOf(kind) {
  return (stream?.getTracks().find((track) => track.kind === kind)?.label ?? "").slice(0, 200);
}

/** @param {unknown} reason */
function refusal(reason) {
  const name = reason instanceof Error ? reason.name : "";
  if (name === "NotAllowedError") return "The browser was not allowed to. Press the icon beside the address, allow it, then begin again.";
  if (name === "NotFoundError" || name === "OverconstrainedError") return "No such device was found. Plug it in, then begin again.";
  if (name === "NotReadableError") return "Another program uses the device. Close it, then begin again.";
  return reason instanceof Error ? reason.message : String(reason);
}

/** @typedef {{ title: string, state: "good" | "poor" | "now", words?: string, fact?: string }} Step */

/** @param {Step[]} shown */
function list(shown) {
  steps.replaceChildren(
    ...shown.map(({ title, state, words, fact }) => element("li", { "data-step": state }, element("strong", {}, title), fact ? element("span", { class: "soft" }, ` ${fact}`) : null, words ? element("p", {}, words) : null)),
  );
}

/** @param {number} ms */
function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
