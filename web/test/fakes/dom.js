// SPDX-License-Identifier: MPL-2.0

/** As much of a document as a mount needs. */
export class FakeDocument extends EventTarget {
  /** Whether elements may play without a touch. */
  autoplay = true;

  /** @param {string} name */
  createElement(name) {
    return new FakeElement(this, name);
  }
}

export class FakeElement {
  /** @type {FakeElement[]} */ children = [];
  /** @type {FakeElement | undefined} */ parent;
  /** @type {Record<string, string>} */ dataset = {};
  /** @type {Record<string, string>} */ attributes = {};
  /** @type {any} */ srcObject = null;
  muted = false;
  autoplay = false;
  played = 0;

  /** @param {FakeDocument} ownerDocument @param {string} name */
  constructor(ownerDocument, name) {
    this.ownerDocument = ownerDocument;
    this.name = name;
  }

  /** @param {FakeElement} child */
  appendChild(child) {
    child.parent = this;
    this.children.push(child);
  }

  remove() {
    if (this.parent) this.parent.children = this.parent.children.filter((child) => child !== this);
  }

  /** @param {string} name @param {string} value */
  setAttribute(name, value) {
    this.attributes[name] = value;
  }

  async play() {
    if (!this.ownerDocument.autoplay) throw Object.assign(new Error("touch me first"), { name: "NotAllowedError" });
    this.played += 1;
  }
}

/** @returns {any} an element to mount in */
export function root() {
  return new FakeDocument().createElement("div");
}
