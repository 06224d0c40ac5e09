import { checkRoomID, checkToken, checkUser } from "./check.js";
import { code, LiveRelayError, quiet } from "./code.js";
import type { Frame, Link } from "./link.js";
import type { RoomConfig, RoomState, RoomStateReason, User } from "./type.js";
import { isObject, View } from "./view.js";

/** Who is told of a room. */
export interface RoomHandler {
  emit(event: string, ...args: unknown[]): void;
  /** The server's word on an own publish or a play. */
  publisherState(room: Room, frame: Frame): void;
  playerState(room: Room, frame: Frame): void;
  /** Back after a lost link. `fresh`: the server knows nothing of the streams any more. */
  restored(room: Room, fresh: boolean): void;
  /** The room is over for us. */
  ended(room: Room, number: number): void;
}

/**
 * tokenWillExpire comes so long before the end, ms; the server tells it too, so ours waits a
 * little.
 */
const warning = 30000;
const courtesy = 2000;

/** The longest a timer can wait. */
const longest = 0x7fffffff;

/** Codes with which a server refuses a token. */
const tokenCodes: number[] = [code.tokenError, code.tokenExpired, code.loginDenied];

/** One room: the state of its membership, and what of it goes to the application. */
export class Room {
  /** The connection on which the login to it is confirmed. */
  link: Link | undefined;
  /** The connection that was last asked for a login. */
  asked: Link | undefined;
  /** How long the server keeps a membership without a connection, ms. */
  grace = 90000;
  private state: RoomState = "DISCONNECTED";
  private cancelled: LiveRelayError | undefined;
  private session = "";
  private seq = 0;
  /** What was told on the connection before this one: not again. */
  private floor = 0;
  /** The room's own run: another one, and the server has forgotten everything. */
  private run = "";
  /** A token of renewToken that no server has taken yet, and the one that the last login named. */
  private renewal = "";
  private named = "";
  /** It changes its connection just now: requests wait. */
  private moving = false;
  private grown = false;
  private told = false;
  private readonly view: View;
  /** Events wait here until the promise of loginRoom has been seen by its caller. */
  private held: (() => void)[] | undefined;
  private expiry: ReturnType<typeof setTimeout> | undefined;
  private readiness: { promise: Promise<void>; resolve: () => void; reject: (error: LiveRelayError) => void } | undefined;

  constructor(
    readonly id: string,
    private token: string,
    readonly user: Required<User>,
    private readonly app: { appID?: number; app?: string },
    private readonly config: RoomConfig,
    private readonly handler: RoomHandler,
  ) {
    this.view = new View(user.userID, config.userUpdate === true, (event, ...args) => this.deliver(event, id, ...args));
  }

  /** Checks what the application gave; throws the documented code. */
  static verify(id: unknown, token: unknown, user: unknown): void {
    checkRoomID(id);
    checkUser(user);
    checkToken(token);
  }

  get connected(): boolean {
    return this.state === "CONNECTED";
  }

  /** The login to it is confirmed on a connection that is there. */
  get joined(): boolean {
    return this.link !== undefined && this.link.up;
  }

  /** Logged in, perhaps reconnecting just now. */
  get live(): boolean {
    return this.grown && !this.cancelled;
  }

  /** Emits the pair of state events: the state only when it changes, the reason always. */
  transit(state: RoomState, reason: RoomStateReason, number = 0, extendedData = ""): void {
    const changed = state !== this.state;
    this.state = state;
    if (changed) this.handler.emit("roomStateUpdate", this.id, state, number, extendedData);
    this.handler.emit("roomStateChanged", this.id, reason, number, extendedData);
  }

  /** Throws once the login was cancelled. */
  check(): void {
    if (this.cancelled) throw this.cancelled;
  }

  /** The fields of a login or a resume. */
  credentials(): Frame {
    this.named = this.renewal || this.token;
    return {
      ...this.app,
      room: this.id,
      user: this.user.userID,
      userName: this.user.userName,
      token: this.named,
      config: { userUpdate: this.config.userUpdate === true, maxMemberCount: this.config.maxMemberCount || 0 },
      resume: this.session ? { session: this.session, seq: this.seq } : undefined,
    };
  }

  /**
   * What ends a membership that has lost its connection: a login that must find it, else does
   * nothing.
   */
  farewell(): Frame | undefined {
    if (!this.session) return undefined;
    return { ...this.credentials(), token: this.token, resume: { session: this.session, seq: this.seq, only: true } };
  }

  /** Takes a new token, to be confirmed by a server; until then the old one stays. */
  renew(token: string): void {
    this.renewal = token;
  }

  /** Whether a token waits to be confirmed. */
  renewing(token: string): boolean {
    return this.renewal === token;
  }

  /** A server took the token. */
  renewed(token: string): void {
    if (this.renewal !== token) return;
    this.token = token;
    this.renewal = "";
  }

  /** A server refused the token: the one before it is used on, and the application told. */
  unrenewed(token: string, error: LiveRelayError): void {
    if (this.renewal !== token || this.cancelled) return;
    this.renewal = "";
    this.handler.emit("renewTokenFailed", this.id, error.code, error.msg);
  }

  /**
   * A login was refused. True: only because of a new token, it may be tried again with the old one.
   */
  fallback(error: LiveRelayError): boolean {
    if (!this.renewal || this.named !== this.renewal || tokenCodes.indexOf(error.code) < 0) return false;
    this.unrenewed(this.named, error);
    return true;
  }

  /** Whether requests can be sent just now. */
  get open(): boolean {
    return this.joined && !this.moving;
  }

  /** Requests wait from now on: the room moves to another connection. */
  move(): void {
    this.moving = true;
  }

  /** It has moved, or stays. */
  moved(): void {
    this.moving = false;
    if (this.joined) this.resolve();
  }

  /** A promise of the moment when requests can be sent; rejected when that moment never comes. */
  ready(): Promise<void> {
    if (this.open) return Promise.resolve();
    if (this.cancelled) return Promise.reject(this.cancelled);
    if (!this.readiness) {
      let resolve!: () => void;
      let reject!: (error: LiveRelayError) => void;
      const promise = new Promise<void>((yes, no) => {
        resolve = yes;
        reject = no;
      });
      this.readiness = { promise: quiet(promise), resolve, reject };
    }
    return this.readiness.promise;
  }

  /** Takes the server's reply to a login or a resume on a connection. */
  enter(reply: Frame, link: Link): void {
    const first = !this.grown;
    const resumed = reply.resumed === true && !first;
    const anew = !resumed && typeof reply.roomSession === "string" && this.run !== "" && reply.roomSession !== this.run;
    this.grown = true;
    this.link = link;
    this.renewed(this.named);
    if (typeof reply.roomSession === "string") this.run = reply.roomSession;
    if (typeof reply.grace === "number" && reply.grace > 0) this.grace = reply.grace * 1000;
    this.floor = this.moving && resumed ? this.seq : 0;
    if (typeof reply.session === "string") this.session = reply.session;
    if (typeof reply.seq === "number" && !(resumed && !reply.snapshot)) this.seq = reply.seq;
    const silent = !first && !this.told;
    this.told = false;
    if (first) {
      this.hold();
      this.transit("CONNECTED", "LOGINED");
    } else if (!silent) this.transit("CONNECTED", "RECONNECTED");
    this.moved();
    if (isObject(reply.snapshot)) this.view.replace(reply.snapshot, anew);
    this.expires(reply.tokenExpires);
    if (!first) this.handler.restored(this, !resumed);
  }

  /** So many seconds the token lasts. The server's own warning may fall into a lost link. */
  expires(seconds: unknown): void {
    clearTimeout(this.expiry);
    if (typeof seconds !== "number" || this.cancelled) return;
    const wait = Math.max(0, seconds * 1000 - warning) + courtesy;
    if (wait <= longest) this.expiry = setTimeout(() => this.warn(), wait);
  }

  private warn(): void {
    clearTimeout(this.expiry);
    this.deliver("tokenWillExpire", this.id);
  }

  /** The link is lost; the SDK works on it. */
  lost(): void {
    if (this.told) return;
    this.told = true;
    this.transit("CONNECTING", "RECONNECTING", code.networkBroken);
  }

  /** Reconnecting failed for good. */
  fail(error: LiveRelayError): void {
    const kicked = error.code === code.kickedByLogin || error.code === code.kickedByServer;
    this.end(error.code, error.msg, kicked ? "KICKOUT" : "RECONNECT_FAILED", error.extendedData);
  }

  /** Ends the membership: first the own streams, then the room. Idempotent. */
  end(number: number, msg: string, reason: RoomStateReason, extendedData = ""): void {
    if (this.cancelled) return;
    this.cancelled = new LiveRelayError(reason === "LOGOUT" ? code.loginCancelled : number || code.roomNotLoggedIn, msg);
    this.link = undefined;
    clearTimeout(this.expiry);
    if (this.readiness) this.readiness.reject(this.cancelled);
    this.view.stop();
    this.held = undefined;
    this.handler.ended(this, number);
    this.transit("DISCONNECTED", reason, number, extendedData);
  }

  /** Whether the room lists this stream. */
  has(streamID: string): boolean {
    return this.view.has(streamID);
  }

  /** Takes an event of this room. */
  event(frame: Frame): void {
    // publisherState carries the number of the stream's own event, which may come before or after
    // it.
    if (typeof frame.seq === "number" && frame.type !== "publisherState") {
      if (frame.seq < this.seq && frame.type !== "snapshot") return;
      // What stands in the copy already is not told again by itself; these are.
      if (frame.seq <= this.floor && (frame.type === "broadcast" || frame.type === "custom" || frame.type === "roomExtraInfo")) return;
      this.seq = frame.seq;
    }
    switch (frame.type) {
      case "tokenWillExpire":
        return this.warn();
      case "snapshot":
        return isObject(frame.snapshot) ? this.view.replace(frame.snapshot, false) : undefined;
      case "publisherState":
        return this.handler.publisherState(this, frame);
      case "playerState":
        return this.handler.playerState(this, frame);
      case "kicked": {
        const number = typeof frame.code === "number" ? frame.code : code.kickedByServer;
        const custom = typeof frame.custom === "string" ? JSON.stringify({ custom_kickout_message: frame.custom }) : "";
        return this.end(number, String(frame.msg || "kicked"), "KICKOUT", custom);
      }
    }
    this.view.event(frame);
  }

  private resolve(): void {
    if (this.readiness) this.readiness.resolve();
    this.readiness = undefined;
  }

  private hold(): void {
    this.held = [];
    setTimeout(() => {
      const held = this.held || [];
      this.held = undefined;
      for (const call of held) call();
    }, 0);
  }

  private deliver(event: string, ...args: unknown[]): void {
    const call = (): void => this.handler.emit(event, ...args);
    if (this.held) this.held.push(call);
    else call();
  }
}
