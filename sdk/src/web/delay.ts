// How old the picture is that is seen: by the publisher's stamp in the stream, or by when the relay
// had it.
import type { Probe } from "./ask.js";
import type { Tag } from "./flv.js";
import { readStamp } from "./stamp.js";
import type { EngineStats } from "./type.js";

const memory = 900; // pictures: half a minute
const probes = 8;
const recent = 3; // a publisher that is slower than its clock moves it
const clockBits = 1 << 30; // the relay tells its clock modulo that

interface Picture {
  pts: number;
  dts: number;
  moment?: number;
}

export class Delay {
  private pictures: Picture[] = [];
  private offsets: { offset: number; roundTrip: number }[] = [];
  private ingest: number[] = [];
  lengthSize = 4;
  stamped = false;

  /** A picture came. */
  came(tag: Tag): void {
    const moment = tag.codec === "avc1" ? readStamp(tag.body, this.lengthSize) : undefined;
    if (moment !== undefined) this.stamped = true;
    this.pictures.push({ pts: tag.pts, dts: tag.dts, moment });
    if (this.pictures.length > memory) this.pictures.splice(0, memory / 3);
  }

  /** The relay told its time and how old its newest frame is. */
  learn(probe: Probe): void {
    this.offsets.push(probe);
    if (this.offsets.length > probes) this.offsets.shift();
    const track = probe.stream?.video ?? probe.stream?.audio;
    if (!track || probe.stream!.state !== "live") return;
    this.ingest.push(probe.now - track.age_ms - track.clock);
    if (this.ingest.length > recent) this.ingest.shift();
  }

  /** The stream began again, maybe on another clock. */
  clear(): void {
    this.pictures = [];
    this.ingest = [];
    this.stamped = false;
  }

  get roundTrip(): number | undefined {
    return this.best()?.roundTrip;
  }

  /** The answer that took the least time has the least error. */
  private best(): { offset: number; roundTrip: number } | undefined {
    return this.offsets.reduce<{ offset: number; roundTrip: number } | undefined>((best, o) => (best && best.roundTrip <= o.roundTrip ? best : o), undefined);
  }

  /**
   * The delay of what is seen, ms; not below 0, which the error of the server's time (half a round
   * trip) could make of it.
   */
  of({ seen, ingest }: Pick<EngineStats, "seen" | "ingest"> = {}): { delay: number; since: "publisher" | "ingest" } | undefined {
    const clock = this.best();
    if (ingest && clock) return { delay: Math.max(0, ingest.at + clock.offset - ingest.moment), since: "ingest" };
    if (!seen || !clock) return undefined;
    const at = seen.at + clock.offset;
    let near: Picture | undefined;
    let stamp: Picture | undefined;
    for (const p of this.pictures) {
      if (!near || Math.abs(p.pts - seen.pts) < Math.abs(near.pts - seen.pts)) near = p;
      if (p.moment !== undefined && p.pts <= seen.pts + 1 && (!stamp || p.pts > stamp.pts)) stamp = p;
    }
    if (stamp && seen.pts - stamp.pts < 3000) return { delay: Math.max(0, at - stamp.moment! - (seen.pts - stamp.pts)), since: "publisher" };
    if (!near || !this.ingest.length) return undefined;
    const middle = [...this.ingest].sort((a, b) => a - b)[this.ingest.length >> 1]!;
    let delay = (at - (middle + near.dts)) % clockBits;
    if (delay < -clockBits / 2) delay += clockBits;
    else if (delay > clockBits / 2) delay -= clockBits;
    return { delay: Math.max(0, delay), since: "ingest" };
  }
}
