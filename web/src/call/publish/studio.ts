// The user's own camera and microphone, and the worker that publishes them.
import { cannotPublish, openDevices, type Problem } from "./device.js";
import type { Order, PictureFormat, PublishStats, Report } from "./protocol.js";

export type Part = "picture" | "sound";

/** What was chosen: a device's id, "" for the browser's choice, or what needs no device. */
export type Choice = string;
export const testCard: Choice = "card";

/** What one of the two is now. */
export interface PartState {
  choice: Choice;
  /** The user's switch. */
  on: boolean;
  /** Where it comes from: a device, the card or tone of the worker, or nothing yet. */
  source: "none" | "device" | "made";
  /** Why it is not the device. */
  problem?: Problem;
}

/** The sizes that can be chosen, with the bitrate that goes with each (kbit/s). */
export const sizes = [
  { name: "180p", width: 320, height: 180, kbps: 250 },
  { name: "360p", width: 640, height: 360, kbps: 800 },
  { name: "540p", width: 960, height: 540, kbps: 1400 },
  { name: "720p", width: 1280, height: 720, kbps: 2200 },
  { name: "1080p", width: 1920, height: 1080, kbps: 4000 },
];
export const bitrates = [150, 250, 500, 800, 1400, 2200, 4000];

const fps = 30;

export interface StudioHandler {
  changed(): void;
  report(report: Report): void;
}

export class Studio {
  readonly picture: PartState = { choice: "", on: true, source: "none" };
  readonly sound: PartState = { choice: "", on: true, source: "none" };
  /** What this browser cannot do; nothing can be published then. */
  unable?: Problem;
  format: PictureFormat = { width: 640, height: 360, fps, kbps: 800 };
  devices: { cameras: MediaDeviceInfo[]; microphones: MediaDeviceInfo[] } = { cameras: [], microphones: [] };
  /** The camera's own picture, for the preview; undefined while the worker draws. */
  camera?: MediaStream;
  stats?: PublishStats;
  private worker?: Worker;
  private tracks: Partial<Record<Part, MediaStreamTrack>> = {};
  private turn: Record<Part, number> = { picture: 0, sound: 0 };
  private label = "";
  private opened = false;

  constructor(private readonly handler: StudioHandler) {
    navigator.mediaDevices?.addEventListener("devicechange", this.list);
  }

  /** Opens what was chosen; what cannot be had is replaced, and `problem` says why. */
  async open(label: string): Promise<void> {
    this.label = label;
    if (this.opened) return;
    this.opened = true;
    this.unable = await cannotPublish(this.format);
    if (this.unable === "h264" && !(await cannotPublish({ ...this.format, ...sizes[0] }))) {
      this.unable = undefined;
      this.format = { ...this.format, ...sizes[0] };
    }
    if (!this.unable) {
      this.start();
      await this.take("picture", "sound");
    }
    this.handler.changed();
  }

  get ready(): boolean {
    return this.opened;
  }

  /** Another device, or the card. */
  async choose(part: Part, choice: Choice): Promise<void> {
    this[part].choice = choice;
    this[part].problem = undefined;
    if (this.opened && !this.unable) await this.take(part);
    this.handler.changed();
  }

  /**
   * On or off. A camera that is off is closed, so that its light goes out; a microphone is only
   * muted.
   */
  async turnTo(part: Part, on: boolean): Promise<void> {
    this[part].on = on;
    const track = this.tracks[part];
    if (!this.opened || this.unable) return this.handler.changed();
    if (part === "sound" && track) track.enabled = on;
    else await this.take(part);
    this.handler.changed();
  }

  /** Size and bitrate. */
  async set(format: Partial<PictureFormat>): Promise<void> {
    const resized = format.width !== undefined && format.width !== this.format.width;
    this.format = { ...this.format, ...format };
    if (resized && this.picture.problem === "size") this.picture.problem = undefined;
    this.order({ type: "format", format: this.format });
    if (resized && this.picture.source === "device") await this.take("picture");
    this.handler.changed();
  }

  /** The name on the card. */
  name(label: string): void {
    this.label = label;
    this.order({ type: "language", label });
  }

  /** A canvas of the page on which the worker draws what it makes. */
  preview(canvas: HTMLCanvasElement): void {
    const offscreen = canvas.transferControlToOffscreen();
    this.order({ type: "preview", canvas: offscreen }, [offscreen]);
  }

  /**
   * Publishes to an address; again with a fresh one. `offset`: the server's time less this
   * machine's.
   */
  connect(url: string, offset: number): void {
    this.order({ type: "clock", offset });
    this.order({ type: "connect", url });
  }

  /** Ends the publish; camera and microphone stay open. */
  disconnect(): void {
    this.order({ type: "disconnect" });
    this.stats = undefined;
  }

  /** Ends everything; devices are free again. */
  close(): void {
    navigator.mediaDevices?.removeEventListener("devicechange", this.list);
    this.order({ type: "stop" });
    this.worker = undefined;
    for (const part of ["picture", "sound"] as const) this.release(part);
    this.camera = undefined;
  }

  private start(): void {
    this.worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module", name: "publish" });
    this.worker.onmessage = ({ data }: MessageEvent<Report>) => this.report(data);
    this.worker.onerror = () => {
      this.unable = "worker";
      this.handler.changed();
    };
    this.order({ type: "format", format: this.format });
  }

  private report(report: Report): void {
    if (report.type === "stats") this.stats = report.stats;
    if (report.type === "ended") this.lost(report.part, report.why);
    if (report.type === "failed" && report.part === "sound") this.sound.problem = "aac";
    if (report.type === "failed" && report.part === "picture") this.picture.problem = "size";
    this.handler.report(report);
    this.handler.changed();
  }

  /** Opens devices, or has the worker make what stands in for them. */
  private async take(...parts: Part[]): Promise<void> {
    const turns = { ...this.turn };
    for (const part of parts) {
      this.release(part);
      turns[part] = ++this.turn[part];
    }
    const wanted = parts.filter((part) => this[part].choice !== testCard && (this[part].on || part === "sound"));
    const { tracks, problems } = await openDevices(
      wanted.map((part) => ({ part, deviceId: this[part].choice })),
      this.format,
    );
    void this.list();
    for (const part of parts) {
      const track = tracks[part];
      if (turns[part] !== this.turn[part]) track?.stop();
      else if (track) this.use(part, track);
      else {
        this[part].problem = wanted.includes(part) ? (problems[part] ?? "busy") : undefined;
        this.make(part);
      }
    }
  }

  private use(part: Part, track: MediaStreamTrack): void {
    this.tracks[part] = track;
    this[part].source = "device";
    this[part].problem = undefined;
    track.addEventListener("ended", () => this.tracks[part] === track && this.lost(part, "unplugged"));
    const readable = new MediaStreamTrackProcessor({ track, maxBufferSize: part === "picture" ? 3 : 20 }).readable;
    if (part === "picture") {
      this.camera = new MediaStream([track]);
      this.order({ type: "picture", source: { kind: "frames", frames: readable as ReadableStream<VideoFrame> }, label: this.label }, [readable]);
    } else {
      track.enabled = this.sound.on;
      this.order({ type: "sound", source: { kind: "data", data: readable as ReadableStream<AudioData> } }, [readable]);
    }
  }

  private make(part: Part): void {
    this[part].source = "made";
    if (part === "picture") {
      this.camera = undefined;
      this.order({ type: "picture", source: { kind: this.picture.on ? "card" : "off" }, label: this.label });
      // The tone belongs to the card.
      if (this.sound.source === "made") this.makeSound();
    } else this.makeSound();
  }

  private makeSound(): void {
    const tone = this.sound.on && (this.sound.choice === testCard || (this.picture.source === "made" && this.picture.on));
    this.order({ type: "sound", source: { kind: tone ? "tone" : "silence" } });
  }

  private lost(part: Part, problem: Problem): void {
    if (this[part].source !== "device") return;
    this.release(part);
    this.turn[part]++;
    this[part].problem = problem;
    this.make(part);
    void this.list();
    this.handler.changed();
  }

  private release(part: Part): void {
    const track = this.tracks[part];
    this.tracks[part] = undefined;
    track?.stop();
  }

  private order(order: Order, transfer: Transferable[] = []): void {
    this.worker?.postMessage(order, transfer);
  }

  private readonly list = async (): Promise<void> => {
    const all = (await navigator.mediaDevices?.enumerateDevices?.().catch(() => [])) ?? [];
    this.devices = { cameras: all.filter((d) => d.kind === "videoinput"), microphones: all.filter((d) => d.kind === "audioinput") };
    this.handler.changed();
  };
}
