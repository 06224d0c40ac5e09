// The way for browsers without WebCodecs: mpegts.js feeds a video element. The delay is kept by the
// speed of playing.
import type Mpegts from "mpegts.js";
import type { Tag } from "./flv.js";
import type { Engine, EngineHost, EngineStats } from "./type.js";

type Library = typeof Mpegts;

const least = 0.06; // s of media ahead of the picture
const most = 0.8;
const calm = 3000; // ms without a stall, before less is tried
const jump = 1; // s behind, from which on playing faster takes too long
const stand = 1500; // ms that a picture may stand while media come
const frozen = 4000;

export class Mse implements Engine {
  readonly way = "mse";
  readonly picture = document.createElement("video");
  private player?: Mpegts.Player;
  private deliver?: (bytes: Uint8Array) => void;
  private early: Uint8Array[] = [];
  private target = least;
  private changed = performance.now();
  private over = false;
  private base?: number; // dts at the element's zero
  private seen?: { pts: number; at: number };
  private flags = 0; // of the FLV header: 4 audio, 1 video
  private headers = 0; // that came, as flags
  private first: { audio?: number; video?: number } = {};
  private moved = { time: -1, at: performance.now(), frames: 0, framesAt: performance.now() };
  private pictures = 0; // video tags since frames last grew
  private analyser?: { context: AudioContext; node: AnalyserNode };

  constructor(library: Library, private readonly host: EngineHost) {
    const video = this.picture;
    video.playsInline = true;
    video.muted = true;
    video.disableRemotePlayback = true; // ManagedMediaSource does not open without
    video.addEventListener("waiting", this.onWaiting);
    video.addEventListener("progress", this.onProgress);
    const engine = this;
    let opened = false;
    const player = library.createPlayer(
      { type: "flv", isLive: true, url: "feed:" },
      {
        customLoader: class extends (library.BaseLoader as unknown as new (name: string) => Mpegts.BaseLoader) {
          constructor() {
            super("liverelay-feed");
            this._needStash = false;
          }
          override open(): void {
            this._status = library.LoaderStatus.kConnecting;
            // Suspended (ManagedMediaSource) and wanted again: what came meanwhile is gone.
            if (opened) return engine.host.restart();
            opened = true;
            let at = 0;
            engine.deliver = (bytes) => {
              this._status = library.LoaderStatus.kBuffering;
              const from = at;
              at += bytes.length;
              this.onDataArrival(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) as ArrayBuffer, from, at);
            };
            for (const bytes of engine.early.splice(0)) engine.deliver(bytes);
          }
          override abort(): void {
            this._status = library.LoaderStatus.kComplete;
            engine.deliver = undefined;
          }
        } as unknown as Mpegts.CustomLoaderConstructor,
        enableStashBuffer: false,
        lazyLoad: false,
        deferLoadAfterSourceOpen: false,
        autoCleanupSourceBuffer: true,
        autoCleanupMaxBackwardDuration: 20,
        autoCleanupMinBackwardDuration: 10,
      },
    );
    player.on(library.Events.ERROR, (kind: string, detail: string) => {
      if (this.over) return;
      if (detail === library.ErrorDetails.MEDIA_CODEC_UNSUPPORTED || detail === library.ErrorDetails.MEDIA_FORMAT_UNSUPPORTED) this.host.fail("codec-video");
      else if (kind !== library.ErrorTypes.NETWORK_ERROR) this.host.restart();
    });
    player.attachMediaElement(video);
    player.load();
    this.player = player;
    this.play();
    this.watch();
  }

  private play(): void {
    // An AbortError is what pausing does to it, and no fault.
    void Promise.resolve(this.picture.play()).catch(() => undefined);
  }

  begin(): void {
    this.host.restart(); // a video element takes one stream
  }

  push(bytes: Uint8Array, tags: Tag[]): void {
    this.flags ||= bytes[4] ?? 0; // a connection begins with the file's header
    for (const tag of tags) {
      if (tag.kind === "script") continue;
      if (tag.header) {
        this.headers |= tag.kind === "audio" ? 4 : 1;
        continue;
      }
      this.first[tag.kind] ??= tag.dts;
      if (tag.kind === "video") this.pictures++;
    }
    // As mpegts.js does: zero is the earlier of the tracks' beginnings, as far as they are there at
    // the end of the first piece after all headers. A track that comes later may begin before it.
    if (this.base === undefined && (this.headers & this.flags) === this.flags && tags.length && !tags[tags.length - 1]!.header) {
      const zero = Math.min(this.first.audio ?? Infinity, this.first.video ?? Infinity);
      if (zero < Infinity) this.base = zero;
    }
    if (this.deliver) this.deliver(bytes);
    else if (this.early.length < 2000) this.early.push(bytes);
  }

  /** What the element shows, by the frame. */
  private watch(): void {
    if (!("requestVideoFrameCallback" in this.picture)) return;
    this.picture.requestVideoFrameCallback((_, frame) => {
      if (this.over) return;
      if (this.base !== undefined) this.seen = { pts: this.base + frame.mediaTime * 1000, at: frame.expectedDisplayTime };
      this.watch();
    });
  }

  private readonly onWaiting = (): void => {
    if (this.picture.currentTime < 0.5) return;
    this.target = Math.min(most, this.target + 0.04);
    this.changed = performance.now();
  };

  private readonly onProgress = (): void => this.tick();

  /** Seconds of media ahead. */
  private ahead(): number {
    const { buffered, currentTime } = this.picture;
    return buffered.length ? buffered.end(buffered.length - 1) - currentTime : 0;
  }

  tick(): void {
    const video = this.picture;
    const now = performance.now();
    const ahead = this.ahead();
    if (video.paused && !video.ended && ahead > 0) this.play();
    if (now - this.changed > calm && this.target > least) {
      this.target = Math.max(least, this.target - Math.max(0.01, (this.target - least) * 0.15));
      this.changed = now;
    }
    if (video.currentTime !== this.moved.time) Object.assign(this.moved, { time: video.currentTime, at: now });
    const end = video.currentTime + ahead;
    if (ahead > this.target + jump || (ahead > 0.3 && now - this.moved.at > stand && !document.hidden)) {
      video.currentTime = end - this.target;
      this.moved.at = now;
      return;
    }
    const off = ahead - this.target;
    // Pitch is kept (preservesPitch is on by default), so that nobody hears it.
    const rate = Math.abs(off) < 0.02 ? 1 : 1 + Math.max(-0.04, Math.min(0.1, off * 0.4));
    if (Math.abs(video.playbackRate - rate) > 0.005) video.playbackRate = rate;
    this.thaw(now);
  }

  /** A picture that stands while its sound goes on shows in no event. */
  private thaw(now: number): void {
    const frames = this.frames();
    if (frames !== this.moved.frames || document.hidden) {
      Object.assign(this.moved, { frames, framesAt: now });
      this.pictures = 0;
    } else if (this.pictures > 30 && now - this.moved.framesAt > frozen && this.first.video !== undefined) {
      this.moved.framesAt = now;
      this.host.restart();
    }
  }

  private frames(): number {
    return this.picture.getVideoPlaybackQuality?.().totalVideoFrames ?? 0;
  }

  setSound(muted: boolean, volume: number): void {
    this.picture.muted = muted;
    this.picture.volume = volume;
    if (!muted && !this.analyser) this.listen();
    void this.analyser?.context.resume().catch(() => undefined);
    if (this.picture.paused) this.play();
  }

  /** Where it can be had without changing what is heard: how loud it is. */
  private listen(): void {
    const capture = (this.picture as unknown as { captureStream?(): MediaStream }).captureStream;
    if (!capture) return;
    const begin = (): void => {
      if (this.analyser || this.over) return;
      const stream = capture.call(this.picture);
      if (!stream.getAudioTracks().length) return;
      const context = new AudioContext();
      const node = new AnalyserNode(context, { fftSize: 1024 });
      context.createMediaStreamSource(stream).connect(node);
      this.analyser = { context, node };
    };
    if (this.picture.readyState >= 2) begin();
    else this.picture.addEventListener("loadeddata", begin, { once: true });
  }

  private level(): number {
    if (!this.analyser || this.picture.muted) return 0;
    const samples = new Float32Array(this.analyser.node.fftSize);
    this.analyser.node.getFloatTimeDomainData(samples);
    return Math.sqrt(samples.reduce((sum, x) => sum + x * x, 0) / samples.length);
  }

  measure(): EngineStats {
    const quality = this.picture.getVideoPlaybackQuality?.();
    const dropped = quality?.droppedVideoFrames ?? 0;
    return {
      width: this.picture.videoWidth,
      height: this.picture.videoHeight,
      shown: this.frames() - dropped,
      dropped,
      level: this.level(),
      buffered: Math.max(0, this.ahead() * 1000),
      seen: this.seen,
    };
  }

  destroy(): void {
    this.over = true;
    this.deliver = undefined;
    this.picture.removeEventListener("waiting", this.onWaiting);
    this.picture.removeEventListener("progress", this.onProgress);
    void this.analyser?.context.close().catch(() => undefined);
    this.player?.destroy();
    this.player = undefined;
  }
}
