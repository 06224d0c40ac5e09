// From pieces of sound of any length, with their times, to whole AAC frames without holes.
import { AacEncoder, frameSamples } from "./aac.js";

/** A difference between the samples counted and the clock that is mended, ms. */
const tolerance = 40;
/**
 * A hole that is filled with silence; after a longer one (the machine slept) the count begins anew.
 */
const longestHole = 1000;

/** What is told of the sound. */
export interface SoundHandler {
  config(config: Uint8Array, rate: number, channels: number): void;
  frame(frame: Uint8Array, time: number): void;
  failed(error: unknown): void;
}

export class SoundEncoder {
  /** Loudness (root mean square, 0 to 1) of what came last. */
  level = 0;
  private encoder?: AacEncoder;
  private frame = new Float32Array(0);
  private filled = 0; // samples of each channel
  private begin = 0; // when the count began
  private count = -1; // samples of each channel since; -1: nothing yet
  private broken = false;

  constructor(private readonly handler: SoundHandler) {}

  /** Takes a piece, interleaved, that begins at a time (ms). */
  push(data: Float32Array, rate: number, channels: number, time: number): void {
    if (this.broken) return;
    if (!this.encoder || this.encoder.rate !== rate || this.encoder.channels !== channels) this.open(rate, channels);
    this.measure(data);
    if (this.count < 0) this.restart(time);
    const off = time - (this.begin + (this.count / rate) * 1000);
    if (off > longestHole || off < -longestHole) this.restart(time);
    else if (off > tolerance) this.take(new Float32Array(Math.round((off / 1000) * rate) * channels));
    else if (off < -tolerance) {
      const surplus = Math.round((-off / 1000) * rate) * channels;
      if (surplus >= data.length) return;
      data = data.subarray(surplus);
    }
    this.take(data);
  }

  close(): void {
    this.encoder?.close();
    this.encoder = undefined;
  }

  private open(rate: number, channels: number): void {
    this.encoder?.close();
    this.encoder = new AacEncoder(
      rate,
      channels,
      channels > 1 ? 96000 : 64000,
      (frame, time) => this.handler.frame(frame, time),
      (config) => this.handler.config(config, rate, channels),
      (error) => {
        this.broken = true;
        this.handler.failed(error);
      },
    );
    this.frame = new Float32Array(frameSamples * channels);
    this.count = -1;
  }

  private restart(time: number): void {
    this.begin = time;
    this.count = this.filled = 0;
  }

  private take(data: Float32Array): void {
    const { rate, channels } = this.encoder!;
    for (let at = 0; at < data.length; ) {
      const n = Math.min(frameSamples - this.filled, (data.length - at) / channels);
      this.frame.set(data.subarray(at, at + n * channels), this.filled * channels);
      at += n * channels;
      this.filled += n;
      this.count += n;
      if (this.filled < frameSamples) continue;
      this.encoder!.encode(this.frame, this.begin + ((this.count - frameSamples) / rate) * 1000);
      this.frame = new Float32Array(frameSamples * channels);
      this.filled = 0;
    }
  }

  private measure(data: Float32Array): void {
    let sum = 0;
    for (let i = 0; i < data.length; i++) sum += data[i]! * data[i]!;
    const now = Math.sqrt(sum / Math.max(1, data.length));
    this.level = Math.max(now, this.level * 0.85);
  }
}
