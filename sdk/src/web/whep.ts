// The way for networks that lose packets, and for browsers without the other two: WebRTC (WHEP,
// draft-ietf-wish-whep) into a video element.
import type { Connection } from "./feed.js";
import type { Engine, EngineHost, EngineStats } from "./type.js";

const since1900 = 2208988800000; // ms until 1970: what NTP's time begins with
const patience = 10000; // ms until media must come: the server gives up then, too

/** Of a WHEP session that ended. */
export interface WhepEnd {
  /** WebRTC cannot play this stream, or not from here: another way may. */
  elsewhere: boolean;
  /** The operator ended it; or the server has no stream for WebRTC, and will have none next time. */
  why?: "kicked" | "refused";
}

/** The address of a stream's WHEP endpoint, from that of its FLV. */
export function whepAddress(flv: URL): URL {
  const url = new URL(flv.href);
  url.pathname = url.pathname.replace(/\.flv$/, "/whep");
  return url;
}

/** One session: an offer, its answer, and what comes. */
class WhepFeed implements Connection {
  bytes = 0;
  heard = performance.now();
  /** Of the tracks that come, as the browser has them. */
  video?: RTCInboundRtpStreamStats;
  audio?: RTCInboundRtpStreamStats;
  /** When they were asked, by performance.now(). */
  looked = 0;
  private readonly peer = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
  private readonly abort = new AbortController();
  private readonly begun = performance.now();
  private session?: string;
  private looking = false;
  private done = false;

  constructor(url: URL, media: MediaStream, private readonly onEnd: (end: WhepEnd) => void) {
    for (const kind of ["video", "audio"]) {
      const { receiver } = this.peer.addTransceiver(kind, { direction: "recvonly" });
      media.addTrack(receiver.track);
    }
    this.peer.onconnectionstatechange = () => {
      const state = this.peer.connectionState;
      if (state === "failed" || state === "closed") this.end(this.bytes === 0);
    };
    void this.begin(url);
  }

  private async begin(url: URL): Promise<void> {
    try {
      await this.peer.setLocalDescription();
      // Without candidates: the server learns ours from what we send.
      const reply = await fetch(url.href, {
        method: "POST",
        headers: { "Content-Type": "application/sdp" },
        body: this.peer.localDescription!.sdp,
        signal: this.abort.signal,
        cache: "no-store",
        credentials: "omit",
      });
      if (reply.status !== 201) {
        // Closed there (404), or no stream for it: B-frames, another codec (422, with a Link to the
        // FLV).
        return this.end(reply.status === 404 || reply.status === 422 || reply.status === 405, reply.status === 422 ? "refused" : undefined);
      }
      this.session = new URL(reply.headers.get("Location") ?? "", reply.url).href;
      const sdp = await reply.text();
      if (this.done) return this.leave();
      await this.peer.setRemoteDescription({ type: "answer", sdp });
      for (const { transport } of this.peer.getReceivers()) {
        if (!transport) continue;
        // What ends a session on the server's side shows here at once, and in connectionState many
        // seconds later.
        transport.onstatechange = () => {
          if (transport.state === "closed") void this.over();
        };
      }
    } catch {
      this.end(false);
    }
  }

  /** The server ended the session. Asked for it again, it says whether that was a kick (403). */
  private async over(): Promise<void> {
    const { session } = this;
    if (this.done || !session) return;
    this.session = undefined;
    const reply = await fetch(session, { method: "DELETE", keepalive: true, credentials: "omit" }).catch(() => undefined);
    this.end(false, reply?.status === 403 ? "kicked" : undefined);
  }

  /** Looks what has come. */
  async look(): Promise<void> {
    if (this.looking || this.done) return;
    this.looking = true;
    const report = await this.peer.getStats().catch(() => undefined);
    this.looking = false;
    if (this.done) return;
    this.looked = performance.now();
    let bytes = 0;
    report?.forEach((entry: RTCInboundRtpStreamStats) => {
      if (entry.type !== "inbound-rtp") return;
      bytes += entry.bytesReceived ?? 0;
      if (entry.kind === "video") this.video = entry;
      else this.audio = entry;
    });
    if (bytes > this.bytes) {
      this.bytes = bytes;
      this.heard = performance.now();
    } else if (!this.bytes && performance.now() - this.begun > patience) this.end(true); // UDP does not pass, perhaps
  }

  /** Tells the server how old the picture is, for its operators. */
  tell(delay: number, since: "publisher" | "ingest"): void {
    if (!this.session) return;
    const body = JSON.stringify({ type: "delay", ms: Math.round(delay), since });
    void fetch(this.session, { method: "PATCH", headers: { "Content-Type": "application/json" }, body, credentials: "omit" }).catch(() => undefined);
  }

  close(): void {
    if (this.done) return;
    this.done = true;
    this.abort.abort();
    this.leave();
  }

  /**
   * Ends the session at the server first, also while the page goes: of one that has gone it would
   * say that there is none.
   */
  private leave(): void {
    const { session, peer } = this;
    this.session = undefined;
    if (!session) return peer.close();
    void fetch(session, { method: "DELETE", keepalive: true, credentials: "omit" })
      .catch(() => undefined)
      .finally(() => peer.close());
  }

  private end(elsewhere: boolean, why?: WhepEnd["why"]): void {
    if (this.done) return;
    this.close();
    this.onEnd({ elsewhere, why });
  }
}

export class Whep implements Engine {
  readonly way = "webrtc";
  readonly picture = document.createElement("video");
  private readonly media = new MediaStream();
  private feed?: WhepFeed;

  constructor(private readonly host: EngineHost) {
    const video = this.picture;
    video.playsInline = true;
    video.muted = true;
    video.srcObject = this.media;
  }

  /** Connects. */
  open(url: URL, onEnd: (end: WhepEnd) => void): Connection {
    this.feed = new WhepFeed(url, this.media, onEnd);
    this.play();
    return this.feed;
  }

  private play(): void {
    void Promise.resolve(this.picture.play()).catch(() => undefined); // without media, or before somebody has clicked
  }

  begin(): void {
    this.host.restart(); // another connection has other tracks
  }

  push(): void {}

  setSound(muted: boolean, volume: number): void {
    this.picture.muted = muted;
    this.picture.volume = volume;
    this.play();
  }

  tick(): void {
    void this.feed?.look();
    if (this.picture.paused) this.play();
  }

  measure(): EngineStats {
    const { video, audio } = this.feed ?? {};
    const quality = this.picture.getVideoPlaybackQuality?.();
    const first = video ?? audio;
    // How long what came last waits in the jitter buffer, on average.
    const waits = first?.jitterBufferEmittedCount ? ((first.jitterBufferDelay ?? 0) / first.jitterBufferEmittedCount) * 1000 : 0;
    // When the server had what is shown: it tells the time of its clock with each track.
    const shown = first?.estimatedPlayoutTimestamp;
    const both = video?.estimatedPlayoutTimestamp && audio?.estimatedPlayoutTimestamp;
    return {
      width: this.picture.videoWidth,
      height: this.picture.videoHeight,
      shown: quality ? quality.totalVideoFrames - quality.droppedVideoFrames : (video?.framesDecoded ?? 0),
      dropped: Math.max(quality?.droppedVideoFrames ?? 0, video?.framesDropped ?? 0),
      level: this.picture.muted ? 0 : (audio?.audioLevel ?? 0),
      buffered: waits,
      ingest: shown ? { moment: shown - since1900, at: this.feed!.looked } : undefined,
      lipSync: both ? audio.estimatedPlayoutTimestamp! - video.estimatedPlayoutTimestamp! : undefined,
    };
  }

  destroy(): void {
    this.feed?.close();
    this.picture.srcObject = null;
  }
}
