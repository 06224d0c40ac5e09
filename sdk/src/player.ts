import { code } from "./code.js";
import type { Frame } from "./link.js";
import { type Media, Netstatus, quality, type URLs } from "./media.js";
import type { Room } from "./room.js";
import type { PlayerState, Quality } from "./type.js";

/** What a player needs of the engine. */
export interface PlayerHost {
  emit(state: PlayerState): void;
  quality(streamID: string, stats: Quality, net: Frame): void;
  report(player: Player, state: PlayerState["state"], number: number, message: string): void;
}

/**
 * The codes that fail a play, B1: network after all retries, decoding. The entry stays, a later
 * 2004 revives it.
 */
const failures = [-2301, -2302, 2101, 2102];

/** One stream this client plays: fed by the live-player's events and by the server. */
export class Player {
  urls: URLs | undefined;
  /** What the application asked of its URLs. */
  media: Media = {};
  /** Counts starts: an answer to an earlier one is stale. */
  start = 0;
  ended = false;
  private state: PlayerState["state"] = "NO_PLAY";
  /** The component itself told of this start's success: it will tell of its end. */
  private fed = false;
  private readonly netstatus: Netstatus;

  constructor(readonly streamID: string, readonly room: Room, ios: boolean, private readonly host: PlayerHost) {
    this.netstatus = new Netstatus(ios, (report) => this.host.quality(this.streamID, quality(report), report));
  }

  /** A start, the first or another one. */
  request(): number {
    this.urls = undefined;
    this.fed = false;
    this.turn("PLAY_REQUESTING", 0, "");
    return ++this.start;
  }

  /** A bindstatechange of the live-player. */
  feed(number: number, message: string): void {
    if (number === 2004) {
      this.fed = true;
      if (this.turn("PLAYING", 0, "")) this.host.report(this, "PLAYING", number, message);
    } else if (failures.indexOf(number) >= 0) {
      // The network's failure is told every time: the application may have tried another URL
      // meanwhile.
      if (this.turn("NO_PLAY", number, "play fail", number < 0)) this.host.report(this, "NO_PLAY", number, message);
    }
  }

  /** A bindnetstatus of the live-player. */
  feedNet(report: Frame): void {
    this.netstatus.feed(report);
  }

  /** The media path's word. */
  confirmed(state: unknown, number: number, msg: string): void {
    if (state === "PLAYING") this.turn("PLAYING", 0, "");
    else if (number === code.playInterrupted) {
      // Not over yet. A component that talks to us connects again by itself and tells when it
      // cannot; and what ended may be the connection of an earlier URL.
      if (this.state === "PLAYING" && !this.fed) this.turn("PLAY_REQUESTING", number, msg);
    } else if (number !== code.ok && this.state !== "NO_PLAY") this.turn("NO_PLAY", number, msg);
  }

  /** Ends it, tells the application once. */
  stop(number: number, extendedData: string): void {
    this.ended = true;
    this.netstatus.stop();
    this.turn("NO_PLAY", number, extendedData);
  }

  private turn(state: PlayerState["state"], errorCode: number, extendedData: string, always = false): boolean {
    if (state === this.state && state !== "PLAY_REQUESTING" && !always) return false;
    this.state = state;
    this.host.emit({ streamID: this.streamID, state, errorCode, extendedData });
    return true;
  }
}
