// The way for browsers without WebCodecs: MP4 goes into a video element. The delay is kept by the
// speed of playing.
import type { Tag } from "./flv.js";
import { mimeOf, Reel } from "./reel.js";
import { closeOutput, openOutput } from "./output.js";
import type { Engine, EngineHost, EngineStats } from "./type.js";

type Kind = "audio" | "video";

// Seconds of media ahead of the picture: without sound, by Web Audio, by the browser
const least = { silent: 0.03, fetched: 0.09, sounding: 0.14 };
const most = 0.8;
const calm = 3000; // ms without a stall, before less is tried; longer after each …
const calmest = 60000;
const more = 0.03; // s, after a stall
const jump = 1; // s behind, from which on playing faster takes too long
const stand = 1500; // ms that a picture may stand while media come
const frozen = 4000;
const apart = 2; // s between the ends of sound and picture: one of them has ended
const settled = 500; // ms after a jump
const patience = 500; // ms for the sound or the picture that the file's header announces
const mostEarly = 2000; // tags before that
const farOff = 3000; // ms: a track's clock has jumped
// Milliseconds of the element's clock before the first frame, for one that comes later and is older
const early = 1000;

export class Mse implements Engine {
  readonly way = "mse";
  readonly picture = document.createElement("video");
  private source!: MediaSource;
  private address = "";
  private reels?: Partial<Record<Kind, Reel>>;
  private headers: Partial<Record<Kind, Tag>> = {};
  private early: Tag[] = []; // frames
  private begun = 0; // when the first of them came
  private last: Partial<Record<Kind, number>> = {}; // dts
  private flags = 0; // of the FLV header: 4 audio, 1 video
  private zero = 0; // the element's zero in the stream's time
  private target = most;
  private calm = calm;
  private changed = performance.now();
  private jumped = performance.now();
  private steered = 0;
  private lead?: number; // media ahead, s, smoothed
  private over = false;
  private sated = false; // a ManagedMediaSource wants no more for now
  private seen?: { pts: number; at: number };
  private moved = { time: -1, at: performance.now(), frames: 0, framesAt: performance.now() };
  private pictures = 0; // video tags since frames last grew
  private earlier = { frames: 0, dropped: 0 }; // of earlier connections
  private output?: { context: AudioContext; node?: AnalyserNode };

  constructor(private readonly host: EngineHost) {
    const video = this.picture;
    video.playsInline = true;
    video.muted = true;
    video.disableRemotePlayback = true; // ManagedMediaSource does not open without
    video.addEventListener("waiting", this.onWaiting);
    video.addEventListener("error", this.onError);
    this.open();
    this.watch();
  }

  /**
   * A source of its own for each connection: tracks cannot come or go later. The element stays,
   * with the user's leave to sound.
   */
  private open(): void {
    // Safari on iPhones has only the second.
    const { MediaSource: Plain, ManagedMediaSource: Managed } = globalThis as { MediaSource?: typeof MediaSource; ManagedMediaSource?: typeof MediaSource };
    const source = (this.source = new (Plain ?? Managed!)());
    this.sated = false;
    source.addEventListener("sourceopen", () => source === this.source && this.start());
    source.addEventListener("endstreaming", () => source === this.source && (this.sated = true));
    // When it wants more again, what came meanwhile is gone.
    source.addEventListener("startstreaming", () => source === this.source && this.sated && this.host.restart());
    if (this.address) URL.revokeObjectURL(this.address);
    this.picture.src = this.address = URL.createObjectURL(source);
    this.play();
  }

  begin(): void {
    this.earlier = { frames: this.frames(), dropped: this.dropped() };
    this.reels = this.lead = this.seen = undefined;
    this.headers = {};
    this.last = {};
    this.early = [];
    this.begun = this.flags = 0;
    this.changed = this.jumped = performance.now();
    Object.assign(this.moved, { time: -1, at: this.changed, framesAt: this.changed });
    this.open();
  }

  private play(): void {
    // An AbortError is what pausing does to it, and no fault.
    void Promise.resolve(this.picture.play()).catch(() => undefined);
  }

  push(bytes: Uint8Array, tags: Tag[]): void {
    this.flags ||= bytes[4] ?? 0; // a connection begins with the file's header
    for (const tag of tags) {
      if (this.over) return;
      if (tag.kind !== "script") this.take(tag, tag.kind);
    }
    if (this.reels) this.steer();
    else this.start();
  }

  private take(tag: Tag, kind: Kind): void {
    if (tag.header) {
      this.headers[kind] = tag;
      return this.guard(kind, () => this.reels?.[kind]?.configure(tag));
    }
    // An element with sound keeps a tenth of a second for itself, also while it is muted.
    if (kind === "audio" && this.picture.muted && !this.reels?.audio) return;
    const before = this.last[kind];
    this.last[kind] = tag.dts;
    if (!this.reels) {
      this.begun ||= performance.now();
      if (this.early.length < mostEarly) this.early.push(tag);
      return;
    }
    if (this.sated) return;
    if (kind === "video") this.pictures++;
    const reel = this.reels[kind];
    // An element cannot have another track later.
    if (reel ? before !== undefined && Math.abs(tag.dts - before) > farOff : this.plays(kind)) return this.host.restart();
    reel?.push(tag);
  }

  /** The browser has its codec. */
  private plays(kind: Kind): boolean {
    const header = this.headers[kind];
    try {
      return header !== undefined && (this.source.constructor as typeof MediaSource).isTypeSupported(mimeOf(header));
    } catch {
      return false;
    }
  }

  /** Makes the tracks, once it is known which there are. */
  private start(): void {
    if (this.over || this.reels || this.source.readyState !== "open" || !this.early.length) return;
    const has = (kind: Kind): boolean => this.early.some((tag) => tag.kind === kind);
    const missing = (kind: Kind, flag: number): boolean => (this.flags & flag) !== 0 && !has(kind);
    if ((missing("video", 1) || (missing("audio", 4) && !this.picture.muted)) && performance.now() - this.begun < patience) return;
    this.zero = Math.min(...this.early.map((tag) => tag.dts)) - early;
    const reels: Partial<Record<Kind, Reel>> = {};
    for (const kind of ["video", "audio"] as const) {
      if (!has(kind)) continue;
      if (!this.plays(kind)) this.host.fail(kind === "video" ? "codec-video" : "codec-audio");
      else this.guard(kind, () => void (reels[kind] = new Reel(this.source, this.headers[kind]!, this.zero, () => this.over || this.host.restart())));
      if (this.over) return;
    }
    this.reels = reels;
    this.target = this.least();
    for (const tag of this.early.splice(0)) reels[tag.kind as Kind]?.push(tag);
  }

  private guard(kind: Kind, f: () => void): void {
    try {
      f();
    } catch {
      this.host.fail(kind === "video" ? "codec-video" : "codec-audio");
    }
  }

  private least(): number {
    return !this.reels?.audio ? least.silent : this.output?.node ? least.fetched : least.sounding;
  }

  /** What the element shows, by the frame. */
  private watch(): void {
    if (!("requestVideoFrameCallback" in this.picture)) return;
    this.picture.requestVideoFrameCallback((_, frame) => {
      if (this.over) return;
      // As the others tell it: when it was drawn, not when the screen will have it.
      this.seen = { pts: this.zero + frame.mediaTime * 1000, at: frame.presentationTime };
      this.watch();
    });
  }

  private readonly onWaiting = (): void => {
    const now = performance.now();
    // Beginning and jumping are waited for, too.
    if (this.picture.seeking || now - this.jumped < settled) return;
    this.target = Math.min(most, this.target + more);
    this.calm = Math.min(calmest, this.calm * 2);
    this.changed = now;
    if (!this.reels?.audio) return;
    // Each time that its sound runs out, Chromium wants twice as much before it goes on, unless it
    // has been moved.
    this.jumped = now;
    this.picture.currentTime += 0;
  };

  private readonly onError = (): void => {
    if (this.over) return;
    if (this.frames() > this.earlier.frames) this.host.restart();
    else this.host.fail(this.picture.error?.code === MediaError.MEDIA_ERR_DECODE ? "decode" : "codec-video");
  };

  /** Where the media end, on the element's clock. */
  private end(): number {
    return Math.min(this.reels?.video?.end || Infinity, this.reels?.audio?.end || Infinity);
  }

  /** Seconds of media ahead. */
  private ahead(): number {
    const end = this.end();
    return end < Infinity ? end - this.picture.currentTime : 0;
  }

  tick(): void {
    if (!this.reels) return this.start();
    const video = this.picture;
    if (video.paused && !video.ended && this.ahead() > 0) this.play();
    const { context } = this.output ?? {};
    if (context && context.state !== "running") void context.resume().catch(() => undefined);
    for (const reel of Object.values(this.reels)) reel.clean(video.currentTime);
    this.steer();
    this.thaw(performance.now());
  }

  /** Keeps as much ahead as is asked for. */
  private steer(): void {
    const video = this.picture;
    const now = performance.now();
    const ahead = this.ahead();
    this.lead = this.lead === undefined ? ahead : this.lead + (ahead - this.lead) * 0.1;
    if (now - this.steered < 50) return;
    this.steered = now;
    if (now - this.changed > this.calm && this.target > this.least()) {
      this.target = Math.max(this.least(), this.target - Math.max(0.01, (this.target - this.least()) * 0.15));
      this.changed = now;
    }
    if (video.currentTime !== this.moved.time) Object.assign(this.moved, { time: video.currentTime, at: now });
    const { buffered } = video;
    if (!buffered.length) return;
    const before = video.currentTime < buffered.start(0); // nothing has been played
    if (before || ahead > this.target + jump || (ahead > 0.3 && now - this.moved.at > stand && !document.hidden)) {
      video.currentTime = Math.max(buffered.start(buffered.length - 1), this.end() - this.target);
      this.moved.at = this.jumped = now;
      this.lead = undefined;
      return;
    }
    const off = this.lead - this.target;
    // Pitch is kept (preservesPitch is on by default), so that nobody hears it.
    const rate = Math.abs(off) < 0.02 ? 1 : 1 + Math.max(-0.04, Math.min(0.1, off * 0.8));
    if (Math.abs(video.playbackRate - rate) > 0.005) video.playbackRate = rate;
  }

  /**
   * A picture that stands while its sound goes on shows in no event; and where one of both has
   * ended, an element waits for it.
   */
  private thaw(now: number): void {
    const { audio, video } = this.reels ?? {};
    if (audio && video && Math.abs(audio.end - video.end) > apart && now - this.moved.at > frozen) {
      this.moved.at = now;
      return this.host.restart();
    }
    const frames = this.frames();
    if (frames !== this.moved.frames || document.hidden) {
      Object.assign(this.moved, { frames, framesAt: now });
      this.pictures = 0;
    } else if (this.pictures > 30 && now - this.moved.framesAt > frozen && this.reels?.video) {
      this.moved.framesAt = now;
      this.host.restart();
    }
  }

  private frames(): number {
    return this.earlier.frames + (this.picture.getVideoPlaybackQuality?.().totalVideoFrames ?? 0);
  }

  private dropped(): number {
    return this.earlier.dropped + (this.picture.getVideoPlaybackQuality?.().droppedVideoFrames ?? 0);
  }

  setSound(muted: boolean, volume: number): void {
    this.picture.muted = muted;
    this.picture.volume = volume;
    if (!muted && this.reels && !this.reels.audio && this.plays("audio")) this.host.restart();
    if (!muted) void this.listen();
    void this.output?.context.resume().catch(() => undefined);
    if (this.picture.paused) this.play();
  }

  /**
   * Chromium's own output takes sound a tenth of a second before it is heard, and stops where it is
   * not there. Web Audio's takes it as late as it can, and tells how loud it is. Only once it runs:
   * an element whose sound nobody fetches stands.
   */
  private async listen(): Promise<void> {
    if (this.output || !("captureStream" in this.picture)) return;
    let context: AudioContext;
    try {
      context = openOutput();
    } catch {
      return; // the element's own output remains
    }
    this.output = { context };
    await context.resume().catch(() => undefined);
    if (this.over || context.state !== "running") return;
    const node = new AnalyserNode(context, { fftSize: 1024 });
    context.createMediaElementSource(this.picture).connect(node).connect(context.destination);
    this.output.node = node;
    if (this.reels) this.target = this.least();
  }

  private level(): number {
    const node = this.output?.node;
    if (!node || this.picture.muted) return 0;
    const samples = new Float32Array(node.fftSize);
    node.getFloatTimeDomainData(samples);
    return Math.sqrt(samples.reduce((sum, x) => sum + x * x, 0) / samples.length);
  }

  measure(): EngineStats {
    const dropped = this.dropped();
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
    this.picture.removeEventListener("waiting", this.onWaiting);
    this.picture.removeEventListener("error", this.onError);
    this.output?.node?.disconnect();
    if (this.output) closeOutput(this.output.context);
    this.picture.removeAttribute("src");
    this.picture.load();
    URL.revokeObjectURL(this.address);
  }
}
