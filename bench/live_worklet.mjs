// SPDX-License-Identifier: MPL-2.0

/** A microphone that chirps and an ear that keeps what it hears: both on one clock, the samples of one AudioContext. */

/* global AudioWorkletProcessor, registerProcessor, currentFrame */

/** Samples that the ear hands over at once: a tenth of a second. */
const CHUNK = 4800;

class Microphone extends AudioWorkletProcessor {
  /** @param {{processorOptions: {chirp: Float32Array, pauses: number[]}}} options pauses in samples, from one chirp to the next */
  constructor({ processorOptions: { chirp, pauses } }) {
    super();
    Object.assign(this, { chirp, pauses, count: 0, begin: currentFrame + pauses[0] });
  }

  /** @param {unknown} _ @param {Float32Array[][]} outputs */
  process(_, [[output]]) {
    for (let n = 0; n < output.length; n++) {
      const at = currentFrame + n - this.begin;
      if (at === 0) this.port.postMessage(currentFrame + n);
      if (at >= 0 && at < this.chirp.length) output[n] = this.chirp[at];
      if (at === this.chirp.length) this.begin += this.pauses[++this.count % this.pauses.length];
    }
    return true;
  }
}

class Ear extends AudioWorkletProcessor {
  constructor() {
    super();
    Object.assign(this, { chunk: new Float32Array(CHUNK), filled: 0, begin: 0 });
  }

  /** @param {Float32Array[][]} inputs */
  process([[input]]) {
    if (this.filled === 0) this.begin = currentFrame;
    // Nothing is linked to it yet, or any more: silence.
    const heard = input ?? new Float32Array(128);
    this.chunk.set(heard.subarray(0, Math.min(heard.length, CHUNK - this.filled)), this.filled);
    this.filled += heard.length;
    if (this.filled >= CHUNK) {
      this.port.postMessage({ begin: this.begin, samples: this.chunk });
      this.chunk = new Float32Array(CHUNK);
      this.filled = 0;
    }
    return true;
  }
}

registerProcessor("microphone", Microphone);
registerProcessor("ear", Ear);
