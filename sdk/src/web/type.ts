/** Where a player is. */
export type WebPlayerState =
  | "connecting"
  /** The stream is not there yet, or its publisher is away; the player looks again and again. */
  | "waiting"
  | "playing"
  /** Connected, and nothing comes. */
  | "stalled"
  /** In the background without sound: nothing is fetched. */
  | "hidden"
  /** Over: only retry() helps. `reason` says why. */
  | "failed"
  | "closed";

/** Why a player waits or failed; `wordOf` has a sentence for each. */
export type WebPlayerReason =
  | "missing"
  | "lost"
  | "idle"
  | "away"
  | "token-missing"
  | "token-malformed"
  | "token-expired"
  | "token-early"
  | "token-app"
  | "token-stream"
  | "denied"
  | "kicked"
  | "limit"
  | "address"
  | "refused"
  | "codec-video"
  | "codec-audio"
  | "browser"
  | "decode";

/** What is told of every change. */
export interface WebPlayerEvent {
  state: WebPlayerState;
  reason?: WebPlayerReason;
  /** The reason in words, in the player's language. */
  text: string;
}

/** How it is going; rates are of the last second. */
export interface WebPlayerStats {
  way: "webcodecs" | "mse" | "webrtc" | "";
  videoCodec: string;
  audioCodec: string;
  width: number;
  height: number;
  /** Received, kbit/s. */
  kbps: number;
  /** Shown, frames a second. */
  fps: number;
  /** Frames shown, and frames that came and were not shown, since the player began. */
  shown: number;
  dropped: number;
  /** Loudness of what is heard, 0 to 1 (root mean square); 0 while muted. */
  level: number;
  /** Media between the network and the eye, ms. */
  buffered: number;
  /** How old the picture is that is shown, ms; undefined while it is not known. */
  delay?: number;
  /** Since when: the publisher's camera (its stamp in the stream) or the relay's ingest. */
  delaySince?: "publisher" | "ingest";
  /** To the server and back, ms. */
  roundTrip?: number;
  /** How far sound is ahead of the picture, ms, where both are played in lip sync. */
  lipSync?: number;
  /** How often it had to connect. */
  connects: number;
}

/** What can be chosen. */
export interface WebPlayerOptions {
  /**
   * [auto] FLV by WebCodecs where the browser has it (the least delay), else by MediaSource; WebRTC
   * where it has neither, where they fail, and where the network twice held back what the server
   * has. "webrtc" begins with WebRTC, and goes on with FLV where that cannot play the stream.
   */
  way?: "auto" | "webcodecs" | "mse" | "webrtc";
  /** [true] Browsers play no sound before the user has done something on the page. */
  muted?: boolean;
  /** [1] 0 to 1. */
  volume?: number;
  /** How the picture fills its element [contain]. */
  fit?: "contain" | "cover";
  /** Of words [the browser's]. */
  language?: "en" | "zh";
  /**
   * [true] Words over the picture while there is none, and a button for sound. Without: show what
   * `onState` tells yourself.
   */
  controls?: boolean;
  onState?(event: WebPlayerEvent): void;
}

/** What one of the ways to play has to offer. */
export interface Engine {
  readonly way: "webcodecs" | "mse" | "webrtc";
  readonly picture: HTMLCanvasElement | HTMLVideoElement;
  /** Another connection: what comes now does not follow what came. */
  begin(): void;
  /** Whatever has come: the bytes, and the same as tags. */
  push(bytes: Uint8Array, tags: Tag[]): void;
  setSound(muted: boolean, volume: number): void;
  /** Called about each 200 ms by what comes from the network, also in hidden tabs. */
  tick(): void;
  measure(): EngineStats;
  destroy(): void;
}

export interface EngineStats {
  width: number;
  height: number;
  shown: number;
  dropped: number;
  level: number;
  buffered: number;
  lipSync?: number;
  /**
   * The picture that is seen: its time in the stream, and when it was shown, by performance.now().
   */
  seen?: { pts: number; at: number };
  /** When the relay had what is shown, by its own time, at a performance.now(). */
  ingest?: { moment: number; at: number };
}

/** What an engine tells. */
export interface EngineHost {
  /** It cannot go on with what it has: connect again. */
  restart(): void;
  fail(reason: WebPlayerReason): void;
}

import type { Tag } from "./flv.js";
