import { code, LiveRelayError } from "./code.js";
import type { Frame } from "./link.js";
import { type Media, Netstatus, quality, type URLs } from "./media.js";
import type { Room } from "./room.js";
import type { PublisherState, Quality } from "./type.js";

/** What a publisher needs of the engine. */
export interface PublisherHost {
  emit(state: PublisherState): void;
  quality(streamID: string, stats: Quality, net: Frame): void;
  /** Asks the server to note that media flows; rejects with its refusal. */
  confirm(publisher: Publisher, number: number, message: string): Promise<void>;
  report(publisher: Publisher, number: number, message: string): void;
  /** It ended by itself: forget it and tell the room. */
  ended(publisher: Publisher): void;
}

/**
 * The codes that end a publish, B1: camera, microphone, encoder, network after all retries, screen
 * capture.
 */
function isFailure(number: number): boolean {
  return number <= -1301 && number >= -1312;
}

/** Refusals of the server that no retry of the component can mend. */
const refusals: number[] = [code.publishDenied, code.publishForbidden, code.streamTaken, code.banned, code.kickedByServer];

/**
 * A server that was restarted waits so long for the media to come back before the application is
 * told, ms.
 */
const proving = 15000;

/** One stream this client publishes: fed by the live-pusher's events and by the server. */
export class Publisher {
  urls: URLs | undefined;
  /** What the application asked of its URLs. */
  media: Media = {};
  extraInfo = "";
  /** Counts starts: an answer to an earlier one is stale. */
  start = 0;
  cameraOff = false;
  ended = false;
  private state: PublisherState["state"] = "NO_PUBLISH";
  private confirming = false;
  /** The component said that media flows, the server has not heard of it. */
  private unconfirmed: [number, string] | undefined;
  private proof: ReturnType<typeof setTimeout> | undefined;
  private readonly netstatus: Netstatus;

  constructor(readonly streamID: string, readonly room: Room, private readonly ios: boolean, private readonly host: PublisherHost) {
    this.netstatus = new Netstatus(ios, (report) => this.quality(report));
  }

  /** A start, the first or another one. */
  request(): number {
    this.urls = undefined;
    this.unconfirmed = undefined;
    clearTimeout(this.proof);
    this.turn("PUBLISH_REQUESTING", 0, "");
    return ++this.start;
  }

  /** A bindstatechange of the live-pusher. */
  feed(number: number, message: string): void {
    if (number === 1002) this.flowing(number, message);
    else if (isFailure(number)) {
      this.host.report(this, number, message);
      this.end(number, "publish fail");
    }
  }

  /** A bindnetstatus of the live-pusher. */
  feedNet(report: Frame): void {
    // Newer base libraries do not send 1002: a report of a started publish says the same.
    if (this.urls && this.state === "PUBLISH_REQUESTING") this.flowing(0, "netstatus");
    this.netstatus.feed(report);
  }

  /** The media path's word. */
  confirmed(state: unknown, number: number, msg: string): void {
    if (state === "PUBLISHING") {
      clearTimeout(this.proof);
      this.unconfirmed = undefined;
      this.turn("PUBLISHING", 0, "");
    } else if (refusals.indexOf(number) >= 0) this.end(number, msg);
    // While a start is under way, the end of the earlier connection is no news. Nor is it the last
    // word: a component that is still trying may get through, or tells its own failure later.
    else if (this.state === "PUBLISHING") this.turn("NO_PUBLISH", number, msg);
  }

  /** The room is back: say again what was not heard. */
  restored(): void {
    if (this.unconfirmed) this.flowing(...this.unconfirmed);
  }

  /**
   * The server knows nothing of it any more: its media is there soon, or the application is told.
   */
  prove(): void {
    clearTimeout(this.proof);
    if (this.state !== "PUBLISHING") return;
    this.proof = setTimeout(() => this.confirmed("NO_PUBLISH", code.publishLost, "the media did not come back"), proving);
  }

  /** Ends it, tells the application once. */
  end(number: number, extendedData: string): void {
    if (this.ended) return;
    this.stop(number, extendedData);
    this.host.ended(this);
  }

  /** Ends it without telling the room. */
  stop(number: number, extendedData: string): void {
    this.ended = true;
    clearTimeout(this.proof);
    this.netstatus.stop();
    // A component's own failure is told in any case: applications start again on it.
    this.turn("NO_PUBLISH", number, extendedData, number < 0);
  }

  private flowing(number: number, message: string): void {
    if (this.state === "PUBLISHING" || this.confirming) return;
    this.unconfirmed = [number, message];
    this.confirming = true;
    const start = this.start;
    this.host.confirm(this, number, message).then(
      () => {
        this.confirming = false;
        if (this.ended) return;
        if (start === this.start) this.confirmed("PUBLISHING", 0, "");
        else this.restored();
      },
      (error: LiveRelayError) => {
        this.confirming = false;
        if (this.ended) return;
        if (start !== this.start) return this.restored();
        // No answer is not a refusal: it is asked again when the room is back, and the server tells
        // by itself.
        if (error.retryable || error.code === code.networkBroken) return;
        this.end(error.code, error.msg);
      },
    );
  }

  private quality(report: Frame): void {
    const stats = quality(report);
    // iOS goes on telling the last picture when the camera is off.
    if (this.ios && this.cameraOff) stats.video = { videoBitrate: 0, videoFPS: 0, videoWidth: 0, videoHeight: 0 };
    this.host.quality(this.streamID, stats, report);
  }

  private turn(state: PublisherState["state"], errorCode: number, extendedData: string, always = false): void {
    if (state === this.state && state !== "PUBLISH_REQUESTING" && !always) return;
    this.state = state;
    this.host.emit({ streamID: this.streamID, state, errorCode, extendedData });
  }
}
