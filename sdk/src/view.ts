import type { Frame } from "./link.js";
import { type Info, Merge } from "./merge.js";
import type { RoomExtraInfo, Stream, User } from "./type.js";

/**
 * What is missing in a room that a restarted server made anew may still come back in this time, ms.
 */
const settling = 15000;
/** PROTOCOL.md §3: the media connection was lost. */
const lostMedia = 5;

/**
 * This client's copy of a room: who and what is there. Tells the application what changes in it.
 */
export class View {
  private readonly users = new Map<string, User>();
  private readonly streams = new Map<string, Stream>();
  private readonly merge: Merge;
  /** Not seen again yet after the server's restart. */
  private readonly missingUsers = new Set<string>();
  private readonly missingStreams = new Set<string>();
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly me: string, private readonly wantsUsers: boolean, private readonly emit: (event: string, ...args: unknown[]) => void) {
    this.merge = new Merge(emit);
  }

  /** Whether the room lists this stream. */
  has(streamID: string): boolean {
    return this.streams.has(streamID);
  }

  /** Takes an event that changes the room, or speaks in it. */
  event(frame: Frame): void {
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
        return this.merge.message("IMRecvBroadcastMessage", asMessages(frame.messages));
      case "barrage":
        return this.merge.message("IMRecvBarrageMessage", asMessages(frame.messages));
      case "custom":
        this.merge.flush();
        return this.emit("IMRecvCustomCommand", asUser(frame.fromUser) || { userID: "", userName: "" }, String(frame.message));
      case "userCount":
        return this.count(frame.count);
    }
  }

  /**
   * Makes the copy equal to a snapshot and tells the difference. In a room that is `anew`, because
   * the server was restarted, the others are about to come back as we did: who does is not told.
   */
  replace(snapshot: Frame, anew: boolean): void {
    this.settled();
    const streams = asStreams(snapshot.streams);
    const goneStreams = missing(this.streams, streams.map((s) => s.streamID));
    if (Array.isArray(snapshot.users)) {
      const users = asUsers(snapshot.users);
      const gone = missing(this.users, users.map((u) => u.userID));
      if (anew) for (const { userID } of gone) this.missingUsers.add(userID);
      else this.removeUsers(gone);
      this.addUsers(users);
    }
    if (anew) {
      for (const { streamID } of goneStreams) this.missingStreams.add(streamID);
      this.timer = setTimeout(() => this.settle(), settling);
    } else this.removeStreams(goneStreams, []);
    this.addStreams(streams);
    this.extraInfo(snapshot.roomExtraInfo);
    this.count(snapshot.userCount);
  }

  /** The room is over for us: what waits is told. */
  stop(): void {
    this.settled();
    this.merge.stop();
  }

  /** Who has not come back until now has gone. */
  private settle(): void {
    const streams = Array.from(this.streams.values()).filter((s) => this.missingStreams.has(s.streamID));
    const users = Array.from(this.users.values()).filter((u) => this.missingUsers.has(u.userID));
    this.settled();
    this.removeStreams(streams, streams.map(({ streamID }) => ({ streamID, code: lostMedia })));
    this.removeUsers(users);
  }

  private settled(): void {
    clearTimeout(this.timer);
    this.missingUsers.clear();
    this.missingStreams.clear();
  }

  private addUsers(list: User[]): void {
    const added = list.filter((u) => u.userID !== this.me && !this.users.has(u.userID));
    // A user who is known already has only changed the name.
    for (const u of list) {
      if (u.userID !== this.me) this.users.set(u.userID, u);
      this.missingUsers.delete(u.userID);
    }
    if (added.length && this.wantsUsers) this.merge.user("ADD", added);
  }

  private removeUsers(list: User[]): void {
    const removed = list.filter((u) => this.users.delete(u.userID));
    if (removed.length && this.wantsUsers) this.merge.user("DELETE", removed);
  }

  private addStreams(list: Stream[]): void {
    const added: Stream[] = [];
    const informed: Info[] = [];
    for (const stream of list) {
      if (stream.user.userID === this.me) continue;
      const known = this.streams.get(stream.streamID);
      if (!known) added.push(stream);
      if (known ? known.extraInfo !== stream.extraInfo : stream.extraInfo) {
        informed.push({ streamID: stream.streamID, user: stream.user, extraInfo: stream.extraInfo });
      }
      this.streams.set(stream.streamID, stream);
      this.missingStreams.delete(stream.streamID);
    }
    if (added.length) this.merge.stream({ update: "ADD", list: added.map(copy), reasons: [] });
    if (informed.length) this.merge.info(informed);
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
    this.merge.stream({ update: "DELETE", list: removed, reasons: why });
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
    if (!extra.length) return;
    this.merge.flush();
    this.emit("roomExtraInfoUpdate", extra);
  }

  private count(count: unknown): void {
    if (typeof count === "number") this.emit("roomOnlineUserCountUpdate", count);
  }
}

/** What of a map is not among these. */
function missing<T>(map: Map<string, T>, ids: string[]): T[] {
  const present = new Set(ids);
  return Array.from(map.entries())
    .filter(([id]) => !present.has(id))
    .map(([, value]) => value);
}

export function isObject(x: unknown): x is Frame {
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
