import { now } from "./clock.js";
import { asError, code, LiveRelayError } from "./code.js";
import { openFirst } from "./dial.js";
import { Goodbye } from "./goodbye.js";
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
  /**
   * The longest in the time after the link was lost, or the app was shown again: a call does not
   * wait longer.
   */
  eagerPause: 3000,
  eager: 60000,
  /** Reconnecting ends. */
  giveUp: 300000,
  /** A server that asks to move gives the SDK so long before the app is told of a lost link. */
  quiet: 3000,
  /** An answer to a ping after the app was shown again or the network changed. */
  probe: 3000,
  /**
   * A connection without a room is kept so long; and one that is left for another, for what it has
   * not answered.
   */
  linger: 1000,
};

/** Rounds over all servers before a login fails without waiting longer. */
const rounds = 3;

/**
 * Close codes: the server moves its clients; and those after which connecting again makes no sense:
 * binary frame, flood, version.
 */
const moving = 4001;
const final = [4002, 4003, 4009];

interface RequestOption {
  /**
   * It may be sent twice: repeated after a timeout, a reconnect, or when the server says "later".
   */
  repeat?: boolean;
  /** Asked before each sending: false ends it with nothing. */
  still?: () => boolean;
}

/**
 * The signalling session: one connection to one of several servers, shared by all rooms; two while
 * they move from one server to another. Reconnects and resumes.
 */
export class Session {
  /** The connection opened last. */
  private link: Link | undefined;
  /** It is to be left, its server asked for that. */
  private parting: Link | undefined;
  private dialling: Promise<Link> | undefined;
  private readonly rooms = new Map<string, Room>();
  private readonly goodbyes = new Map<string, Goodbye>();
  private logins = 0;
  private server = 0;
  private tries = 0;
  /** Reconnecting, since some time. */
  private lost = false;
  private eagerUntil = 0;
  private wokenAt = -Infinity;
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
    const end = now() + timing.login;
    const goodbye = this.goodbyes.get(room.id);
    if (goodbye) goodbye.stop();
    this.logins++;
    clearTimeout(this.idle);
    try {
      for (let tries = 1, failures = 0; ; tries++) {
        let pause = 0;
        try {
          const link = await within(this.connect(), end, "no server answered");
          room.check();
          room.asked = link;
          await link.request("login", room.credentials(), end - now(), (reply) => this.joined(room, link, reply));
          return;
        } catch (thrown) {
          const error = asError(thrown);
          room.check();
          const network = error.code === code.socketClosed || error.code === code.networkBroken;
          if (error.code === code.timeout) throw new LiveRelayError(code.loginTimeout, "login timed out");
          // A server that takes the connection and then drops it is no better than one that is
          // down.
          if (error.code === code.networkBroken) this.server++;
          if (!network && !error.retryable) throw error;
          const late = (): LiveRelayError => (network ? new LiveRelayError(code.loginTimeout, `login timed out: ${error.msg}`) : error);
          if (now() + 10 >= end) throw late(); // a timer may be early
          if (network && ++failures >= rounds) throw new LiveRelayError(code.socketClosed, `no server can be reached: ${error.msg}`);
          pause = error.after || jitter(timing.pause * tries);
          // Another server is tried at once.
          if (error.code === code.networkBroken && this.servers.length > 1) pause = 0;
          if (now() + pause >= end) throw late();
        }
        await sleep(pause);
        room.check();
      }
    } finally {
      this.logins--;
      this.lingerIfIdle();
    }
  }

  /** Leaves a room: tells the server, now or when it can be told. */
  leave(room: Room, tell: boolean): void {
    if (this.rooms.get(room.id) === room) this.rooms.delete(room.id);
    // A login that is still on its way is answered before this logout is read.
    const link = room.asked && room.asked.up ? room.asked : room.link;
    room.link = undefined;
    if (tell && link && link.up) {
      link.request("logout", { room: room.id }, timing.linger).then(
        () => this.lingerIfIdle(),
        (thrown) => {
          const { code: number } = asError(thrown);
          if (number === code.timeout || number === code.networkBroken) this.sayGoodbye(room);
          this.lingerIfIdle();
        },
      );
    } else if (tell) this.sayGoodbye(room);
    if (this.rooms.size === 0) this.stopReconnecting();
    this.lingerIfIdle();
  }

  /**
   * A request of a room. Waits for the connection to be back, repeats what may be repeated;
   * bounded.
   */
  async request(room: Room, type: string, fields: Frame, option: RequestOption = {}): Promise<Frame> {
    const end = now() + timing.request;
    for (let attempt = 1; ; attempt++) {
      // Without a wait nothing is awaited: requests leave in the order of the calls.
      while (!room.open) await within(room.ready(), end, "the network is broken");
      if (option.still && !option.still()) return {};
      const link = room.link!;
      try {
        return await link.request(type, { ...fields, room: room.id }, Math.min(timing.attempt, end - now()));
      } catch (thrown) {
        const error = asError(thrown);
        // The link's own word, not the code's: a server may say anything.
        const lost = !link.up;
        if (!option.repeat) throw lost ? new LiveRelayError(code.messageFailed, "the connection was lost while sending") : error;
        const pause = lost || error.code === code.timeout ? 0 : error.after || jitter(timing.pause * attempt);
        if ((!lost && !error.retryable) || now() + pause >= end) throw error;
        if (pause) await sleep(pause);
      }
    }
  }

  /** A report: sent when there is a connection, else dropped. */
  report(room: Room, type: string, fields: Frame): void {
    if (room.joined) room.link!.send(type, { ...fields, room: room.id });
  }

  /** Log lines for the operators. */
  tell(level: string, lines: string[]): boolean {
    if (!this.link || !this.link.up || this.rooms.size === 0) return false;
    this.link.send("log", { level, lines });
    return true;
  }

  /**
   * Finds out whether the connections still live: something else has had trouble with the network.
   */
  probe(): void {
    for (const link of this.links()) link.probe(timing.probe);
  }

  /** Stops everything; the connection ends when what was sent had time to leave. */
  destroy(): void {
    this.unwatch();
    this.stopReconnecting();
    this.lingerIfIdle();
  }

  /** The open connection, or one that opens. */
  private connect(): Promise<Link> {
    if (this.link && this.link.up && this.link !== this.parting) return Promise.resolve(this.link);
    if (this.dialling) return this.dialling;
    const first = this.server;
    const order = this.servers.map((_, i) => (first + i) % this.servers.length);
    let dialled = 0;
    const open = (index: number): Link => {
      const url = this.servers[index]!;
      this.log.debug(`connect ${host(url)}`);
      dialled++;
      const link: Link = new Link(this.platform.dial, url, timing.connect, {
        event: (frame) => this.event(link, frame),
        closed: (number, reason) => this.closed(link, number, reason),
      });
      link.opened.then(
        () => (this.server = index),
        () => undefined,
      );
      return link;
    };
    this.dialling = openFirst(order, open).then(
      (link) => {
        this.dialling = undefined;
        const before = this.link;
        this.link = link;
        if (before && !this.used(before)) before.close(1000, "moved");
        this.lingerIfIdle();
        return link;
      },
      (error) => {
        this.dialling = undefined;
        this.server = first + dialled;
        throw error;
      },
    );
    return this.dialling;
  }

  /**
   * Runs inside the reception of the login reply, so that no event of the room can come before it.
   */
  private joined(room: Room, link: Link, reply: Frame): void {
    room.check();
    this.rooms.set(room.id, room);
    const before = room.link;
    link.heartbeat(typeof reply.heartbeat === "number" ? reply.heartbeat : 20);
    room.enter(reply, link);
    if (before && before !== link && !this.used(before)) before.close(1000, "moved");
    this.log.flush();
  }

  private used(link: Link): boolean {
    return Array.from(this.rooms.values()).some((room) => room.link === link);
  }

  private links(): Set<Link> {
    const links = new Set<Link>();
    if (this.link) links.add(this.link);
    this.rooms.forEach((room) => room.link && links.add(room.link));
    return links;
  }

  private event(link: Link, frame: Frame): void {
    if (frame.type === "reconnect") return this.move(link, frame.within);
    const name = frame.room === undefined && this.rooms.size === 1 ? this.rooms.keys().next().value : frame.room;
    const room = this.rooms.get(name as string);
    // What comes on a connection that the room has left comes again on the other.
    if (room && room.link === link) room.event(frame);
  }

  /**
   * The server stops soon. The connection stays until another is there; the clients spread over the
   * time they have.
   */
  private move(link: Link, within: unknown): void {
    if (link !== this.link || link === this.parting) return;
    this.log.info("server asks to move");
    this.parting = link;
    this.server++;
    this.eagerUntil = now() + timing.eager;
    this.schedule((Math.random() * (typeof within === "number" ? Math.min(within, 4000) : 1000)) / 2);
  }

  private closed(link: Link, number: number, reason: string): void {
    // A room that is about to be resumed elsewhere, or whose server asked for that, has not lost
    // anything yet.
    let soft = number === moving || link === this.parting;
    if (link === this.link) this.link = undefined;
    if (link === this.parting) this.parting = undefined;
    const rooms = Array.from(this.rooms.values()).filter((room) => room.link === link);
    if (rooms.length === 0) return;
    this.log.warn(`connection closed: ${number} ${reason}`);
    for (const room of rooms) {
      room.link = undefined;
      soft = soft || (room.asked !== undefined && room.asked !== link && room.asked.up);
    }
    if (final.indexOf(number) >= 0) {
      for (const room of rooms) this.fail(room, new LiveRelayError(code.internal, `server closed: ${number} ${reason}`));
      return;
    }
    if (!this.lost) {
      this.lost = true;
      this.eagerUntil = now() + timing.eager;
      this.deadline = setTimeout(() => this.giveUp(), timing.giveUp);
    }
    const tell = (): void => {
      for (const room of Array.from(this.rooms.values())) if (!room.joined) room.lost();
    };
    clearTimeout(this.quiet);
    if (soft) this.quiet = setTimeout(tell, timing.quiet);
    else tell();
    // The app was shown again, or the network changed, and the connection proved dead: nothing to
    // wait for.
    const woken = now() - this.wokenAt < timing.probe + timing.linger;
    this.wokenAt = -Infinity;
    this.schedule(soft || woken ? 0 : undefined);
  }

  /** Plans the next try to connect. */
  private schedule(pause?: number): void {
    clearTimeout(this.retry);
    const most = now() < this.eagerUntil ? timing.eagerPause : timing.longestPause;
    if (pause === undefined) pause = jitter(Math.min(most, timing.pause * Math.pow(2, this.tries)));
    this.retry = setTimeout(() => void this.restore(), pause);
  }

  /** Connects, and resumes every room that is not joined there. Never rejects. */
  private async restore(): Promise<void> {
    if (this.restoring) return;
    this.restoring = true;
    let again = false;
    try {
      const link = await this.connect();
      for (const room of Array.from(this.rooms.values())) {
        if (room.link !== link || !link.up) again = !(await this.resume(room, link)) || again;
      }
    } catch {
      again = true;
    }
    this.restoring = false;
    if (this.rooms.size === 0) return this.lingerIfIdle();
    if (again || Array.from(this.rooms.values()).some((room) => !room.joined)) {
      this.tries++;
      this.schedule();
    } else this.stopReconnecting();
  }

  /** Resumes one room on a connection. False: it has to be tried again. */
  private async resume(room: Room, link: Link): Promise<boolean> {
    const before = room.joined ? room.link : undefined;
    try {
      if (before) {
        // What was asked there is answered there.
        room.move();
        await before.settled(timing.linger);
      }
      room.asked = link;
      await link.request("login", room.credentials(), timing.attempt, (reply) => this.rooms.get(room.id) === room && this.joined(room, link, reply));
      return true;
    } catch (thrown) {
      const error = asError(thrown);
      if (room.fallback(error)) return this.resume(room, link);
      const temporary = error.retryable || error.code === code.networkBroken || error.code === code.internal;
      if (error.code === code.networkBroken) this.server++;
      // Whether it took the login is unknown: start over on a connection that knows nothing.
      if (error.code === code.timeout) link.close(4000, "no answer to login");
      // A room that is still joined where it was stays there until that ends.
      if (temporary || room.joined) return false;
      if (this.rooms.get(room.id) === room) this.fail(room, error);
      return true;
    } finally {
      room.moved();
    }
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

  private sayGoodbye(room: Room): void {
    const login = room.farewell();
    if (!login || this.goodbyes.has(room.id) || this.rooms.has(room.id)) return;
    const servers = this.servers.map((_, i) => this.servers[(this.server + i) % this.servers.length]!);
    this.goodbyes.set(room.id, new Goodbye(this.platform, servers, login, room.grace, () => this.goodbyes.delete(room.id)));
  }

  private stopReconnecting(): void {
    clearTimeout(this.retry);
    clearTimeout(this.deadline);
    clearTimeout(this.quiet);
    this.lost = false;
    this.tries = 0;
  }

  /**
   * The app was shown again, or the network changed: a mini program's sockets die in the background
   * without a word.
   */
  private wake(online: boolean): void {
    this.wokenAt = now();
    if (online) this.eagerUntil = now() + timing.eager;
    this.probe();
    if (online && this.lost) {
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
function within<T>(promise: Promise<T>, end: number, otherwise: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new LiveRelayError(code.networkBroken, otherwise)), Math.max(0, end - now()));
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
