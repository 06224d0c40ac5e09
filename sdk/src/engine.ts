import { checkExtraInfo, checkMessage, checkStreamID, asNumber } from "./check.js";
import { asError, code, LiveRelayError, quiet } from "./code.js";
import { Component, type LivePlayer, type LivePusher } from "./component.js";
import { Emitter } from "./emitter.js";
import type { Frame } from "./link.js";
import { Log } from "./log.js";
import { detect, type Platform } from "./platform.js";
import { checkRequirement } from "./requirement.js";
import { Room } from "./room.js";
import { findRoom, liveRooms, verifySecond } from "./rooms.js";
import { Session, signalURLs } from "./session.js";
import { Streams } from "./stream.js";
import type {
  EngineOptions,
  EventMap,
  LogConfig,
  PageContext,
  PlayerAttributes,
  PlayOption,
  PublishOption,
  PusherAttributes,
  RoomConfig,
  ServerResponse,
  StreamURL,
  User,
} from "./type.js";
import { Unoffered } from "./unoffered.js";
import { byteLength } from "./utf8.js";

declare const __VERSION__: string;

/**
 * The client: logs in to rooms, publishes and plays streams, carries messages.
 *
 * ```js
 * const engine = new LiveRelayEngine(appID, "wss://live.example.com");
 * engine.on("roomStreamUpdate", (roomID, type, streams) => { … });
 * await engine.loginRoom(roomID, token, { userID, userName });
 * const { url } = await engine.startPublishingStream(streamID);
 * ```
 * @zh 客户端：登录房间、推拉流、收发消息。
 */
export class LiveRelayEngine extends Unoffered {
  /**
   * The engine made last that is not destroyed: what the ready components use.
   * @zh 最近创建且未销毁的引擎，现成组件默认使用它。
   */
  static current: LiveRelayEngine | undefined;

  private readonly platform: Platform;
  protected readonly log: Log;
  private readonly session: Session;
  private readonly emitter: Emitter;
  private readonly streams: Streams;
  private readonly component: Component;
  private readonly rooms = new Map<string, Room>();
  private multi = false;
  private readonly app: string;
  private destroyed = false;

  /**
   * Makes an engine. Connects only when a room is logged in to.
   * @param appID The app's number (`apps[].id` of the server's configuration). @zh 应用编号（服务器配置 apps[].id）。
   * @param server One or several addresses, `wss://host`; several are tried in turn. @zh 一个或多个服务器地址 `wss://host`，依次尝试。
   * @param env Accepted for compatibility: a number is without effect, options may stand here. @zh 为兼容而保留：数字无作用，也可在此处传入 options。
   * @param options For other environments and tests. @zh 其它环境与测试用。
   * @zh 创建引擎，登录房间时才连接。
   */
  constructor(private readonly appID: number, server: string | string[], env?: number | EngineOptions, options?: EngineOptions) {
    super();
    const { WebSocket, app } = options || (typeof env === "object" && env) || ({} as EngineOptions);
    this.app = app || "";
    this.platform = detect(WebSocket);
    this.log = new Log(
      (level, lines) => this.session.tell(level, lines),
      (url, body) => this.platform.post(url, body),
    );
    this.emitter = new Emitter(
      (event, error) => {
        this.log.warn(`a handler of ${event} failed: ${String(error)}`);
        // The application's own mistake must stay visible to its author.
        if (typeof console !== "undefined") console.error(error);
      },
      (event) => this.log.warn(`on: there is no event ${event}`),
    );
    this.session = new Session(this.platform, signalURLs(server), this.log);
    const emit = (event: string, ...args: unknown[]): void => this.emit(event, ...args);
    this.streams = new Streams({
      session: this.session,
      platform: this.platform,
      log: this.log,
      emit,
      room: (roomID, streamID) => findRoom(this.rooms, roomID, streamID),
    });
    this.component = new Component({
      wx: this.platform.wx,
      publish: (streamID, option) => this.startPublishingStream(streamID, option),
      stopPublish: (streamID) => void this.stopPublishingStream(streamID),
      play: (streamID, option) => this.startPlayingStream(streamID, option),
      stopPlay: (streamID) => this.stopPlayingStream(streamID),
      warn: (text) => this.log.warn(text),
    });
    LiveRelayEngine.current = this;
  }

  // Events

  /**
   * Registers a handler; several of one event run in the order of registration. Register before
   * loginRoom. False when there is no such event.
   * @zh 注册事件回调，可多个，按注册顺序调用；请在 loginRoom 之前注册。没有该事件时返回 false。
   */
  on<E extends keyof EventMap>(event: E, callback: (...args: EventMap[E]) => unknown): boolean {
    return this.emitter.on(event, callback as never);
  }

  /**
   * Removes a handler, or all of the event.
   * @zh 移除回调；不传 callback 则移除该事件全部回调。
   */
  off<E extends keyof EventMap>(event: E, callback?: (...args: EventMap[E]) => unknown): boolean {
    return this.emitter.off(event, callback as never);
  }

  // Rooms

  /**
   * Logs in to a room; the first login makes it. Resolves to true, rejects with
   * {@link LiveRelayError}.
   * @param token A Token04 from your backend, made for this user. @zh 业务后台为该用户签发的 Token04。
   * @zh 登录房间（首个登录者创建房间）。成功返回 true，失败以 LiveRelayError 拒绝。
   */
  loginRoom(roomID: string, token: string, user: User, config?: RoomConfig): Promise<boolean> {
    return quiet(this.login(roomID, token, user, config || {}));
  }

  /**
   * Leaves a room, or all; stops what is published and played there.
   * @zh 退出房间（不传则全部），停止其中的推拉流。
   */
  logoutRoom(roomID?: string): void {
    for (const room of Array.from(this.rooms.values())) {
      if (roomID !== undefined && room.id !== roomID) continue;
      this.session.leave(room, true);
      room.end(0, "logged out", "LOGOUT");
    }
  }

  /**
   * Allows several rooms at once (five, one user). Call before the first login.
   * @zh 允许多房间（最多五个，同一用户），须在首次登录前调用。
   */
  enableMultiRoom(enable: boolean): boolean {
    if (this.rooms.size > 0 || typeof enable !== "boolean") return false;
    this.multi = enable;
    return true;
  }

  /**
   * Gives a new token: for later publishes, logins and reconnects. Running streams are not touched.
   * True says that it was taken up; until the server has accepted it the old one stays, and a
   * refusal is told by renewTokenFailed.
   * @zh 更新 Token，用于之后的推流、登录与重连；不影响进行中的推拉流。返回 true 仅表示已受理：服务器接受之前仍用旧 Token，被拒绝时触发 renewTokenFailed。
   */
  renewToken(token: string, roomID?: string): boolean {
    const rooms = Array.from(this.rooms.values()).filter((room) => roomID === undefined || room.id === roomID);
    if (typeof token !== "string" || token === "" || rooms.length === 0) return false;
    for (const room of rooms) {
      room.renew(token);
      if (!room.connected) continue; // the reconnecting login brings it
      this.session.request(room, "renewToken", { token }, { repeat: true, still: () => room.renewing(token) }).then(
        (reply) => {
          if (!room.renewing(token)) return; // a login brought it meanwhile
          room.renewed(token);
          room.expires(reply.tokenExpires);
        },
        (thrown) => {
          const error = asError(thrown);
          // No answer is not a refusal: the next login brings it.
          if (!error.retryable && error.code !== code.networkBroken) room.unrenewed(token, error);
        },
      );
    }
    return true;
  }

  // Publishing and playing

  /**
   * Starts to publish: gives a URL for the live-pusher; again without a stop, another URL.
   * @zh 开始推流：返回给 live-pusher 的新 URL。不停止而再次调用也可以，会得到另一个新 URL。
   */
  startPublishingStream(streamID: string, publishOption?: PublishOption): Promise<StreamURL> {
    return quiet(this.streams.publish(streamID, publishOption || {}));
  }

  /**
   * Stops a publish; also stop the component (LivePusherContext.stop). False when there is none.
   * @zh 停止推流；组件也要停止（LivePusherContext.stop）。没有该流时返回 false。
   */
  stopPublishingStream(streamID: string): boolean {
    return this.streams.stopPublish(streamID);
  }

  /**
   * Starts to play: gives a URL for the live-player; again without a stop, another URL.
   * @zh 开始拉流：返回给 live-player 的新 URL。不停止而再次调用也可以，会得到另一个新 URL。
   */
  startPlayingStream(streamID: string, playOption?: PlayOption): Promise<StreamURL> {
    return quiet(this.streams.play(streamID, playOption || {}));
  }

  /**
   * Stops a play; also stop the component (LivePlayerContext.stop).
   * @zh 停止拉流；组件也要停止（LivePlayerContext.stop）。
   */
  stopPlayingStream(streamID: string): void {
    if (this.streams.stopPlay(streamID)) this.component.forget(streamID);
  }

  /**
   * Hand every bindstatechange of live-pusher and live-player to this.
   * @param event The event as it came. @zh 组件事件原样传入。
   * @zh 把 live-pusher 与 live-player 的 bindstatechange 事件原样传入。
   */
  updatePlayerState(streamID: string, event: unknown): void {
    this.streams.state(streamID, event);
  }

  /**
   * Hand every bindnetstatus of live-pusher and live-player to this.
   * @zh 把 live-pusher 与 live-player 的 bindnetstatus 事件原样传入。
   */
  updatePlayerNetStatus(streamID: string, event: unknown): void {
    this.streams.net(streamID, event);
  }

  /**
   * Hand every bindaudiovolumenotify to this: it comes back as audioVolumeUpdate.
   * @zh 把 bindaudiovolumenotify 事件原样传入，将触发 audioVolumeUpdate。
   */
  updateAudioVolumeNotify(streamID: string, event: unknown): void {
    const detail = (event as { detail?: { volume?: unknown } } | undefined)?.detail;
    if (detail && detail.volume !== undefined) this.emit("audioVolumeUpdate", streamID, asNumber(detail.volume));
  }

  /**
   * The next candidate URL after −1307 or −2301; set it, then stop() and start() the component. ""
   * when there is none: start again.
   * @zh −1307 或 −2301 之后换下一个候选 URL：设置后让组件 stop() 再 start()。返回 "" 时请重新开始推拉流。
   */
  getNextUrl(streamID: string): string {
    return this.streams.next(streamID);
  }

  // Messages

  /**
   * A reliable message to the room: at most 1024 bytes, 2 a second.
   * @zh 广播消息（可靠）：最长 1024 字节，每秒 2 条。
   */
  sendBroadcastMessage(roomID: string, message: string): Promise<ServerResponse> {
    return this.ask(roomID, "broadcast", false, () => (checkMessage(message), { message }));
  }

  /**
   * A message to the room that may be dropped under load: at most 1024 bytes.
   * @zh 弹幕消息（可能丢弃）：最长 1024 字节。
   */
  sendBarrageMessage(roomID: string, message: string): Promise<ServerResponse> {
    return this.ask(roomID, "barrage", false, () => (checkMessage(message), { message }));
  }

  /**
   * A reliable message to some members: at most 1024 bytes. `extendedData` names those who are not
   * there.
   * @zh 自定义信令，发给指定成员：最长 1024 字节。不在房间者列在 `extendedData` 中。
   */
  sendCustomCommand(roomID: string, message: string, toUserIDList: string[]): Promise<ServerResponse> {
    return this.ask(roomID, "custom", false, () => {
      checkMessage(message);
      if (!Array.isArray(toUserIDList) || !toUserIDList.length || !toUserIDList.every((id) => typeof id === "string" && id !== "")) {
        throw new LiveRelayError(code.parameter, "toUserIDList is not a list of user ids");
      }
      return { message, to: toUserIDList };
    });
  }

  /**
   * Sets the room's extra info: one key, at most 10 bytes, value at most 128 bytes.
   * @zh 设置房间附加信息：一个 key，最长 10 字节，value 最长 128 字节。
   */
  setRoomExtraInfo(roomID: string, key: string, value: string): Promise<ServerResponse> {
    return this.ask(roomID, "roomExtraInfo", true, () => {
      if (typeof key !== "string" || key === "" || byteLength(key) > 10) throw new LiveRelayError(code.parameter, "key is empty or longer than 10 bytes");
      checkExtraInfo(value);
      return { key, value };
    });
  }

  /**
   * Sets the extra info of an own stream, at most 128 bytes: a good place to tell that the camera
   * or microphone is off.
   * @zh 设置自己的流的附加信息，最长 128 字节：适合告知摄像头或麦克风已关闭。
   */
  setStreamExtraInfo(streamID: string, extraInfo: string): Promise<ServerResponse> {
    const publisher = this.streams.publishers.get(streamID);
    return this.ask(publisher ? publisher.room.id : undefined, "streamExtraInfo", true, () => {
      checkStreamID(streamID);
      checkExtraInfo(extraInfo);
      if (!publisher) throw new LiveRelayError(code.publishMissing, "no such own stream");
      publisher.extraInfo = extraInfo;
      return { stream: streamID, extraInfo };
    });
  }

  // The component style

  /**
   * Binds the engine to a page whose data holds the attributes. Without a page it is bound to none.
   * @zh 组件方式：绑定页面与存放属性的 data 字段。不传页面则解除绑定。
   */
  initContext(context: PageContext): void {
    this.component.init(context);
  }

  /** Makes the page's pusher; null before initContext. @zh 创建推流器；未 initContext 时返回 null。 */
  createPusher(attributes?: PusherAttributes): LivePusher | null {
    return this.component.createPusher(attributes || {});
  }

  /** The page's pusher. @zh 取得推流器。 */
  getPusherInstance(): LivePusher | null {
    return this.component.pusher || null;
  }

  /**
   * The player of a stream, made when needed.
   * @param wxContext `this` of the component that holds the live-player. @zh live-player 所在组件的 `this`。
   * @zh 取得某条流的播放器，没有则创建。
   */
  getPlayerInstance(streamID: string, wxContext?: unknown): LivePlayer | null {
    return this.component.player(streamID, wxContext);
  }

  /** Changes attributes of the pusher. @zh 修改推流器属性。 */
  setPusherAttributes(attributes: PusherAttributes): void {
    if (attributes && attributes.enableCamera !== undefined) this.camera(attributes.enableCamera);
    if (!this.component.setPusher(attributes)) this.log.info("setPusherAttributes: no pusher of the component style");
  }

  /** Changes attributes of a player. @zh 修改播放器属性。 */
  setPlayerAttributes(streamID: string, attributes: PlayerAttributes): void {
    if (!this.component.setPlayer(streamID, attributes)) this.log.info("setPlayerAttributes: no such player of the component style");
  }

  /** Attributes of the players that have a URL. @zh 已有 URL 的播放器属性列表。 */
  getPlayerList(streamID?: string): PlayerAttributes[] {
    return this.component.list(streamID);
  }

  /** Camera off (true) or on. @zh 关闭（true）或打开摄像头。 */
  mutePublishStreamVideo(mute: boolean): void {
    this.setPusherAttributes({ enableCamera: !mute });
  }

  /** Microphone off (true) or on. @zh 关闭（true）或打开麦克风。 */
  mutePublishStreamAudio(mute: boolean): void {
    this.setPusherAttributes({ enableMic: !mute });
  }

  /** Picture of a played stream off (true) or on. @zh 关闭（true）或打开某条拉流的画面。 */
  mutePlayStreamVideo(streamID: string, mute: boolean): void {
    this.setPlayerAttributes(streamID, { muteVideo: mute });
  }

  /** Sound of a played stream off (true) or on. @zh 关闭（true）或打开某条拉流的声音。 */
  mutePlayStreamAudio(streamID: string, mute: boolean): void {
    this.setPlayerAttributes(streamID, { muteAudio: mute });
  }

  // The engine itself

  /**
   * Whether this phone can call: code 0, 10001 (WeChat or base library too old), 10002 (camera or
   * microphone not permitted).
   * @zh 检查能否通话：0 可以，10001 微信或基础库版本过低，10002 未授权摄像头或麦克风。
   */
  checkSystemRequirements(): Promise<{ code: number; msg: string }> {
    return quiet(checkRequirement(this.platform));
  }

  /** Console logs in full (true) or only warnings. @zh 控制台打印全部日志（true）或只打印警告。 */
  setDebugVerbose(enable: boolean): void {
    this.log.configure({ logLevel: enable === true ? "debug" : "warn" });
  }

  /** What is logged, and where to. False when the configuration is wrong. @zh 日志配置；参数错误返回 false。 */
  setLogConfig(config: LogConfig): boolean {
    return this.log.configure(config);
  }

  /** Sends the waiting log lines to the operators now. @zh 立即上报待发日志。 */
  uploadLog(): void {
    this.log.flush();
  }

  /** The SDK's version. @zh SDK 版本。 */
  getVersion(): string {
    return __VERSION__;
  }

  /** Leaves all rooms, removes all handlers; not to be used again. @zh 退出全部房间并移除全部回调，之后不可再用。 */
  destroyEngine(): void {
    if (this.destroyed) return;
    this.logoutRoom();
    this.destroyed = true;
    this.session.destroy();
    this.log.stop();
    this.emitter.clear();
    if (LiveRelayEngine.current === this) LiveRelayEngine.current = undefined;
  }

  // Inside

  private async login(roomID: string, token: string, user: User, config: RoomConfig): Promise<boolean> {
    if (this.destroyed) throw new LiveRelayError(code.loginCancelled, "the engine is destroyed");
    const known = this.rooms.get(roomID);
    // A second login must not disturb the membership that is there.
    if (known) {
      if (!known.live) throw new LiveRelayError(code.loginInProgress, "a login to this room is in progress");
      throw new LiveRelayError(this.multi ? code.loginRepeated : code.loginTwice, "already logged in to this room");
    }
    const { userID, userName } = user || ({} as User);
    // A mistake about a second room says nothing of the one that is there: no event, pages take it
    // for their own room's.
    verifySecond(this.rooms, this.multi, userID);
    const room = new Room(roomID, token, { userID, userName: userName || userID }, { appID: this.appID || undefined, app: this.app || undefined }, config, {
      emit: (event, ...args) => this.emit(event, ...args),
      publisherState: (r, frame) => {
        const publisher = this.streams.publishers.get(frame.streamID as string);
        if (publisher && publisher.room === r) publisher.confirmed(frame.state, asNumber(frame.errorCode), String(frame.msg || ""));
      },
      playerState: (r, frame) => {
        const player = this.streams.players.get(frame.streamID as string);
        if (player && player.room === r) player.confirmed(frame.state, asNumber(frame.errorCode), String(frame.msg || ""));
      },
      restored: (r, fresh) => this.streams.restored(r, fresh),
      ended: (r, number) => this.ended(r, number),
    });
    room.transit("CONNECTING", "LOGINING");
    try {
      Room.verify(roomID, token, user);
      if (!(this.app && this.appID === 0) && (typeof this.appID !== "number" || !(this.appID > 0))) throw new LiveRelayError(code.appIDError, "appID is not a positive number");
      this.rooms.set(roomID, room);
      if ((await this.platform.networkType()) === "none") throw new LiveRelayError(code.networkBroken, "there is no network");
      room.check();
      // The second one rejects at once when the login is cancelled.
      await Promise.race([quiet(this.session.join(room)), room.ready()]);
      this.log.info(`logged in to ${roomID}`);
      return true;
    } catch (thrown) {
      const error = asError(thrown);
      this.session.leave(room, true);
      room.end(error.code, error.msg, "LOGIN_FAILED");
      this.log.warn(`login: ${error.code} ${error.msg}`);
      throw error;
    }
  }

  private ended(room: Room, number: number): void {
    if (this.rooms.get(room.id) === room) this.rooms.delete(room.id);
    this.session.leave(room, false);
    const played = Array.from(this.streams.players.keys());
    this.streams.end(room, number, "");
    for (const streamID of played) if (!this.streams.players.has(streamID)) this.component.forget(streamID);
  }

  /** A request that only succeeds or fails. */
  private ask(roomID: string | undefined, type: string, repeat: boolean, fields: () => Frame): Promise<ServerResponse> {
    const run = async (): Promise<ServerResponse> => {
      if (liveRooms(this.rooms).length === 0) throw new LiveRelayError(code.roomDisconnected, "not logged in to a room");
      const room = findRoom(this.rooms, roomID, undefined);
      const reply = await this.session.request(room, type, fields(), { repeat });
      const { messageID, sendTime, failed } = reply;
      const data = messageID === undefined && !failed ? "" : JSON.stringify({ messageID, sendTime, failed });
      return { errorCode: 0, extendedData: data };
    };
    return quiet(run());
  }

  private camera(on: boolean): void {
    for (const publisher of this.streams.publishers.values()) publisher.cameraOff = !on;
  }

  private emit(event: string, ...args: unknown[]): void {
    if (this.log.verbose) this.log.debug(`${event} ${JSON.stringify(args).slice(0, 300)}`);
    this.emitter.emit(event, args);
  }
}
