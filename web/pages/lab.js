// SPDX-License-Identifier: MPL-2.0

/**
 * @file What the test pages share: settings → call → events, sliders, figures. The running player
 * and all events are at hand in the console (and for tests) as `window.lab`.
 */

import { checked, freshName, offerExamples, peerOptions, prefill } from "./form.js";
import { Journal } from "./journal.js";
import { People } from "./people.js";
import { showSliders } from "./sliders.js";

/** @typedef {import("../ducksoup.js").Player} Player */

/** @typedef {{ player?: Player, events: { kind: string, payload?: any }[] }} Lab */

/**
 * @param {object} settings
 * @param {Record<string, string>} settings.defaults values of fields that the page's address does not give
 * @param {Record<string, unknown>} [settings.fixed] peer options that have no field
 * @param {(form: HTMLFormElement) => boolean} settings.mounts whether `mountEl` renders, not `callback`
 * @param {boolean} [settings.restarts] whether the choice of another effect joins anew
 */
export function openLab({ defaults, fixed = {}, mounts, restarts = false }) {
  const form = /** @type {HTMLFormElement} */ (find("#settings"));
  const stage = find("#stage");
  const journal = new Journal(find("#events"));
  const people = new People(stage);
  const target = /** @type {HTMLSelectElement | null} */ (document.querySelector("#target"));
  const start = /** @type {HTMLButtonElement} */ (find("#start"));
  const stop = /** @type {HTMLButtonElement} */ (find("#stop"));
  /** @type {Lab} */
  const lab = { events: [] };
  /** Whether another call begins when this one is closed. */
  let again = false;
  Object.assign(window, { lab });

  prefill(form, new URLSearchParams({ ...defaults, ...Object.fromEntries(new URLSearchParams(location.search)) }));
  offerExamples(form, sliders);
  connectControls();

  /** Whose effect is moved; nobody's name is one's own. */
  const userId = () => target?.value || undefined;
  const ramp = () => Number(/** @type {HTMLInputElement} */ (find("#ramp")).value);

  function sliders() {
    const effects = ["audioFx", "videoFx"].map((name) => /** @type {HTMLInputElement | null} */ (form.elements.namedItem(name))?.value ?? "");
    showSliders(find("#sliders"), effects, {
      number: (effect, property, value) => lab.player?.controlFx(effect, property, value, ramp(), userId()),
      choice: (effect, property, value) => lab.player?.polyControlFx(effect, property, "string", value, userId()),
    });
  }

  function connectControls() {
    const control = /** @type {HTMLFormElement} */ (find("#control"));
    control.addEventListener("submit", (event) => {
      event.preventDefault();
      const [name, property, value] = ["name", "property", "value"].map((field) => /** @type {HTMLInputElement} */ (control.elements.namedItem(field)).value.trim());
      if (value !== "" && Number.isFinite(Number(value))) lab.player?.controlFx(name, property, Number(value), ramp(), userId());
      else lab.player?.polyControlFx(name, property, "string", value, userId());
    });
  }

  /** @param {string} state @param {string} words */
  function show(state, words) {
    document.body.dataset.state = state;
    find("#state").textContent = words;
    const busy = state !== "idle" && state !== "over" && state !== "error";
    start.disabled = busy;
    stop.disabled = !busy;
  }

  /** @type {ReturnType<typeof setInterval> | undefined} */
  let countdown;
  /** @param {number} seconds */
  function count(seconds) {
    const end = performance.now() + seconds * 1000;
    const tick = () => show(document.body.dataset.state === "ending" ? "ending" : "running", `running, ${Math.max(0, Math.ceil((end - performance.now()) / 1000))} s left`);
    clearInterval(countdown);
    countdown = setInterval(tick, 500);
    show("running", "");
    tick();
  }

  function targets() {
    if (!target) return;
    const chosen = target.value;
    target.replaceChildren(new Option("myself", ""), ...people.users.map((user) => new Option(user, user)));
    target.value = people.users.includes(chosen) ? chosen : "";
  }

  /** @param {any} event */
  function heard({ kind, payload }) {
    if (kind === "stats") return figures(payload);
    lab.events.push({ kind, payload });
    journal.add(kind, payload);
    if (kind === "joined") show("waiting", "waiting for everyone");
    else if (kind === "other_joined") people.meet(payload);
    else if (kind === "other_left") people.part(payload);
    else if (kind === "track") people.show(payload);
    else if (kind === "start") count(payload);
    else if (kind === "ending") document.body.dataset.state = "ending";
    else if (kind.startsWith("error")) show("error", kind === "error" ? payload : kind);
    else if (kind === "closed") over();
    targets();
  }

  function over() {
    clearInterval(countdown);
    people.clear();
    if (again) return void join();
    if (document.body.dataset.state !== "error") show("over", "over");
  }

  async function join() {
    again = false;
    // A name of its own for each call: the one before may still be running on the server.
    if (restarts) /** @type {HTMLInputElement} */ (form.elements.namedItem("interactionName")).value = freshName("play");
    lab.events = [];
    journal.restart();
    show("joining", "joining");
    const mountEl = mounts(form) ? stage : undefined;
    const options = { ...peerOptions(form), ...fixed };
    try {
      lab.player = await window.DuckSoup.render({ mountEl, callback: heard, stats: true }, options);
    } catch (reason) {
      show("error", String(reason));
    }
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void join();
  });
  stop.addEventListener("click", () => lab.player?.stop());
  if (restarts) {
    for (const select of form.querySelectorAll("select[data-examples]")) {
      select.addEventListener("change", () => {
        again = !stop.disabled;
        lab.player?.stop();
      });
    }
  }
  show("idle", "not joined");
  targets();
  if (checked(form, "auto")) void join();
}

/** @param {import("../ducksoup.js").Stats} stats */
function figures({ audioUp, audioDown, videoUp, videoDown, width, height, framerate, roundTrip, lost }) {
  const picture = width ? ` · ${width}×${height} at ${framerate}/s` : "";
  find("#figures").textContent = `up ${audioUp} + ${videoUp} kbit/s${picture} · down ${audioDown} + ${videoDown} kbit/s · ${roundTrip} ms · ${lost} lost`;
}

/**
 * @param {string} selector
 * @returns {HTMLElement}
 */
function find(selector) {
  const element = document.querySelector(selector);
  if (!(element instanceof HTMLElement)) throw new Error(`the page has no ${selector}`);
  return element;
}
