import { code, LiveRelayError } from "./code.js";
import { abnormal, type Dial, type Socket } from "./transport.js";

/** A frame of the signalling protocol, not yet looked at. */
export type Frame = Record<string, unknown>;

/** Who is told of one connection. */
export interface LinkHandler {
  event(frame: Frame): void;
  /** Exactly once, also when it never opened. */
  closed(code: number, reason: string): void;
}

interface Pending {
  resolve(frame: Frame): void;
  reject(error: LiveRelayError): void;
  /** Sees the reply before any later frame is looked at. */
  first?: (frame: Frame) => void;
  timer: ReturnType<typeof setTimeout>;
}

/** The most requests without a reply at once, and unreadable frames taken. */
const mostPending = 256;
const mostMalformed = 10;
/** A heartbeat is answered in this time, ms. */
const answer = 5000;

/**
 * One signalling connection to one server: requests and their replies, events, heartbeat.
 * PROTOCOL.md.
 */
export class Link {
  /** Resolves when the connection is open, rejects when it never will be. */
  readonly opened: Promise<void>;
  private open = false;
  private closed = false;
  private id = 0;
  private malformed = 0;
  private probing = false;
  private readonly pending = new Map<number, Pending>();
  private readonly socket: Socket;
  private beat: ReturnType<typeof setTimeout> | undefined;
  private interval = 0;

  constructor(dial: Dial, url: string, timeout: number, private readonly handler: LinkHandler) {
    let opened: () => void;
    let failed: (error: LiveRelayError) => void;
    this.opened = new Promise((resolve, reject) => {
      opened = resolve;
      failed = reject;
    });
    this.opened.then(undefined, () => undefined);
    // wx has its own connect timeout but some versions never keep it.
    const timer = setTimeout(() => this.close(abnormal, "connect timeout"), timeout);
    this.socket = dial(
      url,
      {
        open: () => {
          clearTimeout(timer);
          this.open = true;
          opened();
        },
        message: (text) => this.message(text),
        close: (number, reason) => {
          clearTimeout(timer);
          failed(new LiveRelayError(code.socketClosed, reason || `closed ${number}`));
          this.end(number, reason);
        },
      },
      timeout,
    );
  }

  get up(): boolean {
    return this.open && !this.closed;
  }

  /**
   * Sends a request and waits for its reply. A connection that ends rejects it with networkBroken.
   */
  request(type: string, fields: Frame, timeout: number, first?: (frame: Frame) => void): Promise<Frame> {
    return new Promise((resolve, reject) => {
      if (!this.up) return reject(new LiveRelayError(code.networkBroken, "connection lost"));
      if (this.pending.size >= mostPending) return reject(new LiveRelayError(code.tooMany, "too many requests at once"));
      const id = ++this.id;
      const timer = setTimeout(() => {
        this.pending.delete(id);
        reject(new LiveRelayError(code.timeout, `no answer to ${type}`, "", true));
        this.probe(3000);
      }, timeout);
      this.pending.set(id, { resolve, reject, first, timer });
      this.socket.send(JSON.stringify({ ...fields, id, type }));
    });
  }

  /** Sends a request without wanting a reply. */
  send(type: string, fields: Frame): void {
    if (this.up) this.socket.send(JSON.stringify({ ...fields, type }));
  }

  /** Pings every so many seconds from now on; closes when an answer does not come. */
  heartbeat(seconds: number): void {
    this.interval = Math.min(60, Math.max(1, seconds)) * 1000;
    clearTimeout(this.beat);
    this.beat = setTimeout(() => {
      this.probe(answer);
      this.heartbeat(seconds);
    }, this.interval);
  }

  /** Finds out whether the connection still lives; closes it when nothing comes in time. */
  probe(timeout: number): void {
    if (!this.up || this.probing) return;
    this.probing = true;
    this.request("ping", {}, timeout).then(
      () => (this.probing = false),
      (error: LiveRelayError) => {
        this.probing = false;
        if (error.code === code.timeout) this.close(4008, "no answer to ping");
      },
    );
  }

  /** Resolves when everything asked so far has its answer, or after so many ms. */
  async settled(most: number): Promise<void> {
    for (let waited = 0; this.pending.size > 0 && waited < most; waited += 20) await new Promise((resolve) => setTimeout(resolve, 20));
  }

  close(number: number, reason: string): void {
    if (this.closed) return;
    // The socket tells its close by itself, synchronously or never: do not depend on it.
    this.socket && this.socket.close(number, reason);
    this.end(number, reason);
  }

  private message(text: string): void {
    let frame: Frame | undefined;
    try {
      frame = JSON.parse(text) as Frame;
    } catch {
      // counted below
    }
    if (!frame || typeof frame !== "object" || Array.isArray(frame)) {
      if (++this.malformed >= mostMalformed) this.close(abnormal, "server sends no JSON objects");
      return;
    }
    if (frame.id === undefined) return void (typeof frame.type === "string" && this.handler.event(frame));
    const pending = this.pending.get(frame.id as number);
    if (!pending) return;
    this.pending.delete(frame.id as number);
    clearTimeout(pending.timer);
    const error = frame.error as Frame | undefined;
    if (error && typeof error === "object") {
      const number = typeof error.code === "number" ? error.code : code.internal;
      const after = typeof error.after === "number" ? error.after : 0;
      pending.reject(new LiveRelayError(number, String(error.msg || `error ${number}`), "", error.retryable === true, after));
      return;
    }
    try {
      pending.first && pending.first(frame);
      pending.resolve(frame);
    } catch (thrown) {
      pending.reject(thrown instanceof LiveRelayError ? thrown : new LiveRelayError(code.internal, String(thrown)));
    }
  }

  private end(number: number, reason: string): void {
    if (this.closed) return;
    this.closed = true;
    clearTimeout(this.beat);
    const waiting = Array.from(this.pending.values());
    this.pending.clear();
    for (const { reject, timer } of waiting) {
      clearTimeout(timer);
      reject(new LiveRelayError(code.networkBroken, "connection lost"));
    }
    this.handler.closed(number, reason);
  }
}
