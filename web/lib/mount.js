// SPDX-License-Identifier: MPL-2.0

/** @typedef {{ track: MediaStreamTrack, stream: MediaStream, element: HTMLMediaElement }} Shown */

/**
 * The page's `mountEl`: one `<audio>` or `<video>` for each incoming track. Each carries
 * `data-stream-id` and, as soon as it is known, `data-user-id`; `data-muted` while nothing comes.
 */
export class Mount {
  /** @type {HTMLElement} */
  #root;
  /** By stream and kind. @type {Map<string, Shown>} */
  #shown = new Map();
  /** User by stream. @type {Map<string, string>} */
  #users = new Map();
  /** Takes the wait for a click away, while there is one. @type {(() => void) | undefined} */
  #unblock;

  /** @param {HTMLElement} root */
  constructor(root) {
    this.#root = root;
  }

  /**
   * Shows a track; one of the same stream and kind makes room for it.
   * @param {MediaStreamTrack} track
   * @param {MediaStream} stream
   */
  show(track, stream) {
    const key = `${stream.id} ${track.kind}`;
    const element = this.#shown.get(key)?.element ?? this.#append(track.kind);
    this.#shown.set(key, { track, stream, element });
    element.srcObject = stream;
    element.dataset.streamId = stream.id;
    this.#name(stream.id);
    this.#follow(track, element);
    this.#play(element);
  }

  /**
   * @param {string} userId
   * @param {string} streamId
   */
  meet(userId, streamId) {
    this.#users.set(streamId, userId);
    this.#name(streamId);
  }

  /**
   * Takes a user away.
   * @param {string} userId
   * @param {string} [streamId]
   */
  part(userId, streamId) {
    for (const { track, stream } of [...this.#shown.values()]) {
      if (stream.id === streamId || this.#users.get(stream.id) === userId) this.hide(track, stream);
    }
  }

  /**
   * Takes a track away, unless another one has its place already.
   * @param {MediaStreamTrack} track
   * @param {MediaStream} stream
   */
  hide(track, stream) {
    const key = `${stream.id} ${track.kind}`;
    const shown = this.#shown.get(key);
    if (shown?.track !== track) return;
    this.#shown.delete(key);
    track.onmute = track.onunmute = null;
    shown.element.srcObject = null;
    shown.element.remove();
  }

  /** Takes all tracks away; others may come. */
  empty() {
    for (const { track, stream } of [...this.#shown.values()]) this.hide(track, stream);
  }

  /** Takes everything away. */
  clear() {
    this.empty();
    this.#users.clear();
    this.#unblock?.();
  }

  /** @param {string} kind `audio` or `video` */
  #append(kind) {
    const element = /** @type {HTMLMediaElement} */ (this.#root.ownerDocument.createElement(kind));
    element.autoplay = true;
    if (kind === "video") {
      // Its sound has an element of its own; and what is silent may always start by itself.
      element.muted = true;
      element.setAttribute("playsinline", "");
    }
    this.#root.appendChild(element);
    return element;
  }

  /** @param {string} streamId */
  #name(streamId) {
    const userId = this.#users.get(streamId);
    if (userId === undefined) return;
    for (const { stream, element } of this.#shown.values()) {
      if (stream.id === streamId) element.dataset.userId = userId;
    }
  }

  /**
   * @param {MediaStreamTrack} track
   * @param {HTMLMediaElement} element
   */
  #follow(track, element) {
    const mark = () => {
      if (track.muted) element.dataset.muted = "";
      else delete element.dataset.muted;
    };
    track.onmute = track.onunmute = mark;
    mark();
  }

  /**
   * Browsers may refuse to start sound before the page was touched: then the first touch starts it.
   * @param {HTMLMediaElement} element
   */
  #play(element) {
    element.play()?.catch((reason) => {
      // A new srcObject interrupts the play before it; that one will start.
      if (reason?.name !== "NotAllowedError" || this.#unblock) return;
      const page = this.#root.ownerDocument;
      const start = () => {
        this.#unblock?.();
        for (const { element } of this.#shown.values()) element.play()?.catch(() => {});
      };
      this.#unblock = () => {
        page.removeEventListener("pointerdown", start);
        page.removeEventListener("keydown", start);
        this.#unblock = undefined;
      };
      page.addEventListener("pointerdown", start);
      page.addEventListener("keydown", start);
    });
  }
}
