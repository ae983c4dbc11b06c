// SPDX-License-Identifier: MPL-2.0

/** Frames of a WebSocket (RFC 6455 §5.2), for what stands between the ends of one. */

/** What ends the head of an HTTP message. */
export const HEAD_END = "\r\n\r\n";

const TEXT = 1;

/**
 * A frame as it came; of a text, what it says.
 * @typedef {{raw: Buffer, text?: string}} Frame
 */

/** Finds the frames in a stream of bytes. Texts in pieces are not taken apart: nobody here sends any. */
export class FrameReader {
  #bytes = Buffer.alloc(0);

  /**
   * @param {Buffer} bytes
   * @returns {Frame[]} those that are complete now
   */
  read(bytes) {
    this.#bytes = Buffer.concat([this.#bytes, bytes]);
    const frames = [];
    for (let next = this.#next(); next; next = this.#next()) frames.push(next);
    return frames;
  }

  /** @returns {Frame | undefined} */
  #next() {
    const bytes = this.#bytes;
    if (bytes.length < 2) return undefined;
    const short = bytes[1] & 0x7f;
    const extended = short === 126 ? 2 : short === 127 ? 8 : 0;
    const masked = (bytes[1] & 0x80) !== 0;
    const begin = 2 + extended + (masked ? 4 : 0);
    if (bytes.length < begin) return undefined;
    const length = extended === 2 ? bytes.readUInt16BE(2) : extended === 8 ? Number(bytes.readBigUInt64BE(2)) : short;
    if (bytes.length < begin + length) return undefined;
    const raw = bytes.subarray(0, begin + length);
    this.#bytes = bytes.subarray(begin + length);
    if ((bytes[0] & 0x0f) !== TEXT) return { raw };
    const payload = Buffer.from(raw.subarray(begin));
    if (masked) payload.forEach((byte, index) => (payload[index] = byte ^ raw[begin - 4 + (index % 4)]));
    return { raw, text: payload.toString() };
  }
}

/**
 * A text as a frame.
 * @param {string} text
 * @param {boolean} masked whether it is a client's
 */
export function frame(text, masked) {
  const payload = Buffer.from(text);
  const [short, extended] = payload.length < 126 ? [payload.length, 0] : payload.length < 65536 ? [126, 2] : [127, 8];
  // Masked with zeroes, which change nothing.
  const head = Buffer.alloc(2 + extended + (masked ? 4 : 0));
  head[0] = 0x80 | TEXT;
  head[1] = short | (masked ? 0x80 : 0);
  if (extended === 2) head.writeUInt16BE(payload.length, 2);
  if (extended === 8) head.writeBigUInt64BE(BigInt(payload.length), 2);
  return Buffer.concat([head, payload]);
}
