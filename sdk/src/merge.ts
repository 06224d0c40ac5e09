import { now } from "./clock.js";
import type { Stream, UpdateType, User } from "./type.js";

// Every callback may cost its page a setData. What a room says in lists is told at
// once while it is little; above that, one callback per kind and interval tells it all.

/** So many callbacks at once, and again so many every second, are not merged. */
const burst = 10;
/** What is merged is told after this, ms. */
const interval = 300;

interface StreamUpdate {
  update: UpdateType;
  list: Stream[];
  /** Why they went. */
  reasons: { stream_id: string; code: unknown }[];
}

/** An entry of streamExtraInfoUpdate. */
export type Info = { streamID: string; user: User; extraInfo: string };

/** Merges the callbacks of one room. */
export class Merge {
  private free = burst;
  private at = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly came = new Map<string, User>();
  private readonly went = new Map<string, User>();
  private streams: StreamUpdate[] = [];
  private infos: Info[] = [];
  private messages: { event: string; list: unknown[] }[] = [];

  constructor(private readonly emit: (event: string, ...args: unknown[]) => void) {}

  /** Members who came or went. Who did both in one interval is not mentioned. */
  user(update: UpdateType, list: User[]): void {
    if (this.pass()) return this.emit("roomUserUpdate", update, list);
    const [to, from] = update === "ADD" ? [this.came, this.went] : [this.went, this.came];
    for (const user of list) if (!from.delete(user.userID)) to.set(user.userID, user);
  }

  stream(next: StreamUpdate): void {
    if (this.pass()) return this.tell(next);
    const last = this.streams[this.streams.length - 1];
    if (last && last.update === next.update) {
      last.list.push(...next.list);
      last.reasons.push(...next.reasons);
    } else this.streams.push(next);
  }

  info(list: Info[]): void {
    if (this.pass()) return this.emit("streamExtraInfoUpdate", list);
    this.infos.push(...list);
  }

  /** Messages of one event. */
  message(event: string, list: unknown[]): void {
    if (this.pass()) return this.emit(event, list);
    const known = this.messages.filter((m) => m.event === event)[0];
    if (known) known.list.push(...list);
    else this.messages.push({ event, list });
  }

  /** Tells what waits, now: something else follows that must not come before it. */
  flush(): void {
    const { streams, infos, messages } = this;
    const came = Array.from(this.came.values());
    const went = Array.from(this.went.values());
    this.came.clear();
    this.went.clear();
    this.streams = [];
    this.infos = [];
    this.messages = [];
    // A stream's owner is known before it, and is not gone before it.
    if (came.length) this.emit("roomUserUpdate", "ADD", came);
    streams.forEach((update) => this.tell(update));
    if (infos.length) this.emit("streamExtraInfoUpdate", infos);
    for (const { event, list } of messages) this.emit(event, list);
    if (went.length) this.emit("roomUserUpdate", "DELETE", went);
  }

  /** Tells what waits; nothing is merged any more. */
  stop(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.flush();
  }

  /** Whether a callback may be made at once. */
  private pass(): boolean {
    if (this.timer) return false;
    const time = now();
    this.free = Math.min(burst, this.free + ((time - this.at) * burst) / 1000);
    this.at = time;
    if (this.free >= 1) {
      this.free--;
      return true;
    }
    this.wait();
    return false;
  }

  private wait(): void {
    this.timer = setTimeout(() => {
      this.timer = undefined;
      if (!this.came.size && !this.went.size && !this.streams.length && !this.infos.length && !this.messages.length) return;
      this.wait();
      this.flush();
    }, interval);
  }

  private tell({ update, list, reasons }: StreamUpdate): void {
    this.emit("roomStreamUpdate", update, list, update === "ADD" ? "" : JSON.stringify({ stream_delete_reason: reasons }));
  }
}
