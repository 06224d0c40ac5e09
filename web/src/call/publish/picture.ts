// From frames of any source to H.264 with a keyframe each second.
import type { PictureFormat } from "./protocol.js";

const keyInterval = 1000; // ms
/** More frames inside the encoder than this, and it cannot keep up. */
const mostInside = 3;
/** An encoder that breaks is made anew so often in a row. */
const trials = 3;

/** What is told of the picture. */
export interface PictureHandler {
  /** AVCDecoderConfigurationRecord, before the first picture that needs it. */
  config(record: Uint8Array, width: number, height: number): void;
  frame(data: Uint8Array, key: boolean, time: number): void;
  failed(error: unknown): void;
}

export class PictureEncoder {
  width = 0;
  height = 0;
  dropped = 0;
  private encoder?: VideoEncoder;
  private source = "";
  private record?: Uint8Array;
  private keyAt = -Infinity;
  private lastTime = -Infinity;
  private broken = 0;

  constructor(private format: PictureFormat, private readonly handler: PictureHandler) {}

  /** Another size, rate or bitrate. */
  set(format: PictureFormat): void {
    const same = format.width === this.format.width && format.height === this.format.height;
    this.format = format;
    if (!same) {
      this.source = "";
      if (this.broken < Infinity) this.broken = 0; // the encoder may have this size
    } else if (this.encoder) this.configure();
  }

  /** The next picture is a keyframe. */
  wantKey(): void {
    this.keyAt = -Infinity;
  }

  /** The record is told again: another connection knows nothing. */
  repeat(): void {
    if (this.record) this.handler.config(this.record, this.width, this.height);
    this.wantKey();
  }

  /** Takes a picture of a time (ms), and closes it. */
  push(frame: VideoFrame, time: number): void {
    try {
      this.encode(frame, time);
    } catch (error) {
      this.breaks(error);
    } finally {
      frame.close();
    }
  }

  /** A picture that is not sent. */
  drop(frame: VideoFrame): void {
    this.dropped++;
    frame.close();
  }

  close(): void {
    if (this.encoder && this.encoder.state !== "closed") this.encoder.close();
    this.encoder = undefined;
    this.broken = Infinity;
  }

  private encode(frame: VideoFrame, time: number): void {
    if (this.broken > trials) return;
    // A camera faster than what was chosen: a little less than the distance, for it is not even.
    if (time - this.lastTime < 750 / this.format.fps) return;
    if (this.encoder && this.encoder.encodeQueueSize > mostInside) {
      this.dropped++;
      return;
    }
    const source = `${frame.displayWidth}x${frame.displayHeight}`;
    if (source !== this.source || !this.encoder) {
      this.source = source;
      const size = fit(frame.displayWidth, frame.displayHeight, this.format);
      const resized = size.width !== this.width || size.height !== this.height;
      ({ width: this.width, height: this.height } = size);
      if (resized || !this.encoder) this.configure();
      this.wantKey();
    }
    const keyFrame = time - this.keyAt >= keyInterval - 5;
    if (keyFrame) this.keyAt = time;
    this.lastTime = time;
    const stamped = new VideoFrame(frame, { timestamp: Math.round(time * 1000) });
    this.encoder!.encode(stamped, { keyFrame });
    stamped.close();
  }

  private configure(): void {
    if (!this.encoder) {
      const encoder: VideoEncoder = new VideoEncoder({
        output: (chunk, meta) => encoder === this.encoder && this.output(chunk, meta),
        error: (error) => encoder === this.encoder && this.breaks(error),
      });
      this.encoder = encoder;
    }
    this.encoder.configure(encoderConfig(this.width, this.height, this.format));
  }

  private output(chunk: EncodedVideoChunk, meta?: EncodedVideoChunkMetadata): void {
    this.broken = 0;
    const description = meta?.decoderConfig?.description;
    if (description) {
      const record = ArrayBuffer.isView(description) ? new Uint8Array(description.buffer as ArrayBuffer, description.byteOffset, description.byteLength).slice() : new Uint8Array(description as ArrayBuffer).slice();
      const known = this.record;
      if (!known || known.length !== record.length || known.some((byte, i) => byte !== record[i])) {
        this.record = record;
        this.handler.config(record, this.width, this.height);
      }
    }
    const data = new Uint8Array(chunk.byteLength);
    chunk.copyTo(data);
    this.handler.frame(data, chunk.type === "key", chunk.timestamp / 1000);
  }

  private breaks(error: unknown): void {
    if (this.encoder && this.encoder.state !== "closed") this.encoder.close();
    this.encoder = undefined;
    this.source = "";
    if (++this.broken > trials) this.handler.failed(error);
  }
}

/** The configuration that is asked of the browser; phones' players have Baseline. */
export function encoderConfig(width: number, height: number, format: PictureFormat): VideoEncoderConfig {
  const blocks = Math.ceil(width / 16) * Math.ceil(height / 16) * format.fps;
  // H.264 Table A-1: level 3.1 is 720p at 30/s, 4.0 is 1080p at 30/s.
  const level = blocks <= 108000 ? "1f" : blocks <= 245760 ? "28" : "34";
  return {
    codec: `avc1.42e0${level}`,
    width,
    height,
    framerate: format.fps,
    bitrate: format.kbps * 1000,
    bitrateMode: "constant",
    latencyMode: "realtime",
    avc: { format: "avc" },
  };
}

/**
 * The largest size of the source's form within what was chosen, either way up. Encoders want even
 * numbers.
 */
export function fit(width: number, height: number, wanted: { width: number; height: number }): { width: number; height: number } {
  const upright = height > width;
  const [w, h] = upright ? [Math.min(wanted.width, wanted.height), Math.max(wanted.width, wanted.height)] : [wanted.width, wanted.height];
  const scale = Math.min(1, w / width, h / height);
  const even = (n: number): number => Math.max(16, Math.round((n * scale) / 2) * 2);
  return { width: even(width), height: even(height) };
}
