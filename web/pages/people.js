// SPDX-License-Identifier: MPL-2.0

/**
 * The others on a page that renders by `callback`: one figure for each stream, with its tracks and
 * the user's name. This is what a page without `mountEl` has to do by itself.
 */
export class People {
  /** @type {HTMLElement} */
  #place;
  /** Figures by stream. @type {Map<string, HTMLElement>} */
  #figures = new Map();
  /** Users by stream. @type {Map<string, string>} */
  #users = new Map();

  /** @param {HTMLElement} place */
  constructor(place) {
    this.#place = place;
  }

  /** @returns {string[]} who is here */
  get users() {
    return [...this.#users.values()];
  }

  /** @param {{ userId: string, streamId: string }} other */
  meet({ userId, streamId }) {
    this.#users.set(streamId, userId);
    this.#name(streamId);
  }

  /** @param {{ userId: string }} other */
  part({ userId }) {
    for (const [streamId, user] of this.#users) {
      if (user !== userId) continue;
      this.#users.delete(streamId);
      this.#figures.get(streamId)?.remove();
      this.#figures.delete(streamId);
    }
  }

  /** @param {RTCTrackEvent} event */
  show({ track, streams: [stream] }) {
    if (!stream) return;
    const figure = this.#figures.get(stream.id) ?? this.#add(stream.id);
    const media = figure.querySelector(track.kind) ?? figure.insertBefore(document.createElement(track.kind), figure.lastChild);
    const element = /** @type {HTMLMediaElement} */ (media);
    element.autoplay = true;
    element.muted = track.kind === "video";
    element.setAttribute("playsinline", "");
    element.srcObject = stream;
    this.#name(stream.id);
  }

  clear() {
    for (const figure of this.#figures.values()) figure.remove();
    this.#figures.clear();
    this.#users.clear();
  }

  /** @param {string} streamId */
  #add(streamId) {
    const figure = document.createElement("figure");
    figure.dataset.streamId = streamId;
    figure.append(document.createElement("figcaption"));
    this.#place.append(figure);
    this.#figures.set(streamId, figure);
    return figure;
  }

  /** @param {string} streamId */
  #name(streamId) {
    const figure = this.#figures.get(streamId);
    const user = this.#users.get(streamId);
    const caption = figure?.querySelector("figcaption");
    if (!figure || !caption) return;
    caption.textContent = user ?? "";
    if (user) figure.dataset.userId = user;
  }
}
