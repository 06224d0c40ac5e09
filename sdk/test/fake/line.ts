import type { Conn, FakeServer } from "./server.js";

/**
 * What a socket says to a close frame that a client may not send: RFC 6455 §7.4, and WeChat's
 * limit.
 */
export function refusal(code: number, reason: string): string | undefined {
  if (code !== 1000 && !(code >= 3000 && code <= 4999)) return `closeSocket:fail ${code} is neither 1000 nor between 3000 and 4999`;
  return Buffer.byteLength(reason) > 123 ? "closeSocket:fail the reason is longer than 123 bytes" : undefined;
}

/** The way between a client and the server: everything takes `latency` and stays in order. */
export class Line {
  open = false;
  private closed = false;
  private conn: Conn | undefined;

  constructor(private readonly server: FakeServer, url: string, private readonly client: { open(): void; message(text: string): void; close(code: number, reason: string): void }) {
    this.later(() => {
      const conn = server.accept(url, {
        message: (text) => this.later(() => !this.closed && client.message(text)),
        close: (code, reason) => this.later(() => this.end(code, reason)),
      });
      if (conn === "hang") return;
      if (typeof conn === "string") return this.end(1006, "refused");
      if (this.closed) return server.lose(conn);
      this.conn = conn;
      this.open = true;
      client.open();
    });
  }

  send(text: string): void {
    if (!this.open) throw new Error("not open");
    this.later(() => this.conn && this.server.message(this.conn, text));
  }

  close(code: number, reason: string): void {
    if (this.closed) return;
    this.open = false;
    this.closed = true;
    if (this.conn) {
      const conn = this.conn;
      this.later(() => this.server.lose(conn));
    }
    this.later(() => this.client.close(code, reason));
  }

  private end(code: number, reason: string): void {
    if (this.closed) return;
    this.open = false;
    this.closed = true;
    this.client.close(code, reason);
  }

  private later(call: () => void): void {
    setTimeout(call, this.server.latency);
  }
}
