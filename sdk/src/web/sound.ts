// Decodes sound and plays it through an AudioWorklet, which is the clock that pictures follow.
import { audioConfig } from "./codec.js";
import type { Tag } from "./flv.js";
import { closeOutput, openOutput, strained } from "./output.js";

interface Report {
  pts?: number;
  time: number;
  store: number;
  /** The least in store since the last report. */
  lowest: number;
  level: number;
  underruns: number;
  skipped: number;
}

const least = 12; // ms in store, on average
const most = 500;
// Milliseconds that are always in store: what comes unevenly is learnt, so that no more than this lies idle
const spare = 10;
const step = 20; // more, after it ran out
const calm = 3000; // ms without that, before it becomes less again
const fresh = 400; // ms that a report is good for
const strain = 250; // ms that the output has fallen behind the clock …
const soon = 10000; // … within so long: its buffers are too small for this machine

export class Sound {
  level = 0;
  /** Media in store, ms. */
  store = 0;
  private readonly context = openOutput();
  private readonly gain = new GainNode(this.context);
  private over = false;
  private node?: AudioWorkletNode;
  private decoder?: AudioDecoder;
  private config?: AudioDecoderConfig;
  private report?: Report;
  private reported = 0;
  private target = 45;
  private lateness = 0; // of pictures, ms; what sound has to wait for them
  private underruns = 0;
  private lowest = Infinity; // in store, since the target changed
  private changed = performance.now();
  private waiting: Tag[] = [];
  private behind?: { from: number; least: number }; // clock less output, ms: since when, and then

  /**
   * Begins; must be called while the user does something, or stays silent until then.
   *
   * @param onStrain There are holes in what is heard; another Sound has a steadier output
   */
  constructor(private readonly onFail: () => void, private readonly onStrain: () => void) {
    this.gain.connect(this.context.destination);
    this.context.audioWorklet.addModule(new URL("./worklet.js", import.meta.url).href).then(
      () => this.join(),
      () => this.over || this.onFail(),
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
    if (this.over) return;
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
    this.judge(now - this.context.currentTime * 1000, now);
    this.report = report;
    this.reported = now;
    this.store = report.store;
    // A meter that falls slowly: pages look once a second, and would miss a short sound each time.
    this.level = Math.max(report.level, this.level * 0.85);
    this.lowest = Math.min(this.lowest, report.lowest);
    const idle = this.lowest - this.lateness - spare;
    if (report.underruns > this.underruns) {
      this.underruns = report.underruns;
      this.aim(this.target + step, now);
    } else if (now - this.changed > calm && idle < Infinity) this.aim(this.target - Math.min(idle, Math.max(4, idle / 2)), now);
  }

  /** An output whose buffers run dry falls behind the clock. */
  private judge(behind: number, now: number): void {
    if (!this.running || document.hidden) this.behind = undefined;
    else if (!this.behind || now - this.behind.from > soon) this.behind = { from: now, least: behind };
    else if (behind - this.behind.least > strain) {
      this.behind = undefined;
      if (strained(this.context)) this.onStrain();
    } else this.behind.least = Math.min(this.behind.least, behind);
  }

  private aim(target: number, now: number): void {
    this.changed = now;
    this.lowest = Infinity;
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
    this.over = true;
    this.close();
    this.node?.port.postMessage({ end: true });
    this.node?.disconnect();
    this.gain.disconnect();
    closeOutput(this.context);
  }
}
