// A signalling server in this process that keeps to room/signal/PROTOCOL.md: rooms with a
// sequence and a log, sessions with a grace, resume, kicks. Several hosts share its
// rooms as a cluster's nodes do, and each of them can misbehave.

import { Line, refusal } from "./line.js";

type Frame = Record<string, any>;

interface Member {
  user: { userID: string; userName: string };
  session: string;
  userUpdate: boolean;
  conn?: Conn;
  grace?: ReturnType<typeof setTimeout>;
}

interface FakeStream {
  streamID: string;
  user: { userID: string; userName: string };
  extraInfo: string;
  createTime: number;
}

let runs = 0;

class FakeRoom {
  /** Another one when the server made it anew. */
  readonly run = `run${++runs}`;
  seq = 0;
  members = new Map<string, Member>();
  streams = new Map<string, FakeStream>();
  /** Publishes that were asked for: their media may come. */
  pending = new Map<string, FakeStream>();
  extra = new Map<string, Frame>();
  log: { seq: number; frame: Frame; to?: string; from?: string }[] = [];
  forgotten = 0;
}

/** One end of a WebSocket as the server sees it. */
export interface Conn {
  host: Host;
  rooms: Set<string>;
  client: { message(text: string): void; close(code: number, reason: string): void };
  open: boolean;
}

/** How one host treats its clients. */
export interface Host {
  name: string;
  /**
   * refuse: new connections fail at once; hang: they never open; mute: opens but never answers;
   * drop: closes at the first frame; garbage: answers nonsense.
   */
  mode: "up" | "refuse" | "hang" | "mute" | "drop" | "garbage";
}

export class FakeServer {
  readonly rooms = new Map<string, FakeRoom>();
  readonly hosts = new Map<string, Host>();
  readonly conns = new Set<Conn>();
  /** Every request with the host that got it. */
  readonly received: Frame[] = [];
  readonly dialled: string[] = [];
  /** The sockets that wx has open, or opening: five at most. */
  readonly tasks = new Set<object>();
  /** One way, ms. */
  latency = 1;
  grace = 90000;
  heartbeat = 20;
  tokenExpires = 3600;
  /** Errors to answer with, by request type; a function may decide by the frame. */
  readonly refuse = new Map<string, Frame | ((frame: Frame) => Frame | undefined)>();
  /** Requests that get no reply. */
  readonly silent = new Set<string>();
  /** Changes a reply before it leaves. */
  tamper: ((type: string, reply: Frame) => Frame) | undefined;
  private number = 0;

  constructor(...hosts: string[]) {
    for (const name of hosts.length ? hosts : ["a.test"]) this.hosts.set(name, { name, mode: "up" });
  }

  host(name = "a.test"): Host {
    return this.hosts.get(name)!;
  }

  room(id: string): FakeRoom {
    let room = this.rooms.get(id);
    if (!room) this.rooms.set(id, (room = new FakeRoom()));
    return room;
  }

  /** Requests of one type, in order. */
  asked(type: string): Frame[] {
    return this.received.filter((f) => f.type === type);
  }

  // The client's side

  /** A WebSocket class that dials this server. */
  get WebSocket(): new (url: string) => unknown {
    const server = this;
    return class {
      onopen?: () => void;
      onmessage?: (e: { data: string }) => void;
      onclose?: (e: { code: number; reason: string }) => void;
      readonly line: Line;
      constructor(url: string) {
        this.line = new Line(server, url, {
          open: () => this.onopen?.(),
          message: (data) => this.onmessage?.({ data }),
          close: (code, reason) => this.onclose?.({ code, reason }),
        });
      }
      send(text: string): void {
        this.line.send(text);
      }
      close(code = 1000, reason = ""): void {
        const wrong = refusal(code, reason);
        if (wrong) throw new Error(wrong);
        this.line.close(code, reason);
      }
    };
  }

  /** wx.connectSocket that dials this server. */
  connectSocket = (option: { url: string; fail?: (e: object) => void }): object => {
    const handlers: Record<string, (x?: any) => void> = {};
    const tasks = this.tasks;
    if (tasks.size >= 5) {
      setTimeout(() => option.fail?.({ errMsg: "connectSocket:fail exceed max task count" }), 0);
      return { onOpen() {}, onMessage() {}, onClose() {}, onError() {}, send() {}, close() {} };
    }
    const line = new Line(this, option.url, {
      open: () => handlers.open?.({}),
      message: (data) => handlers.message?.({ data }),
      close: (code, reason) => (tasks.delete(line), handlers.close?.({ code, reason })),
    });
    tasks.add(line);
    return {
      onOpen: (f: () => void) => (handlers.open = f),
      onMessage: (f: () => void) => (handlers.message = f),
      onClose: (f: () => void) => (handlers.close = f),
      onError: (f: () => void) => (handlers.error = f),
      send: (o: { data: string; fail?: () => void }) => (line.open ? line.send(o.data) : o.fail?.()),
      close: (o: { code: number; reason: string; fail?: (e: object) => void }) => {
        const errMsg = refusal(o.code, o.reason);
        if (errMsg) return o.fail?.({ errMsg });
        tasks.delete(line);
        line.close(o.code, o.reason);
      },
    };
  };

  // What tests do to it

  /** Cuts every connection (of a user) without a word to either side's application. */
  cut(userID?: string, code = 1006, reason = ""): void {
    for (const conn of Array.from(this.conns)) {
      if (userID && !this.users(conn).includes(userID)) continue;
      this.lose(conn);
      conn.client.close(code, reason);
    }
  }

  /** It is killed and comes up again with nothing in its memory. */
  restart(): void {
    for (const room of this.rooms.values()) for (const member of room.members.values()) clearTimeout(member.grace);
    this.rooms.clear();
    this.cut();
  }

  /** The media of a publish URL arrives. */
  push(streamID: string, roomID = "r1"): void {
    const room = this.room(roomID);
    const stream = room.pending.get(streamID);
    if (!stream || room.streams.has(streamID)) return;
    stream.createTime = Date.now();
    room.streams.set(streamID, stream);
    const seq = this.happen(room, { type: "streamUpdate", room: roomID, update: "ADD", streams: [{ ...stream }] });
    this.to(room, stream.user.userID, { type: "publisherState", room: roomID, seq, streamID, state: "PUBLISHING", errorCode: 0 });
  }

  /** The media of a stream is gone. */
  unpush(streamID: string, code = 5, roomID = "r1", errorCode = 0): void {
    const room = this.room(roomID);
    const stream = room.streams.get(streamID);
    if (!stream) return;
    room.streams.delete(streamID);
    const seq = this.happen(room, {
      type: "streamUpdate",
      room: roomID,
      update: "DELETE",
      streams: [{ streamID, user: stream.user }],
      reasons: [{ streamID, code }],
    });
    this.to(room, stream.user.userID, { type: "publisherState", room: roomID, seq, streamID, state: "NO_PUBLISH", errorCode, msg: "media gone" });
  }

  /** An event for one member, as it is. */
  tell(userID: string, frame: Frame, roomID = "r1"): void {
    this.to(this.room(roomID), userID, { room: roomID, ...frame });
  }

  /** A sequenced event for everybody. */
  happen(room: FakeRoom, frame: Frame, to?: string): number {
    const seq = ++room.seq;
    const full = { ...frame, seq };
    room.log.push({ seq, frame: full, to });
    for (const [userID, member] of room.members) {
      if (to !== undefined && to !== userID) continue;
      if (frame.type === "userUpdate" && !member.userUpdate) continue;
      if (member.conn) this.send(member.conn, full);
    }
    return seq;
  }

  /** Somebody who is there without an SDK. */
  join(userID: string, roomID = "r1"): void {
    const room = this.room(roomID);
    const user = { userID, userName: userID.toUpperCase() };
    room.members.set(userID, { user, session: `s${++this.number}`, userUpdate: false });
    this.happen(room, { type: "userUpdate", room: roomID, update: "ADD", users: [user] });
  }

  /** Somebody without an SDK publishes. */
  publish(userID: string, streamID: string, extraInfo = "", roomID = "r1"): void {
    const room = this.room(roomID);
    const user = room.members.get(userID)?.user || { userID, userName: userID };
    room.pending.set(streamID, { streamID, user, extraInfo, createTime: 0 });
    this.push(streamID, roomID);
  }

  leave(userID: string, roomID = "r1", code = 1): void {
    const room = this.room(roomID);
    const member = room.members.get(userID);
    if (!member) return;
    clearTimeout(member.grace);
    member.conn?.rooms.delete(roomID);
    room.members.delete(userID);
    for (const s of Array.from(room.streams.values())) if (s.user.userID === userID) this.unpush(s.streamID, code, roomID);
    for (const s of Array.from(room.pending.values())) if (s.user.userID === userID) room.pending.delete(s.streamID);
    this.happen(room, { type: "userUpdate", room: roomID, update: "DELETE", users: [member.user] });
  }

  kick(userID: string, code: number, custom?: string, roomID = "r1"): void {
    const conn = this.room(roomID).members.get(userID)?.conn;
    if (conn) this.send(conn, { type: "kicked", room: roomID, code, msg: "kicked", custom });
    this.leave(userID, roomID, code === 1002050 ? 3 : 4);
  }

  // Inside

  /** @internal */
  accept(url: string, client: Conn["client"]): Conn | Host["mode"] {
    const name = url.split("/")[2]!;
    this.dialled.push(url);
    const host = this.hosts.get(name);
    if (!host || host.mode === "refuse") return "refuse";
    if (host.mode === "hang") return "hang";
    const conn: Conn = { host, rooms: new Set(), client, open: true };
    this.conns.add(conn);
    return conn;
  }

  /** @internal */
  message(conn: Conn, text: string): void {
    if (!conn.open) return;
    const frame = JSON.parse(text) as Frame;
    this.received.push({ ...frame, host: conn.host.name });
    switch (conn.host.mode) {
      case "mute":
        return;
      case "drop":
        this.lose(conn);
        return conn.client.close(1006, "dropped");
      case "garbage":
        for (let i = 0; i < 12; i++) conn.client.message(["{", "[1]", '"x"', "null"][i % 4]!);
        return;
    }
    if (this.silent.has(frame.type)) return;
    const refuse = this.refuse.get(frame.type);
    const error = typeof refuse === "function" ? refuse(frame) : refuse;
    let reply: Frame;
    if (error) reply = { id: frame.id, error };
    else reply = { id: frame.id, ...this.handle(conn, frame) };
    if (this.tamper) reply = this.tamper(frame.type, reply);
    if (frame.id !== undefined) this.send(conn, reply);
    for (const f of this.after.splice(0)) this.send(conn, f);
  }

  /** Frames that follow the reply being made. */
  private readonly after: Frame[] = [];

  private handle(conn: Conn, f: Frame): Frame {
    if (f.type === "ping") return { time: Date.now() };
    if (f.type === "log") return {};
    if (f.type === "login") return this.login(conn, f);
    const room = this.room(f.room);
    if (!conn.rooms.has(f.room)) return error(conn.rooms.size ? 1002002 : 1000002, "not logged in");
    const member = Array.from(room.members.values()).find((m) => m.conn === conn)!;
    switch (f.type) {
      case "logout":
        this.leave(member.user.userID, f.room);
        return {};
      case "publish": {
        const other = room.pending.get(f.stream) || room.streams.get(f.stream);
        if (other && other.user.userID !== member.user.userID) return error(1003028, "the stream belongs to another user");
        if (!room.pending.has(f.stream)) room.pending.set(f.stream, { streamID: f.stream, user: member.user, extraInfo: f.extraInfo || "", createTime: 0 });
        const q = `token=${++this.number}${f.params ? `&${f.params}` : ""}`;
        const urls = { rtmp: [`rtmp://a.test/live/${f.stream}?${q}`, `rtmp://b.test/live/${f.stream}?${q}`], ws: [`ws://a.test/live/${f.stream}.flv?publish=1&${q}`] };
        return { streamID: f.stream, url: urls.rtmp[0], urls };
      }
      case "play": {
        const q = `token=${++this.number}${f.params ? `&${f.params}` : ""}`;
        const urls = { rtmp: [`rtmp://a.test/live/${f.stream}?${q}`], flv: [`http://a.test/live/${f.stream}.flv?${q}`], ws: [`ws://a.test/live/${f.stream}.flv?${q}`] };
        return { streamID: f.stream, url: urls.rtmp[0], urls };
      }
      case "stopPublish":
        this.unpush(f.stream, 1, f.room);
        room.pending.delete(f.stream);
        return {};
      case "streamExtraInfo": {
        const s = room.pending.get(f.stream);
        if (!s || s.user.userID !== member.user.userID) return error(1103055, "no such own stream");
        s.extraInfo = f.extraInfo;
        if (room.streams.has(f.stream)) {
          this.happen(room, { type: "streamExtraInfo", room: f.room, streams: [{ streamID: f.stream, user: s.user, extraInfo: f.extraInfo }] });
        }
        return {};
      }
      case "roomExtraInfo": {
        const item = { key: f.key, value: f.value, updateUser: member.user, updateTime: Date.now() };
        room.extra.set(f.key, item);
        this.happen(room, { type: "roomExtraInfo", room: f.room, extraInfo: [item] });
        return {};
      }
      case "broadcast": {
        const m = { fromUser: member.user, message: f.message, sendTime: Date.now(), messageID: room.seq + 1 };
        room.seq++;
        const said = { type: "broadcast", room: f.room, seq: room.seq, messages: [m] };
        room.log.push({ seq: room.seq, frame: said, from: member.user.userID });
        for (const [id, o] of room.members) if (id !== member.user.userID && o.conn) this.send(o.conn, said);
        return { messageID: m.messageID, sendTime: m.sendTime };
      }
      case "barrage": {
        const m = { fromUser: member.user, message: f.message, sendTime: Date.now(), messageID: `b${++this.number}` };
        for (const [id, o] of room.members) if (id !== member.user.userID && o.conn) this.send(o.conn, { type: "barrage", room: f.room, messages: [m] });
        return { messageID: m.messageID, sendTime: m.sendTime };
      }
      case "custom": {
        const failed: string[] = [];
        for (const to of f.to as string[]) {
          if (!room.members.has(to)) failed.push(to);
          else this.happen(room, { type: "custom", room: f.room, fromUser: member.user, message: f.message, sendTime: Date.now(), messageID: 1 }, to);
        }
        return failed.length ? { failed } : {};
      }
      case "renewToken":
        if (String(f.token).startsWith("wrong")) return error(1102016, "token wrong");
        return { tokenExpires: this.tokenExpires };
      case "publisherState":
      case "playerState":
        return Buffer.byteLength(f.message || "") > 256 ? error(1100001, "message: too long") : {};
      case "stopPlay":
      case "quality":
        return {};
    }
    return error(1900002, "unknown request");
  }

  private login(conn: Conn, f: Frame): Frame {
    const room = this.room(f.room);
    if (conn.rooms.has(f.room)) return error(1002056, "already logged in");
    const user = { userID: f.user, userName: f.userName || f.user };
    const before = room.members.get(f.user);
    let resumed = false;
    let member: Member;
    if (f.resume && before && before.session === f.resume.session) {
      if (String(f.token).startsWith("wrong")) return error(1102016, "token wrong");
      resumed = true;
      member = before;
      clearTimeout(member.grace);
      const old = member.conn;
      if (old) {
        old.rooms.delete(f.room);
        if (!old.rooms.size) {
          this.conns.delete(old);
          old.open = false;
          old.client.close(4006, "resumed on another connection");
        }
      }
    } else if (f.resume && before) {
      return error(1002050, "logged in elsewhere");
    } else if (f.resume?.only) {
      return error(1002002, "nothing to resume");
    } else {
      if (String(f.token).startsWith("wrong")) return error(1102016, "token wrong");
      if (String(f.token).startsWith("expired")) return error(1102018, "token expired");
      if (before) this.kick(f.user, 1002050, undefined, f.room);
      member = { user, session: `s${++this.number}`, userUpdate: f.config?.userUpdate === true };
      room.members.set(f.user, member);
      this.happen(room, { type: "userUpdate", room: f.room, update: "ADD", users: [user] });
    }
    member.conn = conn;
    conn.rooms.add(f.room);
    const reply: Frame = {
      room: f.room,
      session: member.session,
      roomSession: room.run,
      seq: resumed && f.resume.seq >= room.forgotten ? f.resume.seq : room.seq,
      resumed,
      grace: this.grace / 1000,
      heartbeat: this.heartbeat,
      tokenExpires: this.tokenExpires,
    };
    if (resumed && f.resume.seq >= room.forgotten) {
      for (const { seq, frame, to, from } of room.log) {
        if (seq <= f.resume.seq || from === f.user || (to !== undefined && to !== f.user)) continue;
        if (frame.type !== "userUpdate" || member.userUpdate) this.after.push(frame);
      }
    } else reply.snapshot = this.snapshot(room, member.userUpdate);
    return reply;
  }

  snapshot(room: FakeRoom, userUpdate: boolean): Frame {
    return {
      users: userUpdate ? Array.from(room.members.values(), (m) => m.user) : undefined,
      userCount: room.members.size,
      streams: Array.from(room.streams.values(), (s) => ({ ...s })),
      roomExtraInfo: Array.from(room.extra.values()),
    };
  }

  private to(room: FakeRoom, userID: string, frame: Frame): void {
    const conn = room.members.get(userID)?.conn;
    if (conn) this.send(conn, frame);
  }

  send(conn: Conn, frame: Frame): void {
    if (conn.open && conn.host.mode !== "mute") conn.client.message(JSON.stringify(frame));
  }

  private users(conn: Conn): string[] {
    const ids: string[] = [];
    for (const room of this.rooms.values()) for (const [id, m] of room.members) if (m.conn === conn) ids.push(id);
    return ids;
  }

  /** The connection is gone: its members have their grace. @internal */
  lose(conn: Conn): void {
    conn.open = false;
    this.conns.delete(conn);
    for (const [id, room] of this.rooms) {
      for (const [userID, member] of room.members) {
        if (member.conn !== conn) continue;
        member.conn = undefined;
        member.grace = setTimeout(() => this.leave(userID, id, 2), this.grace);
      }
    }
  }
}

function error(code: number, msg: string, retryable = false): Frame {
  return { error: { code, msg, retryable } };
}
