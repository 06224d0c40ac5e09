// The server's events as they happen (HTML, §9.2). EventSource sends no token, so they are read by
// fetch.
import type { HappenedEvent } from "./client.js";

export type Hearing = "connecting" | "open" | "away";

export interface Hear {
  /** Begins after this id; "" with what happens next, "0" with all that is remembered. */
  after: string;
  onEvents(events: HappenedEvent[]): void;
  /** So many were forgotten before they could be sent. */
  onLost(n: number): void;
  /** These nodes do not tell theirs; none: all do. */
  onMissing(nodes: string[]): void;
  onState(state: Hearing): void;
  /** The token is refused. */
  onRefused(): void;
}

const mostWait = 10_000;
/** The server says something every 15 s: without a word for so long the connection is dead. */
const silence = 40_000;

/** Hears until the returned function is called; connects again and goes on where it was. */
export function hear(token: string, h: Hear): () => void {
  let over = false;
  let last = h.after;
  let waits = 500;
  let give = new AbortController();
  const run = async (): Promise<void> => {
    while (!over) {
      h.onState("connecting");
      give = new AbortController();
      const watch = new Watch(() => give.abort());
      try {
        const response = await fetch(`/api/v1/events${last ? `?after=${last}` : ""}`, {
          headers: { Authorization: `Bearer ${token}`, Accept: "text/event-stream" },
          signal: give.signal,
          cache: "no-store",
        });
        if (response.status === 401) return h.onRefused();
        if (response.ok && response.body) {
          h.onState("open");
          waits = 500;
          const parser = new Parser();
          const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
          for (;;) {
            const { done, value } = await reader.read();
            if (done) break;
            watch.wake();
            const events: HappenedEvent[] = [];
            for (const block of parser.push(value)) {
              if (block.event === "lost") h.onLost((JSON.parse(block.data) as { lost: number }).lost);
              else if (block.event === "missing") h.onMissing((JSON.parse(block.data) as { missing?: string[] }).missing ?? []);
              else events.push(JSON.parse(block.data) as HappenedEvent);
              if (block.id) last = block.id;
            }
            if (events.length > 0) h.onEvents(events);
          }
        }
      } catch {
        // Away; it is tried again.
      } finally {
        watch.stop();
      }
      if (over) return;
      h.onState("away");
      await new Promise((r) => setTimeout(r, waits));
      waits = Math.min(mostWait, waits * 2);
    }
  };
  void run();
  return () => {
    over = true;
    give.abort();
  };
}

/** Watch calls when nothing woke it for long. */
class Watch {
  private timer = 0;
  constructor(private readonly call: () => void) {
    this.wake();
  }
  wake(): void {
    clearTimeout(this.timer);
    this.timer = window.setTimeout(this.call, silence);
  }
  stop(): void {
    clearTimeout(this.timer);
  }
}

interface Block {
  event: string;
  id: string;
  data: string;
}

/** Parser cuts a stream of text into events. */
class Parser {
  private rest = "";

  push(text: string): Block[] {
    this.rest += text;
    const blocks = this.rest.split("\n\n");
    this.rest = blocks.pop() ?? "";
    return blocks.map(blockOf).filter((b) => b.data !== "");
  }
}

function blockOf(text: string): Block {
  const block: Block = { event: "", id: "", data: "" };
  for (const line of text.split("\n")) {
    const [name = "", value = ""] = [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1).replace(/^ /, "")];
    if (name === "event" || name === "id") block[name] = value;
    else if (name === "data") block.data += value;
  }
  return block;
}
