// SPDX-License-Identifier: MPL-2.0

/** A microphone that chirps and an ear that keeps what it hears: both on one clock, the samples of one AudioContext. */

/** The AudioWorkletGlobalScope, which the library of types does not know (TypeScript 5.9). @type {any} */
const scope = globalThis;
/** Samples that come at once (Web Audio, "render quantum"). */
const QUANTUM = 128;
/** Samples that the ear hands over at once: about a tenth of a second. */
const CHUNK = 40 * QUANTUM;

class Microphone extends scope.AudioWorkletProcessor {
  /** @param {{processorOptions: {chirps: Float32Array[], pauses: number[]}}} options in turns; pauses in samples, from one chirp to the next */
  constructor({ processorOptions: { chirps, pauses } }) {
    super();
    this.chirps = chirps;
    this.pauses = pauses;
    this.count = 0;
    this.begin = scope.currentFrame + pauses[0];
  }

  /** @param {unknown} _ @param {Float32Array[][]} outputs */
  process(_, [[output]]) {
    for (let n = 0; n < output.length; n++) {
      const at = scope.currentFrame + n - this.begin;
      if (at === 0) this.port.postMessage(scope.currentFrame + n);
      const chirp = this.chirps[this.count % this.chirps.length];
      if (at >= 0 && at < chirp.length) output[n] = chirp[at];
      if (at === chirp.length) this.begin += this.pauses[++this.count % this.pauses.length];
    }
    return true;
  }
}

class Ear extends scope.AudioWorkletProcessor {
  constructor() {
    super();
    this.chunk = new Float32Array(CHUNK);
    this.filled = 0;
    this.begin = 0;
  }

  /** @param {Float32Array[][]} inputs */
  process([[heard]]) {
    if (this.filled === 0) this.begin = scope.currentFrame;
    // As long as nothing is linked to it: silence.
    if (heard) this.chunk.set(heard, this.filled);
    this.filled += QUANTUM;
    if (this.filled === CHUNK) {
      this.port.postMessage({ begin: this.begin, samples: this.chunk });
      this.chunk = new Float32Array(CHUNK);
      this.filled = 0;
    }
    return true;
  }
}

scope.registerProcessor("microphone", Microphone);
scope.registerProcessor("ear", Ear);
