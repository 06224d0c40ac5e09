import { asError, code, LiveRelayError } from "./code.js";
import { type Frame, Link } from "./link.js";
import type { Log } from "./log.js";
import type { Room } from "./room.js";
import type { Platform } from "./platform.js";

/** Every wait of the session, in ms. */
export const timing = {
  /** One server may take so long to open. */
  connect: 5000,
  /** A login, over all servers. */
  login: 10000,
  /** A request, with its repetitions; and one try of it. */
  request: 10000,
  attempt: 5000,
  /** The first pause before connecting again, and the longest. PROTOCOL.md §5. */
  pause: 1000,
  longestPause: 15000,
  /** Reconnecting ends. */
  giveUp: 300000,
  /** A server that asks to move gives the SDK so long before the app is told of a lost link. */
  quiet: 3000,
  /** An answer to a ping after the app was shown again or the network changed. */
  probe: 3000,
  /** A connection without a room is kept so long. */
  linger: 1000,
};

/** Rounds over all servers before a login fails without waiting longer. */
const rounds = 3;

/** Close codes after which connecting again makes no sense: binary frame, flood, version. */
const final = [4002, 4003, 4009];

interface RequestOption {
  /** It may be sent twice: repeated after a timeout, a reconnect, or when the server says "later". */
  repeat?: boolean;
  /** Asked before each sending: false ends it with nothing. */
  still?: () => boolean;
}

/** The signalling session: one connection at a time to one of several servers, shared by all rooms; reconnects and resumes. */
export class Session {
  private link: Link | undefined;
  private dialling: Promise<Link> | undefined;
  private readonly rooms = new Map<string, Room>();
  private logins = 0;
  private server = 0;
  private tries = 0;
  private lostAt = 0;
  private retry: ReturnType<typeof setTimeout> | undefined;
  private deadline: ReturnType<typeof setTimeout> | undefined;
  private quiet: ReturnType<typeof setTimeout> | undefined;
  private idle: ReturnType<typeof setTimeout> | undefined;
  private restoring = false;
  private readonly unwatch: () => void;

  constructor(private readonly platform: Platform, private readonly servers: string[], private readonly log: Log) {
    this.unwatch = platform.watch((online) => this.wake(online));
  }

  /** Logs in to a room. Tries the servers in turn, for a bounded time. */
  async join(room: Room): Promise<void> {
    if (this.servers.length === 0) throw new LiveRelayError(code.noServer, "no server address was given");
    const end = Date.now() + timing.login;
    this.logins++;
    clearTimeout(this.idle);
    try {
      for (let tries = 1, failures = 0; ; tries++) {
        let pause = 0;
        try {
          const link = await within(this.connect(), end);
          room.check();
          room.asked = link;
          await link.request("login", room.credentials(), end - Date.now(), (reply) => this.joined(room, link, reply));
          return;
        } catch (thrown) {
          const error = asError(thrown);
          room.check();
          const network = error.code === code.socketClosed || error.code === code.networkBroken;
          if (error.code === code.timeout) throw new LiveRelayError(code.loginTimeout, "login timed out");
          // A server that takes the connection and then drops it is no better than one that is down.
          if (error.code === code.networkBroken) this.server++;
          if (!network && !error.retryable) throw error;
          if (network && ++failures >= rounds * this.servers.length) throw new LiveRelayError(code.socketClosed, `no server can be reached: ${error.msg}`);
          // Another server is tried at once, the same one after a pause.
          if (!network || failures % this.servers.length === 0) pause = error.after || jitter((timing.pause * tries) / (network ? this.servers.length : 1));
          if (Date.now() + pause >= end) throw network ? new LiveRelayError(code.loginTimeout, `login timed out: ${error.msg}`) : error;
        }
        await sleep(pause);
        room.check();
      }
    } finally {
      this.logins--;
      this.lingerIfIdle();
    }
  }

  /** Leaves a room: tells the server if it can be told. */
  leave(room: Room, tell: boolean): void {
    if (this.rooms.get(room.id) === room) this.rooms.delete(room.id);
    const link = this.link;
    // A login that is still on its way is answered before this logout is read.
    if (tell && link && (room.joined || room.asked === link)) {
      link.request("logout", { room: room.id }, timing.linger).then(
        () => this.lingerIfIdle(),
        () => this.lingerIfIdle(),
      );
    }
    room.joined = false;
    if (this.rooms.size === 0) this.stopReconnecting();
    this.lingerIfIdle();
  }

  /** A request of a room. Waits for the connection to be back, repeats what may be repeated; bounded. */
  async request(room: Room, type: string, fields: Frame, option: RequestOption = {}): Promise<Frame> {
    const end = Date.now() + timing.request;
    for (let attempt = 1; ; attempt++) {
      // Without a wait nothing is awaited: requests leave in the order of the calls.
      while (!room.joined) await within(room.ready(), end);
      if (option.still && !option.still()) return {};
      const link = this.link;
      try {
        if (!link) throw new LiveRelayError(code.networkBroken, "connection lost");
        return await link.request(type, { ...fields, room: room.id }, Math.min(timing.attempt, end - Date.now()));
      } catch (thrown) {
        const error = asError(thrown);
        // The link's own word, not the code's: a server may say anything.
        const lost = !link || !link.up;
        if (!option.repeat) throw lost ? new LiveRelayError(code.messageFailed, "the connection was lost while sending") : error;
        const pause = lost || error.code === code.timeout ? 0 : error.after || jitter(timing.pause * attempt);
        if ((!lost && !error.retryable) || Date.now() + pause >= end) throw error;
        if (pause) await sleep(pause);
      }
    }
  }

  /** A report: sent when there is a connection, else dropped. */
  report(room: Room, type: string, fields: Frame): void {
    if (room.joined && this.link) this.link.send(type, { ...fields, room: room.id });
  }

  /** Log lines for the operators. */
  tell(level: string, lines: string[]): boolean {
    if (!this.link || !this.link.up || this.rooms.size === 0) return false;
    this.link.send("log", { level, lines });
    return true;
  }

  /** Stops everything; the connection ends when what was sent had time to leave. */
  destroy(): void {
    this.unwatch();
    this.stopReconnecting();
    this.lingerIfIdle();
  }

  /** The open connection, or one that opens. */
  private connect(): Promise<Link> {
    if (this.link && this.link.up) return Promise.resolve(this.link);
    if (this.dialling) return this.dialling;
    const url = this.servers[this.server % this.servers.length]!;
    this.log.debug(`connect ${host(url)}`);
    const link: Link = new Link(this.platform.dial, url, timing.connect, {
      event: (frame) => this.event(frame),
      closed: (number, reason) => this.closed(link, number, reason),
    });
    this.dialling = link.opened.then(
      () => {
        this.dialling = undefined;
        this.link = link;
        return link;
      },
      (error) => {
        this.dialling = undefined;
        this.server++;
        throw error;
      },
    );
    return this.dialling;
  }

  /** Runs inside the reception of the login reply, so that no event of the room can come before it. */
  private joined(room: Room, link: Link, reply: Frame): void {
    room.check();
    this.rooms.set(room.id, room);
    link.heartbeat(typeof reply.heartbeat === "number" ? reply.heartbeat : 20);
    room.enter(reply);
    this.log.flush();
  }

  private event(frame: Frame): void {
    if (frame.type === "reconnect") {
      // The server stops soon. Spread the clients over the time it gives.
      const most = typeof frame.within === "number" ? Math.min(frame.within, 4000) / 2 : 500;
      this.log.info("server asks to move");
      this.server++;
      const link = this.link;
      setTimeout(() => link && link === this.link && link.close(4001, "moving"), Math.random() * most);
      return;
    }
    const name = frame.room === undefined && this.rooms.size === 1 ? this.rooms.keys().next().value : frame.room;
    const room = this.rooms.get(name as string);
    if (room) room.event(frame);
  }

  private closed(link: Link, number: number, reason: string): void {
    if (link !== this.link) return;
    this.link = undefined;
    if (this.rooms.size === 0) return;
    this.log.warn(`connection closed: ${number} ${reason}`);
    const moving = number === 4001;
    const rooms = Array.from(this.rooms.values());
    for (const room of rooms) room.joined = false;
    if (final.indexOf(number) >= 0) {
      for (const room of rooms) this.fail(room, new LiveRelayError(code.internal, `server closed: ${number} ${reason}`));
      return;
    }
    if (!this.lostAt) {
      this.lostAt = Date.now();
      this.deadline = setTimeout(() => this.giveUp(), timing.giveUp);
    }
    const tell = (): void => {
      for (const room of Array.from(this.rooms.values())) if (!room.joined) room.lost();
    };
    clearTimeout(this.quiet);
    if (moving) this.quiet = setTimeout(tell, timing.quiet);
    else tell();
    this.schedule(moving ? 0 : undefined);
  }

  /** Plans the next try to connect. */
  private schedule(pause?: number): void {
    clearTimeout(this.retry);
    if (pause === undefined) pause = jitter(Math.min(timing.longestPause, timing.pause * Math.pow(2, this.tries)));
    this.retry = setTimeout(() => void this.restore(), pause);
  }

  /** Connects and resumes every room that is not joined. Never rejects. */
  private async restore(): Promise<void> {
    if (this.restoring) return;
    // A timer that slept in the background may be late.
    if (Date.now() - this.lostAt >= timing.giveUp) return this.giveUp();
    this.restoring = true;
    let again = false;
    try {
      const link = await this.connect();
      for (const room of Array.from(this.rooms.values())) {
        if (room.joined) continue;
        try {
          room.asked = link;
          await link.request("login", room.credentials(), timing.attempt, (reply) => this.rooms.get(room.id) === room && this.joined(room, link, reply));
        } catch (thrown) {
          const error = asError(thrown);
          const temporary = error.retryable || error.code === code.networkBroken || error.code === code.internal;
          if (error.code === code.networkBroken) this.server++;
          // Whether it took the login is unknown: start over on a connection that knows nothing.
          if (error.code === code.timeout) link.close(4000, "no answer to login");
          if (temporary) again = true;
          else if (this.rooms.get(room.id) === room) this.fail(room, error);
        }
      }
    } catch {
      again = true;
    }
    this.restoring = false;
    if (this.rooms.size === 0) return this.lingerIfIdle();
    if (again) {
      this.tries++;
      this.schedule();
    } else this.stopReconnecting();
  }

  /** Five minutes passed. */
  private giveUp(): void {
    this.stopReconnecting();
    for (const room of Array.from(this.rooms.values())) {
      if (!room.joined) this.fail(room, new LiveRelayError(code.reconnectTimeout, "could not reconnect in time"));
    }
  }

  private fail(room: Room, error: LiveRelayError): void {
    this.leave(room, false);
    room.fail(error);
  }

  private stopReconnecting(): void {
    clearTimeout(this.retry);
    clearTimeout(this.deadline);
    clearTimeout(this.quiet);
    this.lostAt = this.tries = 0;
  }

  /** The app was shown again, or the network changed: a mini program's sockets die in the background without a word. */
  private wake(online: boolean): void {
    if (this.link && this.link.up) this.link.probe(timing.probe);
    else if (online && this.lostAt) {
      this.tries = 0;
      this.schedule(0);
    }
  }

  /** Without rooms and logins the connection ends soon. */
  private lingerIfIdle(): void {
    clearTimeout(this.idle);
    if (this.rooms.size || this.logins || !this.link) return;
    this.idle = setTimeout(() => {
      if (this.link && !this.rooms.size && !this.logins) this.link.close(1000, "done");
    }, timing.linger);
  }
}

/** Between half and all of it. */
function jitter(ms: number): number {
  return ms / 2 + (Math.random() * ms) / 2;
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Waits for a promise until a moment; then the link is as good as lost. */
function within<T>(promise: Promise<T>, end: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new LiveRelayError(code.networkBroken, "the network is broken")), Math.max(0, end - Date.now()));
    promise.then(resolve, reject).then(() => clearTimeout(timer));
  });
}

/** A URL's host, for the log: the rest may hold secrets. */
function host(url: string): string {
  return url.split("/")[2] || "";
}

/** Makes signalling addresses of what the app was told to use: scheme and path may be missing. */
export function signalURLs(server: unknown): string[] {
  const list = Array.isArray(server) ? server : [server];
  const urls: string[] = [];
  for (const item of list) {
    if (typeof item !== "string" || item.trim() === "") continue;
    const match = /^(?:(wss?|https?):\/\/)?([^/?#]+)(\/[^?#]*)?(\?[^#]*)?/.exec(item.trim());
    if (!match) continue;
    const scheme = match[1] === "ws" || match[1] === "http" ? "ws" : "wss";
    const path = !match[3] || match[3] === "/" ? "/signal" : match[3];
    const query = match[4] ? `${match[4]}&v=1` : "?v=1";
    urls.push(`${scheme}://${match[2]}${path}${query}`);
  }
  return urls;
}
