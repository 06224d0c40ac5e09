// What the page and the publishing worker tell each other.

/**
 * Where a picture comes from: a camera's frames, a card the worker draws, or the stand-in for a
 * camera that is off.
 */
export type PictureSource = { kind: "frames"; frames: ReadableStream<VideoFrame> } | { kind: "card" | "off" };

/** Where the sound comes from. */
export type SoundSource = { kind: "data"; data: ReadableStream<AudioData> } | { kind: "tone" | "silence" };

/** How the picture is to be. */
export interface PictureFormat {
  width: number;
  height: number;
  fps: number;
  kbps: number;
}

/** From the page. */
export type Order =
  | { type: "picture"; source: PictureSource; label: string }
  | { type: "sound"; source: SoundSource }
  | { type: "format"; format: PictureFormat }
  /** Draws what the worker makes, too. */
  | { type: "preview"; canvas: OffscreenCanvas }
  | { type: "language"; label: string }
  /** The server's time less this machine's, ms. */
  | { type: "clock"; offset: number }
  | { type: "connect"; url: string }
  | { type: "disconnect" }
  | { type: "stop" };

/** Each second. */
export interface PublishStats {
  width: number;
  height: number;
  /** Of the encoder's picture, a second. */
  fps: number;
  videoKbps: number;
  audioKbps: number;
  /** What the encoder is told to make, and what the user chose, kbit/s. */
  targetKbps: number;
  wantedKbps: number;
  /** Pictures left out since the beginning. */
  dropped: number;
  /** Media on their way to the server, ms. */
  backlog: number;
  /** Loudness, 0 to 1. */
  level: number;
}

/** To the page. */
export type Report =
  | { type: "open" }
  /** The relay has the first picture and the first sound. */
  | { type: "flowing" }
  /** Nothing arrives any more, as far as the relay's words tell; "flowing" when it does again. */
  | { type: "stuck" }
  | { type: "closed"; code: number; reason: string }
  | { type: "stats"; stats: PublishStats }
  /** A part cannot be encoded. */
  | { type: "failed"; part: "picture" | "sound"; message: string }
  /** The device was unplugged or taken away, or gives nothing. */
  | { type: "ended"; part: "picture" | "sound"; why: "unplugged" | "busy" };
