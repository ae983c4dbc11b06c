// SPDX-License-Identifier: MPL-2.0

/** How the player is shown, and who hears of its events. At least one of `mountEl` and `callback`. */
export interface EmbedOptions {
  /** Gets an `<audio>` or `<video>` for each incoming track. */
  mountEl?: HTMLElement | null;
  /** Hears of every event; `track` only when there is no `mountEl`. */
  callback?: ((event: DuckSoupEvent) => void) | null;
  /** Whether `stats` events come once a second; false by default. */
  stats?: boolean;
}

/** What to join, and how. Only the first three are required. */
export interface PeerOptions {
  /** The server's WebSocket, for instance `wss://ducksoup-host.com/ws`. */
  signalingUrl: string;
  /** Letters, digits, `-` and `_`. */
  interactionName: string;
  /** Letters, digits, `-` and `_`. */
  userId: string;
  /** Seconds; 30 by default. */
  duration?: number;
  /** Participants expected; 2 by default, 1 is a mirror. */
  size?: number;
  /** Sound only; false by default. */
  audioOnly?: boolean;
  /** Pixels; 800 by default. */
  width?: number;
  /** Pixels; 600 by default. */
  height?: number;
  /** Frames a second; 25 by default. `frameRate` is the same. */
  framerate?: number;
  frameRate?: number;
  /** A GStreamer effect, for instance `pitch pitch=0.8 name=fx`. */
  audioFx?: string;
  videoFx?: string;
  /** Merged over the library's own constraints. */
  audio?: MediaTrackConstraints;
  video?: MediaTrackConstraints;
  /** H264 by default. */
  videoFormat?: "H264" | "VP8";
  /** `forced` by default. */
  recordingMode?: "forced" | "muxed" | "free" | "reenc" | "split" | "none" | "passthrough" | "rtpbin_only" | "direct" | "bypass";
  /** Folder of the recordings; `default` by default. */
  namespace?: string;
  gpu?: boolean;
  /** A clock over the picture. */
  overlay?: boolean;
  /** 0: the server hears no logs of the client; 1 (default): figures of the media; 2: signalling too. */
  logLevel?: 0 | 1 | 2;
  /** Used for the peer connection; the server's ICE servers come before its own. */
  rtcConfig?: RTCConfiguration;
}

export type JoinContext = "new_interaction" | "existing-interaction" | "reconnection";

/** Payload of `joined`: as a string (`${payload}`, `payload == "reconnection"`) it is the context. */
export interface Joined {
  context: JoinContext;
  iceServers: RTCIceServer[];
  toString(): JoinContext;
}

/** Payload of `stats`: over the last second. What the browser does not tell is 0. */
export interface Stats {
  /** kbit/s sent and received. */
  audioUp: number;
  audioDown: number;
  videoUp: number;
  videoDown: number;
  /** The picture that is being sent, in pixels and frames a second. */
  width: number;
  height: number;
  framerate: number;
  /** Round trip to the server in ms. */
  roundTrip: number;
  /** Incoming packets lost in this second. */
  lost: number;
}

export type DuckSoupEvent =
  | { kind: "joined"; payload: Joined }
  | { kind: "other_joined"; payload: { userId: string; streamId: string } }
  | { kind: "other_left"; payload: { userId: string; streamId?: string } }
  | { kind: "track"; payload: RTCTrackEvent }
  | { kind: "start"; payload: number }
  | { kind: "ending"; payload?: undefined }
  | { kind: "files"; payload: Record<string, string[]> }
  | { kind: "end"; payload?: undefined }
  | { kind: "closed"; payload?: undefined }
  | { kind: "error-join" | "error-duplicate" | "error-full" | "error-aborted"; payload?: undefined }
  /** The connection for media cannot be had; a sentence when it is this browser that knows why (it has not the `videoFormat`). */
  | { kind: "error-peer-connection"; payload?: string }
  | { kind: "error"; payload: string }
  /** The way to the server is lost; the library tries to come back by itself. What the others' elements show stands still. */
  | { kind: "reconnecting"; payload?: undefined }
  /** It has come back, to the seat, effects and others of before; the payload is what is left, in seconds. */
  | { kind: "reconnected"; payload: number }
  | { kind: "stats"; payload: Stats }
  | { kind: "control_refused"; payload: { name: string; property: string; reason: string } };

/** A player, as `await DuckSoup.render(…)` gives it. */
export interface Player {
  /** Starts the call. `render` did so already: of use after `stop()` only. */
  start(): void;
  /** Leaves the call, releases camera and microphone. May be called at any time, any number of times. */
  stop(): void;
  /** Moves a number of an effect, over `duration` ms (0: at once), on oneself or on `userId`. */
  controlFx(name: string, property: string, value: number, duration?: number, userId?: string): void;
  /** Sets a property of any type at once. */
  polyControlFx(name: string, property: string, kind: "float" | "double" | "int" | "uint64" | "string", value: string | number, userId?: string): void;
  /** Writes a line into the server's log of the interaction (`ext_<kind>`). */
  serverLog(kind: string, payload?: unknown): void;
  /** The earlier name of `serverLog`. */
  log(kind: string, payload?: unknown): void;
}

/** What `render` rejects with, and what wrong arguments of the player's methods throw. */
export class DuckSoupError extends Error {
  /** Stable identifier. */
  readonly code: "embed-options" | "peer-options" | "control";
  constructor(code: "embed-options" | "peer-options" | "control", message: string);
}

/**
 * Joins an interaction. An element as the first argument is the `mountEl` of the third one's options.
 *
 * `import { render } from "…/ducksoup.mjs"`, or, after a classic `<script src="…/ducksoup.js">`,
 * `DuckSoup.render`.
 */
export function render(embedOptions: EmbedOptions | HTMLElement, peerOptions: PeerOptions, more?: Omit<EmbedOptions, "mountEl">): Promise<Player>;

declare global {
  interface Window {
    DuckSoup: { render: typeof render };
  }
  /** What the classic script makes. */
  const DuckSoup: { render: typeof render };
}
