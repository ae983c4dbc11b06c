// SPDX-License-Identifier: MPL-2.0

/**
 * @file The pages on which participants check their camera and microphone: nothing leaves the
 * browser. `<body data-video>` asks for the camera too.
 */

import { capture, release } from "../lib/media.js";

const video = document.body.dataset.video !== undefined;
const start = /** @type {HTMLButtonElement} */ (document.querySelector("#start"));
const words = /** @type {HTMLElement} */ (document.querySelector("#state"));
const picture = /** @type {HTMLVideoElement | null} */ (document.querySelector("#picture"));
const level = /** @type {HTMLMeterElement} */ (document.querySelector("#level"));
const choices = { audioinput: choice("#microphone"), videoinput: choice("#camera") };

/** @type {MediaStream | undefined} */
let stream;
/** Ends the meter of the stream before. @type {(() => void) | undefined} */
let silence;

start.addEventListener("click", check);
for (const select of Object.values(choices)) select?.addEventListener("change", check);

async function check() {
  if (stream) release(stream);
  silence?.();
  try {
    stream = await capture({ audioOnly: !video, audio: chosen("audioinput"), video: chosen("videoinput") }, navigator.mediaDevices);
  } catch (reason) {
    show("error", reason instanceof Error ? reason.message : String(reason));
    return;
  }
  if (picture) picture.srcObject = stream;
  silence = meter(stream);
  await list();
  show("running", video ? "You should see yourself, and the bar should move when you speak." : "The bar should move when you speak.");
}

/** @param {"audioinput" | "videoinput"} kind */
function chosen(kind) {
  const deviceId = choices[kind]?.value;
  return deviceId ? { deviceId: { exact: deviceId } } : {};
}

/** Devices have names only once one of them was granted. */
async function list() {
  const devices = await navigator.mediaDevices.enumerateDevices();
  for (const kind of /** @type {const} */ (["audioinput", "videoinput"])) {
    const select = choices[kind];
    if (!select) continue;
    const used = stream?.getTracks().find((track) => track.kind === kind.slice(0, 5))?.getSettings().deviceId;
    select.replaceChildren(...devices.filter((device) => device.kind === kind).map(({ label, deviceId }) => new Option(label, deviceId, false, deviceId === used)));
  }
}

/**
 * Shows how loud the microphone is; the returned function ends it.
 * @param {MediaStream} source
 */
function meter(source) {
  const context = new AudioContext();
  const analyser = context.createAnalyser();
  context.createMediaStreamSource(source).connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  const timer = setInterval(() => {
    analyser.getFloatTimeDomainData(samples);
    const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
    // From -60 dB to 0 dB: what a voice needs.
    level.value = Math.max(0, 1 + (10 * Math.log10(power + 1e-9)) / 60);
  }, 50);
  return () => {
    clearInterval(timer);
    void context.close();
  };
}

/** @param {string} selector */
function choice(selector) {
  return /** @type {HTMLSelectElement | null} */ (document.querySelector(selector));
}

/** @param {string} state @param {string} text */
function show(state, text) {
  document.body.dataset.state = state;
  words.textContent = text;
}
