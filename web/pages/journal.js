// SPDX-License-Identifier: MPL-2.0

/** The list of events of a test page. */
export class Journal {
  /** @type {HTMLElement} */
  #list;
  #start = performance.now();

  /** @param {HTMLElement} list an `<ol>` */
  constructor(list) {
    this.#list = list;
  }

  /** Empties the list and takes a new zero of time. */
  restart() {
    this.#list.replaceChildren();
    this.#start = performance.now();
  }

  /**
   * @param {string} kind
   * @param {unknown} [payload]
   */
  add(kind, payload) {
    const line = document.createElement("li");
    if (kind.startsWith("error") || kind === "control_refused") line.className = "error";
    const seconds = ((performance.now() - this.#start) / 1000).toFixed(2);
    line.append(cell("time", seconds), cell("kind", kind), cell("payload", text(payload)));
    this.#list.append(line);
    line.scrollIntoView({ block: "nearest" });
  }
}

/**
 * @param {string} name
 * @param {string} content
 */
function cell(name, content) {
  const span = document.createElement("span");
  span.className = name;
  span.textContent = content;
  return span;
}

/** @param {unknown} payload */
function text(payload) {
  if (payload === undefined) return "";
  if (payload instanceof Event) {
    const { track, streams } = /** @type {RTCTrackEvent} */ (payload);
    return `${track.kind} of stream ${streams[0]?.id ?? "?"}`;
  }
  return typeof payload === "string" ? payload : JSON.stringify(payload);
}
