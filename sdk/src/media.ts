import { asNumber } from "./check.js";
import { code, LiveRelayError } from "./code.js";
import type { Protocol, Quality } from "./type.js";

// What publishers and players share: the URLs of a start, and netstatus.

/**
 * What an application asks of the URLs of a stream, now and when the server has to name them again.
 */
export interface Media {
  source?: "CDN" | "BGP";
  params?: string;
  protocol?: Protocol;
}

/** Reads the options of a publish or a play. */
export function media(option: { sourceType?: unknown; streamParams?: unknown; protocol?: Protocol }): Media {
  const params = option.streamParams;
  if (params !== undefined && typeof params !== "string") throw new LiveRelayError(code.parameter, "streamParams is not a string");
  return { source: option.sourceType === "CDN" ? "CDN" : "BGP", params: params ? params.replace(/^[?&]+/, "") : undefined, protocol: option.protocol };
}

/** The URLs of one start, and which one is in use. */
export class URLs {
  private index = 0;
  private turns = 0;
  readonly all: Partial<Record<Protocol, string[]>> = {};
  private readonly list: string[];

  /**
   * Reads a publish or play reply. The wanted protocol's URLs if there are any, else what the
   * server put first.
   */
  constructor(reply: Record<string, unknown>, wanted: Protocol) {
    const urls = (typeof reply.urls === "object" && reply.urls) || {};
    for (const protocol of ["rtmp", "flv", "ws", "whep", "whip"] as Protocol[]) {
      const list = (urls as Record<string, unknown>)[protocol];
      if (!Array.isArray(list)) continue;
      const texts = list.filter((u): u is string => typeof u === "string" && u !== "");
      if (texts.length) this.all[protocol] = texts;
    }
    const first = typeof reply.url === "string" && reply.url ? [reply.url] : [];
    const offered = (Object.keys(this.all) as Protocol[])[0];
    this.list = this.all[wanted] || (first.length ? first : (offered && this.all[offered]) || []);
  }

  /** "" when the server gave none. */
  get url(): string {
    return this.list[this.index] || "";
  }

  /**
   * The next candidate; never the same text twice, because a component ignores a URL that does not
   * change.
   */
  next(): string {
    if (this.list.length === 0) return "";
    this.index = (this.index + 1) % this.list.length;
    const url = this.url;
    return `${url}${url.indexOf("?") < 0 ? "?" : "&"}turn=${++this.turns}`;
  }
}

/** A netstatus report as the component gives it. */
type Report = Record<string, unknown>;

/** What of a report becomes quality; the rest goes to the operators only. */
export function quality(report: Report): Quality {
  return {
    video: {
      videoBitrate: asNumber(report.videoBitrate),
      videoFPS: asNumber(report.videoFPS),
      videoWidth: asNumber(report.videoWidth),
      videoHeight: asNumber(report.videoHeight),
    },
    audio: { audioBitrate: asNumber(report.audioBitrate) },
  };
}

/** iOS tells one report in two halves within so many ms. */
const half = 200;

/** Puts the halves of a report together. */
export class Netstatus {
  private waiting: Report | undefined;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly split: boolean, private readonly whole: (report: Report) => void) {}

  feed(report: Report): void {
    if (!this.split) return this.whole(report);
    if (!this.waiting) {
      this.waiting = report;
      this.timer = setTimeout(() => this.flush(), half);
      return;
    }
    const merged = { ...this.waiting };
    // A half holds zeros where the other has the figure.
    for (const key of Object.keys(report)) if (asNumber(report[key]) !== 0 || merged[key] === undefined) merged[key] = report[key];
    this.waiting = merged;
    this.flush();
  }

  stop(): void {
    clearTimeout(this.timer);
    this.waiting = undefined;
  }

  private flush(): void {
    clearTimeout(this.timer);
    const report = this.waiting;
    this.waiting = undefined;
    if (report) this.whole(report);
  }
}
