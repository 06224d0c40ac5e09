// AAC by WebAssembly: no browser on desktop Linux and no Firefox has an encoder.
import { registerAacEncoder } from "@mediabunny/aac-encoder";
import { type CustomAudioEncoder, registered } from "./mediabunny.js";

/** Samples of an AAC frame; the first frame is priming, so all of them are so much late. */
export const frameSamples = 1024;
/** A policy that forbids WebAssembly makes the encoder's start never end. */
const patience = 15000;
/** Frames that wait to be encoded; more are left out. */
const mostWaiting = 50;

/** One encoder, of one rate and number of channels. Frames come out in the order they go in. */
export class AacEncoder {
  private readonly encoder: CustomAudioEncoder;
  private readonly waiting: Float32Array[] = [];
  private readonly times: number[] = [];
  private busy = false;
  private ready = false;
  private closed = false;
  private samples = 0;

  /** @param onFrame Called with each frame and when it begins (ms); `config` once before the first. */
  constructor(
    readonly rate: number,
    readonly channels: number,
    bitrate: number,
    private readonly onFrame: (frame: Uint8Array, time: number) => void,
    private readonly onConfig: (config: Uint8Array) => void,
    private readonly onError: (error: unknown) => void,
  ) {
    registerAacEncoder();
    this.encoder = new registered.encoder!();
    this.encoder.codec = "aac";
    this.encoder.config = { codec: "mp4a.40.2", sampleRate: rate, numberOfChannels: channels, bitrate };
    this.encoder.onPacket = (packet, meta) => {
      const description = meta?.decoderConfig?.description;
      if (description) this.onConfig(bytes(description));
      const time = this.times.shift();
      if (time !== undefined && !this.closed) this.onFrame(packet.data, time - (frameSamples / rate) * 1000);
    };
    void this.start();
  }

  /** Takes 1024 samples of each channel, interleaved, that begin at a time (ms). */
  encode(frame: Float32Array, time: number): void {
    // What comes while it starts is too old by the time it has started.
    if (!this.ready || this.closed || this.waiting.length >= mostWaiting) return;
    this.waiting.push(frame);
    this.times.push(time);
    void this.pump();
  }

  close(): void {
    this.closed = true;
    this.waiting.length = 0;
    if (this.ready) this.encoder.close();
  }

  private async start(): Promise<void> {
    const late = setTimeout(() => this.fail(new Error("the AAC encoder does not start")), patience);
    try {
      await this.encoder.init();
      if (this.closed) this.encoder.close();
      else this.ready = true;
    } catch (error) {
      this.fail(error);
    }
    clearTimeout(late);
  }

  /** One after the other: the encoder counts, and two at a time would be counted wrong. */
  private async pump(): Promise<void> {
    if (this.busy) return;
    this.busy = true;
    try {
      for (let frame; (frame = this.waiting.shift()) && !this.closed; ) {
        const data = new Uint8Array(frame.buffer, frame.byteOffset, frame.byteLength);
        await this.encoder.encode({ timestamp: this.samples / this.rate, numberOfFrames: frameSamples, allocationSize: () => data.length, copyTo: (to) => to.set(data) });
        this.samples += frameSamples;
      }
    } catch (error) {
      this.fail(error);
    }
    this.busy = false;
  }

  private fail(error: unknown): void {
    if (this.closed) return;
    this.close();
    this.onError(error);
  }
}

function bytes(source: AllowSharedBufferSource): Uint8Array {
  return ArrayBuffer.isView(source) ? new Uint8Array(source.buffer as ArrayBuffer, source.byteOffset, source.byteLength).slice() : new Uint8Array(source as ArrayBuffer).slice();
}
