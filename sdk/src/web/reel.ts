// One track on its way into a video element: FLV's frames become MP4's, each as soon as it has
// come.
import { audioConfig, videoConfig } from "./codec.js";
import type { Tag } from "./flv.js";
import { mp4Fragment, mp4Head } from "./mp4.js";
import { pictureSize } from "./size.js";

const pictureScale = 1000;
/**
 * How long a picture lasts (ms) is known when the next one comes, and nobody waits for that.
 * Browsers throw away what comes later than after twice the time that was announced, up to the next
 * keyframe.
 */
const pictureLasts = 1000;
const tolerance = 0.03; // s that sound may be off its place, before that is mended
// Seconds of sound that are filled with silence; over a longer one the player jumps
const longestHole = 2;
const mostWaiting = 600;
const keep = 20; // s of media behind the picture: then all but …
const keepLeast = 10;

export class Reel {
  /** Where its media end, s on the element's clock; 0 before the first frame. */
  end = 0;
  readonly kind: "audio" | "video";
  private readonly buffer: SourceBuffer;
  private waiting: Uint8Array<ArrayBuffer>[] = [];
  private header: Tag;
  private mime: string;
  private rate = pictureScale;
  private frameLength = 1024; // of AAC, in samples
  private silence?: Uint8Array; // a frame of it
  private sequence = 0;
  private last = -1; // dts, in units
  private spacing = 33;
  private newest?: Uint8Array;

  /**
   * Throws where the browser lacks the codec, or the header is damaged.
   *
   * @param zero Where the element's clock begins, in the stream's time (ms)
   */
  constructor(private readonly source: MediaSource, header: Tag, private readonly zero: number, private readonly onBroken: () => void) {
    this.kind = header.kind as "audio" | "video";
    this.header = header;
    this.mime = mimeOf(header);
    this.buffer = source.addSourceBuffer(this.mime);
    this.buffer.addEventListener("updateend", this.flush);
    this.waiting.push(this.head()); // goes when all tracks are there: later, there may be none
  }

  /** Another header: the next frame is of another form. The same once more changes nothing. */
  configure(header: Tag): void {
    if (header.codec === this.header.codec && same(header.body, this.header.body)) return;
    this.header = header;
    const mime = mimeOf(header);
    if (mime !== this.mime) {
      this.mime = mime;
      // It would have to wait for what is being appended.
      if (!this.buffer.changeType || this.buffer.updating || this.waiting.length) return this.onBroken();
      this.buffer.changeType(mime);
    }
    this.append(this.head());
  }

  private head(): Uint8Array<ArrayBuffer> {
    const { codec, body } = this.header;
    if (this.kind === "video") {
      const size = pictureSize(codec, body) ?? { width: 1280, height: 720 };
      return mp4Head({ kind: "video", codec, header: body, timescale: pictureScale, ...size });
    }
    const { sampleRate, numberOfChannels } = audioConfig(codec, body);
    if (this.end) this.last = Math.round(this.end * sampleRate);
    this.rate = sampleRate;
    this.frameLength = body[1]! & 4 ? 960 : 1024; // ISO 14496-3, 4.4.1
    this.silence = codec === "Opus" ? opusSilence : body[0]! >> 3 === 2 ? aacSilence[numberOfChannels] : undefined;
    return mp4Head({ kind: "audio", codec, header: body, timescale: sampleRate, channels: numberOfChannels });
  }

  push(tag: Tag): void {
    if (this.kind === "video") this.see(tag);
    else this.hear(tag);
  }

  private see(tag: Tag): void {
    const at = tag.dts - this.zero;
    // The relay repeats a picture for players that lose some when the form changes
    // (docs/players.md).
    if (at < 0 || (at <= this.last && same(tag.body, this.newest))) return;
    this.newest = tag.body;
    // Two pictures of one time are one too many for browsers.
    const dts = Math.max(at, this.last + 1);
    if (this.last >= 0) this.spacing = Math.min(pictureLasts, dts - this.last);
    this.last = dts;
    const pts = tag.pts - this.zero;
    this.write(dts, pts - dts, pictureLasts, tag.key, tag.body);
    this.end = (pts + this.spacing) / pictureScale;
  }

  /** Sound has its place by counting samples: FLV's milliseconds would click. */
  private hear(tag: Tag): void {
    const at = Math.round(((tag.dts - this.zero) * this.rate) / 1000);
    if (at < 0) return;
    if (this.last < 0) this.last = at;
    const off = (at - this.last) / this.rate;
    if (off < -tolerance) return; // it is there already
    if (off > longestHole) this.last = at;
    else if (off > tolerance) this.fill(at);
    this.sound(tag.body);
  }

  private fill(upTo: number): void {
    if (!this.silence) {
      this.last = upTo;
      return;
    }
    while (this.last + this.samples(this.silence) <= upTo) this.sound(this.silence);
  }

  private sound(data: Uint8Array): void {
    const samples = this.samples(data);
    this.write(this.last, 0, samples, true, data);
    this.last += samples;
    this.end = this.last / this.rate;
  }

  private samples(data: Uint8Array): number {
    return this.header.codec === "Opus" ? opusLength(data) * 48 : this.frameLength;
  }

  private write(dts: number, offset: number, duration: number, key: boolean, data: Uint8Array): void {
    this.append(mp4Fragment(++this.sequence, { dts, offset, duration, key, data }));
  }

  private append(bytes: Uint8Array<ArrayBuffer>): void {
    this.waiting.push(bytes);
    if (this.waiting.length > mostWaiting) this.onBroken();
    else this.flush();
  }

  private readonly flush = (): void => {
    if (!this.waiting.length || this.buffer.updating || this.source.readyState !== "open") return;
    const [first, ...more] = this.waiting;
    let bytes = first!;
    if (more.length) {
      bytes = new Uint8Array(this.waiting.reduce((sum, part) => sum + part.length, 0));
      let at = 0;
      for (const part of this.waiting) {
        bytes.set(part, at);
        at += part.length;
      }
    }
    this.waiting = [];
    try {
      this.buffer.appendBuffer(bytes);
    } catch {
      this.onBroken(); // full in spite of clean(), or taken away
    }
  };

  /** Throws away what was seen long ago. */
  clean(currentTime: number): void {
    const { buffered, updating } = this.buffer;
    if (updating || this.source.readyState !== "open" || !buffered.length) return;
    if (currentTime - buffered.start(0) > keep) this.buffer.remove(0, currentTime - keepLeast);
  }
}

function same(a: Uint8Array, b?: Uint8Array): boolean {
  return a.length === b?.length && a.every((byte, i) => byte === b[i]);
}

/** How a browser is asked for a track. Throws an Error where the header is damaged. */
export function mimeOf(header: Tag): string {
  const video = header.kind === "video";
  const { codec } = video ? videoConfig(header.codec, header.body) : audioConfig(header.codec, header.body);
  return `${header.kind}/mp4; codecs="${codec}"`;
}

/**
 * A frame of silence for one and two channels: ISO 14496-3, 4.4.2, elements whose bands are all
 * zero.
 */
const aacSilence: Record<number, Uint8Array> = {
  1: Uint8Array.of(0x00, 0xc8, 0x00, 0x80, 0x23, 0x80),
  2: Uint8Array.of(0x21, 0x00, 0x49, 0x90, 0x02, 0x19, 0x00, 0x23, 0x80),
};
const opusSilence = Uint8Array.of(0xf8, 0xff, 0xfe); // 20 ms

/** How long a packet lasts, ms: RFC 6716, 3.1. */
function opusLength(packet: Uint8Array): number {
  const config = packet[0]! >> 3;
  const frame = config < 12 ? [10, 20, 40, 60][config & 3]! : config < 16 ? [10, 20][config & 1]! : [2.5, 5, 10, 20][config & 3]!;
  const count = [1, 2, 2, (packet[1] ?? 1) & 63][packet[0]! & 3]!;
  return frame * Math.max(1, count);
}
