// Decodes sound and plays it through an AudioWorklet, which is the clock that pictures follow.
import { audioConfig } from "./codec.js";
import type { Tag } from "./flv.js";

interface Report {
  pts?: number;
  time: number;
  store: number;
  level: number;
  underruns: number;
  skipped: number;
}

const least = 32; // ms in store, on average: encoders give two AAC frames at once, 43 ms
const most = 500;
const step = 20; // more, after it ran out
const calm = 4000; // ms without that, before it becomes less again
const fresh = 400; // ms that a report is good for

export class Sound {
  level = 0;
  /** Media in store, ms. */
  store = 0;
  private readonly context = new AudioContext({ latencyHint: "interactive" });
  private readonly gain = new GainNode(this.context);
  private node?: AudioWorkletNode;
  private decoder?: AudioDecoder;
  private config?: AudioDecoderConfig;
  private report?: Report;
  private reported = 0;
  private target = 45;
  private lateness = 0; // of pictures, ms; what sound has to wait for them
  private underruns = 0;
  private changed = performance.now();
  private waiting: Tag[] = [];

  /** Begins; must be called while the user does something, or stays silent until then. */
  constructor(private readonly onFail: () => void) {
    this.gain.connect(this.context.destination);
    this.context.audioWorklet.addModule(new URL("./worklet.js", import.meta.url).href).then(
      () => this.join(),
      () => this.onFail(),
    );
    void this.context.resume().catch(() => undefined);
  }

  /** The browser lets it sound. */
  get running(): boolean {
    return this.context.state === "running";
  }

  set volume(volume: number) {
    this.gain.gain.value = volume;
  }

  resume(): void {
    if (this.context.state !== "running") void this.context.resume().catch(() => undefined);
  }

  private join(): void {
    if (this.context.state === "closed") return;
    const node = (this.node = new AudioWorkletNode(this.context, "liverelay-player", { numberOfInputs: 0, outputChannelCount: [2] }));
    node.port.onmessage = ({ data }: MessageEvent<Report>) => this.heard(data);
    node.connect(this.gain);
    for (const tag of this.waiting.splice(0)) this.push(tag);
  }

  push(tag: Tag): void {
    if (!this.node) {
      // The module comes in a moment; what is older than that is not missed.
      this.waiting.push(tag);
      if (this.waiting.length > 30) this.waiting.splice(this.waiting[0]!.header ? 1 : 0, 1);
      return;
    }
    if (tag.header) return this.configure(tag);
    if (!this.config && tag.codec === "Opus") this.configure({ ...tag, body: new Uint8Array(0) });
    if (!this.decoder || this.decoder.state !== "configured" || !this.running) return;
    this.decoder.decode(new EncodedAudioChunk({ type: "key", timestamp: tag.pts * 1000, data: tag.body }));
  }

  private configure(tag: Tag): void {
    this.close();
    try {
      this.config = audioConfig(tag.codec, tag.body);
      const decoder = new AudioDecoder({
        output: (data) => this.play(data),
        error: () => {
          // Over for this decoder; the next goes on with the next frame.
          if (this.decoder === decoder) this.configure(tag);
        },
      });
      decoder.configure(this.config);
      this.decoder = decoder;
    } catch {
      this.onFail();
    }
  }

  private play(data: AudioData): void {
    const channels: Float32Array[] = [];
    for (let planeIndex = 0; planeIndex < Math.min(2, data.numberOfChannels); planeIndex++) {
      const channel = new Float32Array(data.numberOfFrames);
      data.copyTo(channel, { planeIndex, format: "f32-planar" });
      channels.push(channel);
    }
    const block = { pts: data.timestamp / 1000, rate: data.sampleRate, channels };
    data.close();
    this.node?.port.postMessage(block, channels.map((c) => c.buffer));
  }

  private heard(report: Report): void {
    const now = performance.now();
    this.report = report;
    this.reported = now;
    this.store = report.store;
    // A meter that falls slowly: pages look once a second, and would miss a short sound each time.
    this.level = Math.max(report.level, this.level * 0.85);
    if (report.underruns > this.underruns) {
      this.underruns = report.underruns;
      this.aim(this.target + step, now);
    } else if (now - this.changed > calm) this.aim(this.target - Math.max(4, (this.target - least) * 0.15), now);
  }

  private aim(target: number, now: number): void {
    this.changed = now;
    this.target = Math.max(least, Math.min(most, target));
    this.node?.port.postMessage({ target: this.target + this.lateness });
  }

  /** What is heard now, in the stream's time; undefined while nothing is. */
  heardAt(now: number): number | undefined {
    const r = this.report;
    if (!r || r.pts === undefined || now - this.reported > fresh || !this.running) return undefined;
    const latency = this.context.outputLatency || this.context.baseLatency || 0;
    return r.pts + (this.context.currentTime - r.time - latency) * 1000;
  }

  /**
   * Pictures come so late after the sound that belongs to them: it waits for them, up to half a
   * second.
   */
  await(late: number): void {
    const lateness = Math.max(0, Math.min(most, this.lateness + late));
    if (Math.abs(lateness - this.lateness) < 3) return;
    this.lateness = lateness;
    this.node?.port.postMessage({ target: this.target + lateness });
  }

  /** Forgets what is in store: the stream has jumped. */
  clear(): void {
    this.report = undefined;
    this.node?.port.postMessage({ clear: true });
  }

  private close(): void {
    if (this.decoder && this.decoder.state !== "closed") this.decoder.close();
    this.decoder = undefined;
  }

  destroy(): void {
    this.close();
    this.node?.disconnect();
    void this.context.close().catch(() => undefined);
  }
}
