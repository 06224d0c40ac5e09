// One connection to a stream: FLV over a WebSocket, as bytes and as tags.
import { FlvReader, type Tag } from "./flv.js";

/** How a connection ended. */
export interface FeedEnd {
  /** Of the close frame, RFC 6455 §7.4.1; 1006: there was none. */
  code: number;
  text: string;
  /** It was open, or was refused before that. */
  opened: boolean;
}

/** A connection that a player has. */
export interface Connection {
  /** Bytes so far. */
  readonly bytes: number;
  /** When something came last, by performance.now(). */
  readonly heard: number;
  /** Tells the relay, for operators, how old the picture is that is seen (ms). */
  tell(delay: number, since: "publisher" | "ingest"): void;
  /** Closes; nothing is told any more. */
  close(): void;
}

export class Feed implements Connection {
  bytes = 0;
  heard = performance.now();
  private readonly socket: WebSocket;
  private tags: Tag[] = [];
  private opened = false;
  private done = false;

  constructor(url: URL, onMedia: (bytes: Uint8Array, tags: Tag[]) => void, private readonly onEnd: (end: FeedEnd) => void) {
    const reader = new FlvReader((tag) => this.tags.push(tag));
    this.socket = new WebSocket(url.href);
    this.socket.binaryType = "arraybuffer";
    this.socket.onopen = () => {
      this.opened = true;
    };
    this.socket.onmessage = (event: MessageEvent<unknown>) => {
      if (this.done || !(event.data instanceof ArrayBuffer)) return;
      const bytes = new Uint8Array(event.data);
      this.bytes += bytes.length;
      this.heard = performance.now();
      try {
        reader.push(bytes);
      } catch (error) {
        return this.end({ code: 1007, text: String(error), opened: true });
      }
      const tags = this.tags;
      this.tags = [];
      onMedia(bytes, tags);
    };
    this.socket.onclose = (event) => this.end({ code: event.code, text: event.reason, opened: this.opened });
  }

  tell(delay: number, since: "publisher" | "ingest"): void {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify({ type: "delay", ms: Math.round(delay), since }));
  }

  close(): void {
    this.done = true;
    this.socket.onmessage = this.socket.onclose = null;
    this.socket.close();
  }

  private end(end: FeedEnd): void {
    if (this.done) return;
    this.close();
    this.onEnd(end);
  }
}
