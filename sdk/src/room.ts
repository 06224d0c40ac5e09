import { checkRoomID, checkToken, checkUser } from "./check.js";
import { code, LiveRelayError, quiet } from "./code.js";
import type { Frame, Link } from "./link.js";
import type { RoomConfig, RoomExtraInfo, RoomState, RoomStateReason, Stream, User } from "./type.js";

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

/** tokenWillExpire comes so long before the end, ms; the server tells it too, so ours waits a little. */
const warning = 30000;
const courtesy = 2000;

/** The longest a timer can wait. */
const longest = 0x7fffffff;

/** This client's copy of one room, and the state of its membership. */
export class Room {
  /** The login to it is confirmed on the present connection. */
  joined = false;
  /** The connection that was last asked for a login. */
  asked: Link | undefined;
  private state: RoomState = "DISCONNECTED";
  private cancelled: LiveRelayError | undefined;
  private session = "";
  private seq = 0;
  private grown = false;
  private told = false;
  private readonly users = new Map<string, User>();
  private readonly streams = new Map<string, Stream>();
  /** Events wait here until the promise of loginRoom has been seen by its caller. */
  private held: (() => void)[] | undefined;
  private expiry: ReturnType<typeof setTimeout> | undefined;
  private readiness: { promise: Promise<void>; resolve: () => void; reject: (error: LiveRelayError) => void } | undefined;

  constructor(
    readonly id: string,
    public token: string,
    readonly user: Required<User>,
    private readonly appID: number,
    private readonly config: RoomConfig,
    private readonly handler: RoomHandler,
  ) {}

  /** Checks what the application gave; throws the documented code. */
  static verify(id: unknown, token: unknown, user: unknown): void {
    checkRoomID(id);
    checkUser(user);
    checkToken(token);
  }

  get connected(): boolean {
    return this.state === "CONNECTED";
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
    return {
      appID: this.appID,
      room: this.id,
      user: this.user.userID,
      userName: this.user.userName,
      token: this.token,
      config: { userUpdate: this.config.userUpdate === true, maxMemberCount: this.config.maxMemberCount || 0 },
      resume: this.session ? { session: this.session, seq: this.seq } : undefined,
    };
  }

  /** A promise of the moment when requests can be sent; rejected when that moment never comes. */
  ready(): Promise<void> {
    if (this.joined) return Promise.resolve();
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

  /** Takes the server's reply to a login or a resume. */
  enter(reply: Frame): void {
    const first = !this.grown;
    const resumed = reply.resumed === true && !first;
    this.grown = true;
    this.joined = true;
    if (typeof reply.session === "string") this.session = reply.session;
    if (typeof reply.seq === "number" && !(resumed && !reply.snapshot)) this.seq = reply.seq;
    const silent = !first && !this.told;
    this.told = false;
    if (first) {
      this.hold();
      this.transit("CONNECTED", "LOGINED");
    } else if (!silent) this.transit("CONNECTED", "RECONNECTED");
    if (this.readiness) {
      this.readiness.resolve();
      this.readiness = undefined;
    }
    if (isObject(reply.snapshot)) this.replace(reply.snapshot);
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
    this.joined = false;
    clearTimeout(this.expiry);
    if (this.readiness) this.readiness.reject(this.cancelled);
    this.held = undefined;
    this.handler.ended(this, number);
    this.transit("DISCONNECTED", reason, number, extendedData);
  }

  /** Whether the room lists this stream. */
  has(streamID: string): boolean {
    return this.streams.has(streamID);
  }

  /** Takes an event of this room. */
  event(frame: Frame): void {
    // publisherState carries the number of the stream's own event, which may come before or after it.
    if (typeof frame.seq === "number" && frame.type !== "publisherState") {
      if (frame.seq < this.seq && frame.type !== "snapshot") return;
      this.seq = frame.seq;
    }
    switch (frame.type) {
      case "userUpdate":
        return frame.update === "DELETE" ? this.removeUsers(asUsers(frame.users)) : this.addUsers(asUsers(frame.users));
      case "streamUpdate":
        if (frame.update === "DELETE") return this.removeStreams(asStreams(frame.streams), asList(frame.reasons));
        return this.addStreams(asStreams(frame.streams));
      case "streamExtraInfo":
        return this.addStreams(asStreams(frame.streams).filter((s) => this.streams.has(s.streamID)));
      case "roomExtraInfo":
        return this.extraInfo(frame.extraInfo);
      case "broadcast":
        return this.deliver("IMRecvBroadcastMessage", this.id, asMessages(frame.messages));
      case "barrage":
        return this.deliver("IMRecvBarrageMessage", this.id, asMessages(frame.messages));
      case "custom":
        return this.deliver("IMRecvCustomCommand", this.id, asUser(frame.fromUser) || { userID: "", userName: "" }, String(frame.message));
      case "userCount":
        return this.count(frame.count);
      case "tokenWillExpire":
        return this.warn();
      case "snapshot":
        return isObject(frame.snapshot) ? this.replace(frame.snapshot) : undefined;
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
  }

  /** Makes the copy equal to a snapshot and tells the difference. */
  private replace(snapshot: Frame): void {
    if (Array.isArray(snapshot.users)) {
      const users = asUsers(snapshot.users);
      const present = new Set(users.map((u) => u.userID));
      this.removeUsers(Array.from(this.users.values()).filter((u) => !present.has(u.userID)));
      this.addUsers(users);
    }
    const streams = asStreams(snapshot.streams);
    const present = new Set(streams.map((s) => s.streamID));
    const gone = Array.from(this.streams.values()).filter((s) => !present.has(s.streamID));
    this.removeStreams(gone, []);
    this.addStreams(streams);
    this.extraInfo(snapshot.roomExtraInfo);
    this.count(snapshot.userCount);
  }

  private addUsers(list: User[]): void {
    const added = list.filter((u) => u.userID !== this.user.userID && !this.users.has(u.userID));
    // A user who is known already has only changed the name.
    for (const u of list) if (u.userID !== this.user.userID) this.users.set(u.userID, u);
    if (added.length && this.config.userUpdate) this.deliver("roomUserUpdate", this.id, "ADD", added);
  }

  private removeUsers(list: User[]): void {
    const removed = list.filter((u) => this.users.delete(u.userID));
    if (removed.length && this.config.userUpdate) this.deliver("roomUserUpdate", this.id, "DELETE", removed);
  }

  private addStreams(list: Stream[]): void {
    const added: Stream[] = [];
    const informed: { streamID: string; user: User; extraInfo: string }[] = [];
    for (const stream of list) {
      if (stream.user.userID === this.user.userID) continue;
      const known = this.streams.get(stream.streamID);
      if (!known) added.push(stream);
      if (known ? known.extraInfo !== stream.extraInfo : stream.extraInfo) {
        informed.push({ streamID: stream.streamID, user: stream.user, extraInfo: stream.extraInfo });
      }
      this.streams.set(stream.streamID, stream);
    }
    if (added.length) this.deliver("roomStreamUpdate", this.id, "ADD", added.map(copy), "");
    if (informed.length) this.deliver("streamExtraInfoUpdate", this.id, informed);
  }

  private removeStreams(list: Stream[], reasons: unknown[]): void {
    const removed: Stream[] = [];
    for (const { streamID } of list) {
      const known = this.streams.get(streamID);
      if (known) removed.push(known);
      this.streams.delete(streamID);
    }
    if (removed.length === 0) return;
    const codes = new Map<unknown, unknown>();
    for (const r of reasons) if (isObject(r)) codes.set(r.streamID, r.code);
    const why = removed.map(({ streamID }) => ({ stream_id: streamID, code: codes.get(streamID) || 1 }));
    this.deliver("roomStreamUpdate", this.id, "DELETE", removed, JSON.stringify({ stream_delete_reason: why }));
  }

  private extraInfo(list: unknown): void {
    const extra = asList(list)
      .filter(isObject)
      .map((e): RoomExtraInfo => ({
        key: String(e.key),
        value: String(e.value),
        updateUser: asUser(e.updateUser) || { userID: "", userName: "" },
        updateTime: typeof e.updateTime === "number" ? e.updateTime : 0,
      }));
    if (extra.length) this.deliver("roomExtraInfoUpdate", this.id, extra);
  }

  private count(count: unknown): void {
    if (typeof count === "number") this.deliver("roomOnlineUserCountUpdate", this.id, count);
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

function isObject(x: unknown): x is Frame {
  return typeof x === "object" && x !== null && !Array.isArray(x);
}

function asList(x: unknown): unknown[] {
  return Array.isArray(x) ? x : [];
}

function asUser(x: unknown): Required<User> | undefined {
  if (!isObject(x) || typeof x.userID !== "string") return undefined;
  return { userID: x.userID, userName: typeof x.userName === "string" ? x.userName : x.userID };
}

function asUsers(x: unknown): User[] {
  return asList(x)
    .map(asUser)
    .filter((u): u is Required<User> => u !== undefined);
}

function asStreams(x: unknown): Stream[] {
  const streams: Stream[] = [];
  for (const item of asList(x)) {
    if (!isObject(item) || typeof item.streamID !== "string") continue;
    streams.push({
      streamID: item.streamID,
      user: asUser(item.user) || { userID: "", userName: "" },
      extraInfo: typeof item.extraInfo === "string" ? item.extraInfo : "",
      urlsFLV: "",
      urlsRTMP: "",
      urlsHLS: "",
      urlsHttpsFLV: "",
      urlsHttpsHLS: "",
    });
  }
  return streams;
}

function asMessages(x: unknown): unknown[] {
  return asList(x)
    .filter(isObject)
    .map((m) => ({ ...m, fromUser: asUser(m.fromUser) || { userID: "", userName: "" } }));
}

/** Handlers may keep and change what they get. */
function copy(stream: Stream): Stream {
  return { ...stream };
}
