// SPDX-License-Identifier: MPL-2.0

export const ANSWER = "v=0\r\nm=audio 9 RTP 111\r\na=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\nm=video 9 RTP 96\r\n";
export const OFFER = "v=0\r\nm=audio 9 RTP 111\r\nm=video 9 RTP 96\r\na=rtcp-fb:96 transport-cc\r\n";

/** A peer connection that writes down what is done to it; each description takes as long as the test wants. */
export class FakeConnection {
  /** @type {string[]} */ done = [];
  /** @type {any} */ ontrack = null;
  /** @type {any} */ onicecandidate = null;
  /** @type {any} */ oniceconnectionstatechange = null;
  /** @type {any} */ onconnectionstatechange = null;
  iceConnectionState = "new";
  connectionState = "new";
  signalingState = "stable";
  /** @type {any} */ remoteDescription = null;
  answer = ANSWER;
  /** Descriptions that will be refused. @type {Set<string>} */ bad = new Set();
  /** Holds every remote description back while set. @type {Promise<void> | undefined} */ gate;
  /** Values of the statistics. @type {any[]} */ report = [];
  /** @type {any[]} */ senders = [];

  /** @param {any} [config] */
  constructor(config) {
    this.config = config;
  }

  /** @param {any} track */
  addTrack(track) {
    this.done.push(`add ${track.kind}`);
    const parameters = { encodings: [{ maxBitrate: 0 }] };
    this.senders.push({
      track,
      ceilings: /** @type {number[]} */ ([]),
      getParameters: () => parameters,
      /** @param {any} wanted @this {any} */
      async setParameters(wanted) {
        this.ceilings.push(wanted.encodings[0].maxBitrate);
      },
    });
  }

  getSenders() {
    return this.senders;
  }

  /** @param {any} offer */
  async setRemoteDescription(offer) {
    this.done.push(`remote ${offer.sdp.split("\r\n")[0]}`);
    await this.gate;
    if (this.bad.has(offer.sdp)) throw new Error("cannot parse");
    this.remoteDescription = offer;
  }

  async createAnswer() {
    this.done.push("answer");
    return { type: "answer", sdp: this.answer };
  }

  /** @param {any} answer */
  async setLocalDescription(answer) {
    this.done.push(`local ${answer.sdp === this.answer ? "untouched" : "changed"}`);
  }

  /** @param {any} candidate */
  async addIceCandidate(candidate) {
    this.done.push(`candidate ${candidate.candidate}`);
    if (candidate.candidate === "bad") throw new Error("bad candidate");
  }

  async getStats() {
    return new Map(this.report.map((entry, index) => [index, entry]));
  }

  close() {
    this.done.push("close");
  }
}
