// SPDX-License-Identifier: MPL-2.0

/**
 * An experimenter's page with a DuckSoup player in it, as the README describes it. What it shall do
 * stands in the address after `#`, so that a reload does the same again.
 */

import { installCamera, shownAt } from "./camera.js";
import { Ears, readPicture } from "./readers.js";

/**
 * @typedef {object} PageOptions
 * @property {string} script address of ducksoup.js
 * @property {Record<string, unknown>} peer the peerOptions
 * @property {import('./camera.js').CameraOptions} camera
 * @property {'mount' | 'callback'} embed who shows the tracks: the player, or this page
 */
/** @typedef {{at: number, kind: string, payload: any}} PageEvent at in ms since 1970 */
/**
 * @typedef {object} Observation
 * @property {number} at ms since 1970
 * @property {import('./readers.js').PictureSeen[]} pictures
 * @property {import('./readers.js').SoundHeard[]} sounds
 */
/** @typedef {{at: number, pictures: import('./readers.js').PictureSeen[], levels: import('./readers.js').LevelHeard[]}} Sample */

/** @type {PageOptions} */
const options = JSON.parse(decodeURIComponent(location.hash.slice(1)));
const mount = /** @type {HTMLElement} */ (document.getElementById("mount"));
const ears = new Ears();
/** @type {Sample[]} */
const samples = [];

const now = () => performance.timeOrigin + performance.now();
const isThere = (/** @type {unknown} */ value) => value !== null;
/** @returns {HTMLVideoElement[]} */
const videos = () => [...mount.querySelectorAll("video")];
/** @returns {HTMLAudioElement[]} */
const audios = () => [...mount.querySelectorAll("audio")];

/**
 * Tells the test.
 * @param {string} kind
 * @param {unknown} payload
 */
const report = (kind, payload) => /** @type {any} */ (window).report({ at: now(), kind, payload });

/**
 * Shows a track, as pages without `mountEl` do.
 * @param {RTCTrackEvent} event
 */
function show({ track, streams: [stream] }) {
  const element = document.createElement(track.kind === "video" ? "video" : "audio");
  Object.assign(element, { srcObject: stream, autoplay: true, muted: track.kind === "video" });
  mount.append(element);
}

/**
 * Takes away what a participant showed.
 * @param {{streamId?: string}} payload
 */
function hide({ streamId }) {
  for (const element of [...videos(), ...audios()]) {
    if (element.srcObject instanceof MediaStream && element.srcObject.id === streamId) element.remove();
  }
}

/** @param {{kind: string, payload?: any}} event */
function onEvent({ kind, payload }) {
  if (kind === "track") {
    show(payload);
    const { track, streams } = /** @type {RTCTrackEvent} */ (payload);
    report(kind, { track: track.kind, streamIds: streams.map(({ id }) => id) });
  } else if (kind === "joined") {
    report(kind, { ...payload, text: String(payload) });
  } else {
    if (kind === "other_left" && options.embed === "callback") hide(payload);
    report(kind, payload);
  }
}

/** @returns {Promise<void>} */
const loadScript = () =>
  new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = options.script;
    script.onload = () => resolve();
    script.onerror = () => reject(new Error(`cannot load ${options.script}`));
    document.head.append(script);
  });

/** @returns {Observation} */
const observe = () => ({
  at: now(),
  pictures: /** @type {import('./readers.js').PictureSeen[]} */ (videos().map(readPicture).filter(isThere)),
  sounds: /** @type {import('./readers.js').SoundHeard[]} */ (
    audios()
      .map((element) => ears.tone(element))
      .filter(isThere)
  ),
});

/** @returns {Sample} */
const sample = () => ({
  at: now(),
  pictures: /** @type {import('./readers.js').PictureSeen[]} */ (videos().map(readPicture).filter(isThere)),
  levels: /** @type {import('./readers.js').LevelHeard[]} */ (
    audios()
      .map((element) => ears.level(element))
      .filter(isThere)
  ),
});

/** Begins to note pictures and levels, every so many ms. */
const startSampling = (/** @type {number} */ every) => setInterval(() => samples.push(sample()), every);

installCamera(options.camera);
await loadScript();
const embed = options.embed === "mount" ? { mountEl: mount, callback: onEvent } : { callback: onEvent };
const player = await /** @type {any} */ (window).DuckSoup.render(embed, options.peer);
Object.assign(window, { participant: { player, observe, samples, shownAt, startSampling } });
