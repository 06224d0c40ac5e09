import { cutBytes } from "./utf8.js";
import type { LogConfig, LogLevel } from "./type.js";

const levels: LogLevel[] = ["debug", "info", "warn", "error", "report", "disable"];

/** The most lines kept for operators while there is no way to send them. */
const most = 100;
/** PROTOCOL.md "log": 20 lines of 512 bytes in a request, one request a second. */
const batch = 20;
const lineBytes = 512; // with time and level in front
const interval = 1100;

/** Sends lines to the operators; false when there is no connection just now. */
export type LogSend = (level: string, lines: string[]) => boolean;

/** Prints to the console, and keeps a bounded, rate-limited tail for the operators. */
export class Log {
  private level: LogLevel = "warn";
  private remoteLevel: LogLevel = "warn";
  private url = "";
  private lines: string[] = [];
  private worst = 0;
  private lost = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly send: LogSend, private readonly post: (url: string, body: string) => void) {}

  /** False when the configuration is not one. */
  configure(config: LogConfig): boolean {
    if (!config || typeof config !== "object") return false;
    const { logLevel, remoteLogLevel, logURL } = config;
    for (const level of [logLevel, remoteLogLevel]) if (level !== undefined && levels.indexOf(level) < 0) return false;
    if (logURL !== undefined && typeof logURL !== "string") return false;
    if (logLevel) this.level = logLevel;
    if (remoteLogLevel) this.remoteLevel = remoteLogLevel;
    if (logURL !== undefined) this.url = logURL;
    return true;
  }

  /** Whether debug lines go anywhere: making them costs something. */
  get verbose(): boolean {
    return this.level === "debug" || this.remoteLevel === "debug";
  }

  debug(text: string): void {
    this.write("debug", text);
  }
  info(text: string): void {
    this.write("info", text);
  }
  warn(text: string): void {
    this.write("warn", text);
  }
  error(text: string): void {
    this.write("error", text);
  }

  private write(level: "debug" | "info" | "warn" | "error", text: string): void {
    const rank = levels.indexOf(level);
    const line = redact(text);
    if (rank >= levels.indexOf(this.level) && typeof console !== "undefined") console[level](`[liverelay] ${line}`);
    if (rank < levels.indexOf(this.remoteLevel)) return;
    this.lines.push(`${new Date().toISOString()} ${level} ${cutBytes(line, lineBytes - 80)}`);
    this.worst = Math.max(this.worst, rank);
    if (this.lines.length > most) {
      this.lines.shift();
      this.lost++;
    }
    if (!this.timer) this.timer = setTimeout(() => this.flush(), interval);
  }

  /** Sends the next lines. Called by itself at most once in `interval`. */
  flush(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    if (this.lines.length === 0) return;
    const lines = this.lines.slice(0, batch);
    if (this.lost) lines[0] = `(${this.lost} lines lost) ${lines[0]}`;
    const level = levels[this.worst]!;
    if (this.url) this.post(this.url, JSON.stringify({ level, lines }));
    else if (!this.send(level, lines)) return; // kept until there is a connection: the next line or login tries again
    this.lines.splice(0, batch);
    this.lost = 0;
    if (this.lines.length) this.timer = setTimeout(() => this.flush(), interval);
    else this.worst = 0;
  }

  stop(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.lines = [];
  }
}

/** No token leaves this process by a log line. */
function redact(text: string): string {
  return text.replace(/(token|session|secret|txSecret)=[^&\s"']*/gi, "$1=…").replace(/\b04[A-Za-z0-9+/=]{40,}/g, "…");
}
