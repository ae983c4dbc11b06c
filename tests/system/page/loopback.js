// SPDX-License-Identifier: MPL-2.0

/** Both ends of a call in one page: proves that what the camera shows, the readers read. */

import { capture } from "./camera.js";
import { Ears, readPicture } from "./readers.js";

/**
 * @param {RTCPeerConnection} from
 * @param {RTCPeerConnection} to
 */
const trickle = (from, to) =>
  from.addEventListener("icecandidate", ({ candidate }) => to.addIceCandidate(candidate ?? undefined));

/**
 * Calls itself.
 * @param {import('./camera.js').CameraOptions & {codec: string, bitrate: number}} options bit/s for the picture
 */
async function call({ codec, bitrate, ...options }) {
  const [here, there] = [new RTCPeerConnection(), new RTCPeerConnection()];
  trickle(here, there);
  trickle(there, here);
  const ears = new Ears();
  /** @type {HTMLMediaElement[]} */
  const elements = [];
  there.addEventListener("track", ({ track, streams }) => {
    const element = document.createElement(track.kind === "video" ? "video" : "audio");
    Object.assign(element, { srcObject: streams[0], autoplay: true, muted: track.kind === "video" });
    document.body.append(element);
    elements.push(element);
  });
  const stream = await capture(options);
  for (const track of stream.getTracks()) here.addTrack(track, stream);
  const video = here.getTransceivers().find(({ sender }) => sender.track?.kind === "video");
  const codecs = RTCRtpSender.getCapabilities("video")?.codecs ?? [];
  video?.setCodecPreferences(codecs.filter(({ mimeType }) => mimeType === `video/${codec}`));
  await here.setLocalDescription();
  if (here.localDescription) await there.setRemoteDescription(here.localDescription);
  await there.setLocalDescription();
  if (there.localDescription) await here.setRemoteDescription(there.localDescription);
  const parameters = video?.sender.getParameters();
  if (video && parameters) {
    for (const encoding of parameters.encodings) encoding.maxBitrate = bitrate;
    await video.sender.setParameters(parameters);
  }
  return {
    /** What comes out at the other end now. */
    observe: () => ({
      picture: elements.filter((e) => e instanceof HTMLVideoElement).map(readPicture)[0] ?? null,
      sound: elements.filter((e) => e instanceof HTMLAudioElement).map((e) => ears.tone(e))[0] ?? null,
    }),
    /** The codec that is really in use. */
    codec: async () => {
      const report = await there.getStats();
      return [...report.values()]
        .filter(({ type, mimeType }) => type === "codec" && mimeType.startsWith("video/"))
        .map(({ mimeType }) => mimeType);
    },
  };
}

Object.assign(window, { loopback: { call } });
