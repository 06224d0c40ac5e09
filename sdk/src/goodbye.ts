import { asError, code } from "./code.js";
import { openFirst } from "./dial.js";
import { type Frame, Link } from "./link.js";
import type { Platform } from "./platform.js";

/** One server may take so long to open, and to answer; ms. */
const attempt = 5000;
/** Between two tries, ms. */
const pause = 2000;

/**
 * A logout that could not be sent, because the network was away: the others would see a ghost until
 * the server gives the membership up. Sent on a connection of its own as soon as there is one,
 * until that time has passed.
 */
export class Goodbye {
  private readonly unwatch: () => void;
  private readonly end: ReturnType<typeof setTimeout>;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private link: Link | undefined;
  private trying = false;
  private over = false;

  /** `login` is a resume that does nothing when there is nothing to resume; `grace` in ms. */
  constructor(private readonly platform: Platform, private readonly servers: string[], private readonly login: Frame, grace: number, private readonly done: () => void) {
    this.end = setTimeout(() => this.stop(), grace);
    this.unwatch = platform.watch((online) => online && void this.say());
    this.timer = setTimeout(() => void this.say(), 0);
  }

  /** It was said, or need not be said any more. */
  stop(): void {
    if (this.over) return;
    this.over = true;
    clearTimeout(this.end);
    clearTimeout(this.timer);
    this.unwatch();
    if (this.link) this.link.close(1000, "done");
    this.done();
  }

  private async say(): Promise<void> {
    if (this.trying || this.over) return;
    this.trying = true;
    clearTimeout(this.timer);
    try {
      const none = { event: () => undefined, closed: () => undefined };
      const link = (this.link = await openFirst(this.servers, (url) => new Link(this.platform.dial, url, attempt, none)));
      if (this.over) return link.close(1000, "done");
      await link.request("login", this.login, attempt);
      await link.request("logout", { room: this.login.room }, attempt);
      return this.stop();
    } catch (thrown) {
      const error = asError(thrown);
      const again = error.retryable || error.code === code.networkBroken || error.code === code.socketClosed;
      if (this.link) this.link.close(1000, "done");
      if (!again) return this.stop();
    }
    this.trying = false;
    if (!this.over) this.timer = setTimeout(() => void this.say(), pause / 2 + (Math.random() * pause) / 2);
  }
}
