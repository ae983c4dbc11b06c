// SPDX-License-Identifier: MPL-2.0

export class FakeTrack extends EventTarget {
  muted = false;
  stopped = false;
  /** @type {any} */ onmute = null;
  /** @type {any} */ onunmute = null;

  /** @param {string} kind */
  constructor(kind) {
    super();
    this.kind = kind;
  }

  stop() {
    this.stopped = true;
  }
}

export class FakeStream extends EventTarget {
  /** @param {string} id @param {FakeTrack[]} tracks */
  constructor(id, tracks = []) {
    super();
    this.id = id;
    this.tracks = tracks;
  }

  getTracks() {
    return this.tracks;
  }

  /** What a browser does when the other side stops sending. @param {FakeTrack} track */
  lose(track) {
    this.dispatchEvent(Object.assign(new Event("removetrack"), { track }));
  }
}

/** Camera and microphone that are granted, or refused, when the test says so. */
export class FakeDevices {
  /** @type {any} */ asked;
  stream = new FakeStream("own", [new FakeTrack("audio"), new FakeTrack("video")]);
  /** @type {(stream: any) => void} */ grant = () => {};
  /** @type {(reason: Error) => void} */ refuse = () => {};

  /** @param {any} constraints @returns {Promise<any>} */
  getUserMedia(constraints) {
    this.asked = constraints;
    return new Promise((resolve, reject) => {
      this.grant = resolve;
      this.refuse = reject;
    });
  }
}
