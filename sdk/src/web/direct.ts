// The way with the least delay: WebCodecs decodes, a canvas shows, sound is the clock.
import { videoConfig } from "./codec.js";
import type { Tag } from "./flv.js";
import { Pace } from "./pace.js";
import { Sound } from "./sound.js";
import type { Engine, EngineHost, EngineStats } from "./type.js";

const ahead = 120; // ms before it is due, a picture is decoded
const mostDecoded = 10; // a hardware decoder has few buffers
const mostEncoded = 600; // frames that wait for their sound
const behind = 300; // ms that decoding may be late, before it goes on with a keyframe that is there …
const farBehind = 1500; // … or that will come
const farOff = 3000; // ms between sound and picture that no lip sync bridges
const trials = 5; // decoders that break in a row

/** A picture that is decoded and not yet due. */
interface Ready {
  frame: VideoFrame;
  pts: number;
}

export class Direct implements Engine {
  readonly way = "webcodecs";
  readonly picture = document.createElement("canvas");
  private readonly context = this.picture.getContext("2d", { alpha: false })!;
  private readonly pace = new Pace();
  private decoder?: VideoDecoder;
  private header?: Tag;
  private needKey = true;
  private queue: Tag[] = []; // not yet decoded
  private ready: Ready[] = [];
  private sound?: Sound;
  private soundHeader?: Tag;
  private muted = true;
  private volume = 1;
  private waits: number[] = []; // ms that pictures come before their sound
  private readonly stats: EngineStats = { width: 0, height: 0, shown: 0, dropped: 0, level: 0, buffered: 0 };
  private newest = 0; // pts that came
  private broken = 0;
  private request = 0;
  private over = false;

  constructor(private readonly host: EngineHost) {
    this.loop();
  }

  begin(): void {
    this.forget();
    this.needKey = true;
    this.newest = 0;
    this.waits = [];
    this.pace.clear();
    this.sound?.clear();
  }

  push(_: Uint8Array, tags: Tag[]): void {
    for (const tag of tags) {
      if (tag.kind === "audio") this.hear(tag);
      else if (tag.kind === "video") this.see(tag);
    }
    this.advance();
  }

  private hear(tag: Tag): void {
    if (tag.header) this.soundHeader = tag;
    this.sound?.push(tag);
  }

  private see(tag: Tag): void {
    if (tag.header) return this.configure(tag);
    if (!this.header && tag.codec !== "vp09") return;
    if (document.hidden) {
      // Nobody sees it; the next keyframe will do.
      this.needKey = true;
      this.forget();
      return;
    }
    if (this.needKey && !tag.key) {
      this.stats.dropped++;
      return;
    }
    this.needKey = false;
    const now = performance.now();
    if (Math.abs(tag.pts - this.newest) > farOff && this.newest) {
      this.pace.clear();
      this.waits.length = 0;
    }
    this.newest = tag.pts;
    this.pace.arrived(tag.pts, now);
    this.judge(tag.pts, now);
    this.queue.push(tag);
    if (this.queue.length > mostEncoded) this.skip(true);
  }

  /** Where pictures come after their sound, sound has to wait. */
  private judge(pts: number, now: number): void {
    const heard = this.sound?.heardAt(now);
    if (heard === undefined) return;
    const wait = pts - heard;
    if (Math.abs(wait) > farOff) return;
    this.waits.push(wait);
    if (this.waits.length < 30) return;
    const low = this.waits.sort((a, b) => a - b)[6]!;
    this.waits = [];
    if (low < -10) this.sound!.await(-low);
    else if (low > 40) this.sound!.await(-Math.max(5, (low - 20) / 3));
  }

  /** Too much waits: on with the newest keyframe, or, if it must be, the next. */
  private skip(must: boolean): void {
    let at = this.queue.length - 1;
    while (at > 0 && !this.queue[at]!.key) at--;
    if (at <= 0) {
      if (!must) return;
      at = this.queue.length;
      this.needKey = true;
    }
    this.stats.dropped += at;
    this.queue.splice(0, at);
  }

  private configure(tag: Tag): void {
    let config: VideoDecoderConfig;
    try {
      config = videoConfig(tag.codec, tag.body);
    } catch {
      return this.host.fail("codec-video");
    }
    // What waits belongs to the old decoder.
    while (this.queue.length && this.decode(this.queue[0]!)) this.queue.shift();
    if (this.over) return;
    this.queue = [];
    this.header = tag;
    this.needKey = true;
    const old = this.decoder;
    // The last pictures of the old size are still shown.
    if (old?.state === "configured") void old.flush().then(() => old.state !== "closed" && old.close(), () => undefined);
    const decoder = (this.decoder = new VideoDecoder({
      output: (frame) => this.decoded(frame),
      error: () => {
        if (this.decoder !== decoder || this.over) return;
        if (++this.broken >= trials) this.host.fail("decode");
        else this.configure(tag);
      },
    }));
    try {
      decoder.configure(config);
    } catch {
      return this.host.fail("codec-video");
    }
    void VideoDecoder.isConfigSupported(config).then(
      ({ supported }) => supported || this.over || this.host.fail("codec-video"),
      () => undefined,
    );
  }

  /** What should be seen now, in the stream's time. */
  private due(now: number): number {
    const heard = this.sound?.heardAt(now);
    if (heard !== undefined && Math.abs(this.newest - heard) < farOff) return heard;
    return this.pace.seenAt(now);
  }

  /** Decodes what is due soon, and shows what is. */
  private advance(): void {
    if (this.over) return;
    const due = this.due(performance.now());
    const late = this.queue.length ? Math.min(due, this.newest) - this.queue[0]!.dts : 0;
    if (late > behind) this.skip(late > farBehind);
    while (this.queue.length && this.queue[0]!.dts <= due + ahead && this.ready.length + (this.decoder?.decodeQueueSize ?? 0) < mostDecoded) {
      const tag = this.queue.shift()!;
      if (!this.decode(tag)) this.stats.dropped++;
    }
    this.show(due);
  }

  private decode(tag: Tag): boolean {
    if (this.decoder?.state !== "configured") return false;
    try {
      this.decoder.decode(new EncodedVideoChunk({ type: tag.key ? "key" : "delta", timestamp: tag.pts * 1000, data: tag.body }));
      return true;
    } catch {
      this.needKey = true;
      // A keyframe that it does not take for one: open GOPs, intra refresh. Media Source does.
      if (tag.key && ++this.broken >= trials) this.host.fail("decode");
      return false;
    }
  }

  private decoded(frame: VideoFrame): void {
    this.broken = 0;
    if (this.over || document.hidden) return frame.close();
    this.ready.push({ frame, pts: frame.timestamp / 1000 });
    this.advance();
  }

  /** Draws the newest that is due; older ones were not in time. */
  private show(due: number): void {
    let pick: Ready | undefined;
    // Half a frame early is nearer to the truth than half a frame late.
    while (this.ready.length && this.ready[0]!.pts <= due + 8) {
      if (pick) {
        pick.frame.close();
        this.stats.dropped++;
      }
      pick = this.ready.shift();
    }
    if (!pick) return;
    const { frame, pts } = pick;
    if (this.picture.width !== frame.displayWidth || this.picture.height !== frame.displayHeight) {
      this.stats.width = this.picture.width = frame.displayWidth;
      this.stats.height = this.picture.height = frame.displayHeight;
    }
    this.context.drawImage(frame, 0, 0, this.picture.width, this.picture.height);
    frame.close();
    this.stats.shown++;
    const now = performance.now();
    this.stats.seen = { pts, at: now };
    const heard = this.sound?.heardAt(now);
    this.stats.lipSync = heard === undefined ? undefined : heard - pts;
  }

  private loop(): void {
    this.request = requestAnimationFrame(() => {
      this.advance();
      this.loop();
    });
  }

  private forget(): void {
    for (const { frame } of this.ready.splice(0)) frame.close();
    this.queue = [];
  }

  setSound(muted: boolean, volume: number): void {
    this.volume = volume;
    if (muted !== this.muted) {
      this.muted = muted;
      if (muted) {
        this.sound?.destroy();
        this.sound = undefined;
      } else {
        this.speak();
      }
    }
    if (this.sound) {
      this.sound.volume = volume;
      this.sound.resume();
    }
  }

  /** Opens the output for sound. */
  private speak(): void {
    const old = this.sound;
    this.sound = undefined;
    try {
      this.sound = new Sound(
        () => this.host.fail("codec-audio"),
        () => this.speak(),
      );
    } catch {
      this.host.fail("codec-audio"); // the page has as many outputs as the browser gives it, or none
    }
    old?.destroy();
    if (!this.sound) return;
    this.sound.volume = this.volume;
    if (this.soundHeader) this.sound.push(this.soundHeader);
  }

  tick(): void {
    if (this.sound) this.sound.volume = this.volume;
    this.advance();
  }

  measure(): EngineStats {
    const first = this.ready[0]?.pts ?? this.queue[0]?.pts ?? this.newest;
    return { ...this.stats, level: this.sound?.level ?? 0, buffered: this.sound?.store ?? Math.max(0, this.newest - first) };
  }

  destroy(): void {
    this.over = true;
    cancelAnimationFrame(this.request);
    this.forget();
    if (this.decoder && this.decoder.state !== "closed") this.decoder.close();
    this.sound?.destroy();
  }
}
