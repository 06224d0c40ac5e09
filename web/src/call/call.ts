// One call: the room, what is published and played in it, and what happened. It draws nothing.
import { LiveRelayEngine, LiveRelayError, code, type Stream, type User } from "liverelay-sdk";
import { addresses, playInto, probeClock } from "liverelay-sdk/web";
import type { Language } from "../common/language.js";
import { Journal } from "./journal.js";
import type { Login } from "./login.js";
import { nameOf, streamOf, switches, type Message, type Remote } from "./member.js";
import type { PublishStats, Report } from "./publish/protocol.js";
import { Studio } from "./publish/studio.js";
import { errorWord, type Key } from "./words.js";

/** Where the call is. */
export type Phase = "lobby" | "joining" | "room" | "over";
export type Quality = "good" | "fair" | "bad" | "unknown";

/** Something the user should know, with what can be done about it. */
export interface Notice {
  key: Key;
  level: "info" | "warn" | "bad";
  detail?: string;
  action?: { key: Key; run(): void };
}

/** How the own publish is. */
export type Publishing = "off" | "connecting" | "live" | "lost" | "refused";

const mostMessages = 200;
const pauses = [300, 1000, 2000, 4000, 8000]; // before a publish is tried again, ms

export class Call {
  phase: Phase = "lobby";
  login: Login = { app: "", room: "", user: "", token: "" };
  /** The server gives logins away. */
  demo = false;
  /** What others send is received by WebRTC where it can be. */
  webrtc = false;
  userName = "";
  room: "CONNECTED" | "CONNECTING" | "DISCONNECTED" = "DISCONNECTED";
  publishing: Publishing = "off";
  members = new Map<string, User>();
  remotes = new Map<string, Remote>();
  messages: Message[] = [];
  unread = 0;
  roomExtra = new Map<string, string>();
  notices: Notice[] = [];
  /** Why it is over. */
  ended?: { key: Key; detail?: string };
  readonly journal = new Journal(() => this.changed());
  readonly studio: Studio;
  private engine?: LiveRelayEngine;
  private failures = 0;
  private retry?: ReturnType<typeof setTimeout>;
  private readonly beat: ReturnType<typeof setInterval>;
  private beaten = Date.now();
  private publishTurn = 0;

  constructor(
    public language: Language,
    private readonly onChange: () => void,
  ) {
    this.studio = this.newStudio();
    this.beat = setInterval(() => this.pulse(), 1000);
    document.addEventListener("visibilitychange", this.onVisible);
  }

  get streamID(): string {
    return streamOf(this.login.user);
  }

  get stats(): PublishStats | undefined {
    return this.publishing === "live" ? this.studio.stats : undefined;
  }

  // In and out

  /** Enters the room. */
  async join(login: Login, userName: string): Promise<void> {
    if (this.phase === "joining" || this.phase === "room") return;
    this.login = login;
    this.userName = userName || login.user;
    this.phase = "joining";
    this.ended = undefined;
    this.notices = [];
    this.journal.add("join", `${login.app}/${login.room} ${login.user}`);
    this.changed();
    const number = /^\d+$/.test(login.app) ? Number(login.app) : 0;
    const engine = (this.engine = new LiveRelayEngine(number, location.origin, number ? {} : { app: login.app }));
    engine.setLogConfig({ logLevel: "disable" });
    this.listen(engine);
    try {
      await Promise.all([this.studio.open(this.userName), engine.loginRoom(login.room, login.token, { userID: login.user, userName: this.userName }, { userUpdate: true })]);
    } catch (error) {
      if (engine !== this.engine) return;
      return this.over(error instanceof LiveRelayError ? errorWord(error.code) : "errorOther", `${(error as LiveRelayError).code ?? ""} ${(error as Error).message}`);
    }
    if (engine !== this.engine) return;
    this.phase = "room";
    this.changed();
    if (this.studio.unable) this.publishing = "refused";
    else void this.publish();
  }

  /** Leaves the room, to where it can be entered again. */
  leave(): void {
    this.journal.add("leave", "");
    this.quit();
    this.phase = "lobby";
    this.changed();
  }

  /** The page goes. */
  destroy(): void {
    this.quit();
    this.studio.close();
    clearInterval(this.beat);
    document.removeEventListener("visibilitychange", this.onVisible);
  }

  private quit(): void {
    clearTimeout(this.retry);
    this.publishTurn++;
    for (const remote of this.remotes.values()) remote.player?.destroy();
    this.remotes.clear();
    this.members.clear();
    this.roomExtra.clear();
    this.messages = [];
    this.unread = 0;
    this.notices = [];
    this.publishing = "off";
    this.room = "DISCONNECTED";
    const engine = this.engine;
    this.engine = undefined;
    engine?.destroyEngine();
    this.studio.disconnect();
  }

  private over(key: Key, detail?: string): void {
    this.journal.add("over", `${key} ${detail ?? ""}`);
    this.quit();
    this.phase = "over";
    this.ended = { key, detail };
    this.changed();
  }

  // The room

  private listen(engine: LiveRelayEngine): void {
    const mine = (): boolean => engine === this.engine;
    engine.on("roomStateChanged", (_, reason, number, data) => {
      if (!mine()) return;
      this.journal.add("room", `${reason} ${number || ""} ${data}`);
      this.room = reason === "LOGINED" || reason === "RECONNECTED" ? "CONNECTED" : reason === "LOGINING" || reason === "RECONNECTING" ? "CONNECTING" : "DISCONNECTED";
      if (reason === "KICKOUT") return this.over(errorWord(number), `${number} ${data}`);
      if (reason === "RECONNECT_FAILED") return this.over(errorWord(number), `${number} ${data}`);
      if (reason === "RECONNECTED") {
        this.unnotice("reconnecting");
        if (this.publishing === "lost") this.publishSoon(0);
      }
      if (reason === "RECONNECTING") this.notice({ key: "reconnecting", level: "warn" });
      this.changed();
    });
    engine.on("roomUserUpdate", (_, type, users) => {
      if (!mine()) return;
      for (const user of users) {
        this.journal.add(type === "ADD" ? "member +" : "member −", user.userID);
        if (type === "ADD") this.members.set(user.userID, user);
        else this.members.delete(user.userID);
      }
      this.changed();
    });
    engine.on("roomStreamUpdate", (_, type, streams) => {
      if (!mine()) return;
      for (const stream of streams) {
        this.journal.add(type === "ADD" ? "stream +" : "stream −", `${stream.streamID} ${stream.user.userID}`);
        if (type === "ADD") this.add(stream);
        else this.remove(stream.streamID);
      }
      this.changed();
    });
    engine.on("streamExtraInfoUpdate", (_, list) => {
      if (!mine()) return;
      for (const { streamID, extraInfo } of list) {
        this.journal.add("stream info", `${streamID} ${extraInfo}`);
        const remote = this.remotes.get(streamID);
        if (remote) Object.assign(remote, { extraInfo, ...switches(extraInfo) });
      }
      this.changed();
    });
    engine.on("roomExtraInfoUpdate", (_, list) => {
      if (!mine()) return;
      for (const { key, value } of list) {
        this.journal.add("room info", `${key}=${value}`);
        this.roomExtra.set(key, value);
      }
      this.changed();
    });
    engine.on("publisherStateUpdate", ({ state, errorCode, extendedData }) => {
      if (!mine()) return;
      this.journal.add("publish", `${state} ${errorCode || ""} ${extendedData}`);
      if (state === "NO_PUBLISH" && errorCode > 0) this.refused(errorCode, extendedData);
    });
    engine.on("playerStateUpdate", ({ streamID, state, errorCode, extendedData }) => mine() && this.journal.add("play", `${streamID} ${state} ${errorCode || ""} ${extendedData}`));
    engine.on("tokenWillExpire", () => mine() && void this.renew());
    engine.on("renewTokenFailed", (_, number, text) => mine() && this.notice({ key: errorWord(number), level: "bad", detail: text }));
    engine.on("IMRecvBroadcastMessage", (_, list) => mine() && list.forEach((m) => this.say("broadcast", nameOf(m.fromUser), m.message)));
    engine.on("IMRecvBarrageMessage", (_, list) => mine() && list.forEach((m) => this.say("barrage", nameOf(m.fromUser), m.message)));
    engine.on("IMRecvCustomCommand", (_, from, text) => mine() && this.say("command", nameOf(from), text));
  }

  private async renew(): Promise<void> {
    this.journal.add("token", "expires soon");
    if (!this.demo) return this.notice({ key: "tokenEnds", level: "warn" });
    // A demo token is for one user: the call goes on with the old one, and whoever is thrown out
    // joins again as a new guest.
    this.notice({ key: "tokenEnds", level: "info" });
  }

  // Publishing

  private newStudio(): Studio {
    return new Studio({ changed: () => this.changed(), report: (report) => this.report(report) });
  }

  /** Publishes, or publishes again with a fresh address. */
  async publish(): Promise<void> {
    const engine = this.engine;
    if (!engine || this.studio.unable) return;
    clearTimeout(this.retry);
    const turn = ++this.publishTurn;
    this.publishing = "connecting";
    this.unnotice("publishEnded", "publishReplaced", "publishRefused");
    this.changed();
    try {
      const { url } = await engine.startPublishingStream(this.streamID, { protocol: "ws", extraInfo: this.extraInfo() });
      // The stamps in the stream are in the server's time.
      const answer = await probeClock(addresses(url).http);
      if (turn !== this.publishTurn) return;
      const offset = answer ? answer.offset - performance.timeOrigin : 0;
      this.studio.connect(url, offset);
    } catch (error) {
      if (turn !== this.publishTurn) return;
      if (error instanceof LiveRelayError) this.refused(error.code, error.msg);
      else this.publishSoon();
    }
  }

  private refused(number: number, detail: string): void {
    // What may pass, passes: another connection of the same stream is still ending, or the network
    // is away.
    const passing: number[] = [code.networkBroken, code.timeout, code.socketClosed, code.publishLost, code.tooMany, code.storeDown, code.internal];
    if (passing.includes(number)) return this.publishSoon();
    this.publishTurn++;
    clearTimeout(this.retry);
    this.publishing = "refused";
    this.studio.disconnect();
    this.notice({ key: number === code.kickedByServer ? "publishEnded" : errorWord(number), level: "bad", detail: `${number} ${detail}`, action: { key: "publishAgain", run: () => void this.publish() } });
  }

  private publishSoon(after = pauses[Math.min(this.failures++, pauses.length - 1)]!): void {
    this.publishing = "lost";
    this.publishTurn++;
    clearTimeout(this.retry);
    this.retry = setTimeout(() => void this.publish(), after);
    this.changed();
  }

  private report(report: Report): void {
    if (report.type !== "stats") this.journal.add("worker", JSON.stringify(report).slice(0, 200));
    switch (report.type) {
      case "flowing":
        this.publishing = "live";
        this.failures = 0;
        break;
      case "stuck":
        // The same connection may go on; the worker closes one that does not.
        if (this.publishing === "live") this.publishing = "lost";
        this.doubt(this.streamID, 1102);
        break;
      case "closed":
        if (this.phase === "room") this.closed(report.code, report.reason);
        break;
      case "stats": {
        if (this.publishing !== "live") break;
        const { videoKbps, audioKbps, fps, width, height } = report.stats;
        const info = { videoBitrate: Math.round(videoKbps), audioBitrate: Math.round(audioKbps), videoFPS: Math.round(fps), videoWidth: width, videoHeight: height, netSpeed: Math.round(videoKbps + audioKbps) };
        this.engine?.updatePlayerNetStatus(this.streamID, { detail: { info } });
      }
    }
    this.changed();
  }

  private closed(number: number, reason: string): void {
    if (this.publishing === "refused") return;
    if (reason === "ended by the server") return this.stopped("publishEnded");
    if (reason === "replaced by a new publisher") return this.stopped("publishReplaced");
    if (reason === "access denied") return this.stopped("publishRefused", `${number} ${reason}`);
    this.publishSoon();
  }

  private stopped(key: Key, detail?: string): void {
    this.publishing = "refused";
    this.notice({ key, level: "bad", detail, action: { key: "publishAgain", run: () => void this.publish() } });
  }

  /** Camera or microphone on or off; the others are told. */
  async turn(part: "picture" | "sound", on: boolean): Promise<void> {
    await this.studio.turnTo(part, on);
    this.journal.add(part === "picture" ? "camera" : "microphone", on ? "on" : "off");
    if (this.publishing !== "live") return;
    await this.engine?.setStreamExtraInfo(this.streamID, this.extraInfo()).catch((error) => this.failed("streamExtraInfo", error));
  }

  private extraInfo(): string {
    return JSON.stringify({ camera: this.studio.picture.on, mic: this.studio.sound.on });
  }

  // Playing

  private add(stream: Stream): void {
    const known = this.remotes.get(stream.streamID);
    if (known) return void Object.assign(known, { extraInfo: stream.extraInfo, ...switches(stream.extraInfo) });
    const remote: Remote = { streamID: stream.streamID, user: stream.user, extraInfo: stream.extraInfo, ...switches(stream.extraInfo), muted: false, state: { state: "connecting", text: "" } };
    this.remotes.set(stream.streamID, remote);
  }

  private remove(streamID: string): void {
    const remote = this.remotes.get(streamID);
    if (!remote) return;
    this.remotes.delete(streamID);
    remote.player?.destroy();
    this.engine?.stopPlayingStream(streamID);
  }

  /** Plays a stream into an element, or into none any more. */
  show(remote: Remote, element: HTMLElement | null): void {
    if (element === (remote.element ?? null)) return;
    remote.player?.destroy();
    remote.player = undefined;
    remote.element = element ?? undefined;
    if (element && this.remotes.get(remote.streamID) === remote) void this.play(remote);
  }

  /** Plays, or plays again with a fresh address. */
  async play(remote: Remote): Promise<void> {
    const element = remote.element;
    if (!element || !this.engine) return;
    remote.player?.destroy();
    remote.player = undefined;
    try {
      const { url } = await this.engine.startPlayingStream(remote.streamID);
      if (remote.element !== element || this.remotes.get(remote.streamID) !== remote) return;
      const player = playInto(element, url, {
        way: this.webrtc ? "webrtc" : "auto",
        muted: remote.muted,
        fit: "contain",
        controls: false,
        language: this.language,
        onState: (event) => {
          if (remote.player !== undefined && remote.player !== player) return;
          remote.state = event;
          if (event.state === "stalled" && event.reason !== "idle") this.doubt(remote.streamID, 2103);
          if (event.state !== "playing") this.journal.add("player", `${remote.streamID} ${event.state} ${event.reason ?? ""}`);
          this.changed();
        },
      });
      remote.player = player;
    } catch (error) {
      const { code: number, msg } = error as LiveRelayError;
      remote.state = { state: "failed", text: `${number ?? ""} ${msg ?? String(error)}` };
      this.journal.add("play", `${remote.streamID} ${remote.state.text}`);
    }
    this.changed();
  }

  /** Plays all by WebRTC, or by FLV first. */
  setWebrtc(on: boolean): void {
    this.webrtc = on;
    for (const remote of this.remotes.values()) void this.play(remote);
    this.changed();
  }

  /**
   * Media has lost its way: the signalling perhaps, too, which finds that out by this (the codes
   * are the phone components').
   */
  private doubt(streamID: string, number: number): void {
    this.engine?.updatePlayerState(streamID, { detail: { code: number, message: "" } });
  }

  mute(remote: Remote, muted: boolean): void {
    remote.muted = muted;
    if (remote.player) remote.player.muted = muted;
    this.changed();
  }

  // Words between members

  async send(kind: Message["kind"], text: string, to: string[]): Promise<boolean> {
    const engine = this.engine;
    if (!engine || !text) return false;
    try {
      if (kind === "broadcast") await engine.sendBroadcastMessage(this.login.room, text);
      else if (kind === "barrage") await engine.sendBarrageMessage(this.login.room, text);
      else await engine.sendCustomCommand(this.login.room, text, to);
      this.say(kind, kind === "command" ? `${this.userName} → ${to.join(", ")}` : this.userName, text, true);
      return true;
    } catch (error) {
      this.failed(kind, error);
      return false;
    }
  }

  async setRoomExtra(key: string, value: string): Promise<boolean> {
    try {
      await this.engine?.setRoomExtraInfo(this.login.room, key, value);
      return true;
    } catch (error) {
      this.failed("roomExtraInfo", error);
      return false;
    }
  }

  private say(kind: Message["kind"], from: string, text: string, own = false): void {
    this.journal.add(kind, `${from}: ${text}`);
    this.messages = [...this.messages.slice(1 - mostMessages), { kind, from, text, at: Date.now(), own }];
    if (!own) this.unread++;
    this.changed();
  }

  private failed(what: string, thrown: unknown): void {
    const error = thrown as LiveRelayError;
    this.journal.add("error", `${what} ${error.code} ${error.msg}`);
    this.notice({ key: errorWord(error.code), level: "warn", detail: `${error.code} ${error.msg}` });
  }

  // What the user is told

  notice(notice: Notice): void {
    this.notices = [...this.notices.filter((n) => n.key !== notice.key), notice];
    this.journal.add("notice", `${notice.key} ${notice.detail ?? ""}`);
    this.changed();
  }

  unnotice(...keys: Key[]): void {
    this.notices = this.notices.filter((n) => !keys.includes(n.key));
    this.changed();
  }

  /** Of the own way to the server and of what is played. */
  get quality(): Quality {
    if (this.phase !== "room") return "unknown";
    if (this.room !== "CONNECTED") return "bad";
    let worst: Quality = "good";
    const at = (q: Quality): void => {
      if (q === "bad" || worst === "good") worst = q;
    };
    const own = this.stats;
    if (this.publishing === "lost") at("bad");
    if (own) {
      if (own.backlog > 2000 || own.targetKbps < own.wantedKbps / 2) at("bad");
      else if (own.backlog > 1100 || own.targetKbps < own.wantedKbps * 0.95) at("fair");
    }
    for (const { state, stats } of this.remotes.values()) {
      if (state.state === "stalled") at("bad");
      else if ((stats?.roundTrip ?? 0) > 300) at("fair");
    }
    return worst;
  }

  changed(): void {
    this.onChange();
  }

  private pulse(): void {
    const away = Date.now() - this.beaten - 1000;
    this.beaten = Date.now();
    // A hidden tab's timers may be a minute apart; what is longer was sleep.
    if (away > 65000 && this.phase === "room") {
      this.journal.add("slept", `${Math.round(away / 1000)} s`);
      this.notice({ key: "slept", level: "info" });
    }
    for (const remote of this.remotes.values()) {
      if (!remote.player) continue;
      const s = (remote.stats = remote.player.stats());
      if (remote.state.state === "playing") {
        this.engine?.updatePlayerNetStatus(remote.streamID, { detail: { info: { videoBitrate: s.kbps, videoFPS: Math.round(s.fps), videoWidth: s.width, videoHeight: s.height, netSpeed: s.kbps, netJitter: 0, delay: s.delay, delaySince: s.delaySince } } });
      }
    }
    if (this.phase === "room") this.changed();
  }

  private readonly onVisible = (): void => {
    if (this.phase === "room") this.journal.add("page", document.visibilityState);
  };
}
