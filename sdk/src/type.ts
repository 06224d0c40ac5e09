// The public types. Their comments are the API reference: script/reference.mjs
// prints the text in English and the text behind @zh in Chinese.

/**
 * A member of a room.
 * @zh 房间成员。
 */
export interface User {
  /** 1 to 64 bytes, unique in the app. @zh 1–64 字节，应用内唯一。 */
  userID: string;
  /** At most 256 bytes; the userID when left out. @zh 最长 256 字节，缺省为 userID。 */
  userName?: string;
}

/**
 * What {@link LiveRelayEngine.loginRoom} may be told about the room.
 * @zh 登录房间的配置。
 */
export interface RoomConfig {
  /** Deliver roomUserUpdate. Default false. @zh 是否接收 roomUserUpdate，默认 false。 */
  userUpdate?: boolean;
  /**
   * Most members the room takes, 0: no limit. Only the first login of a room decides.
   * @zh 房间人数上限，0 为不限，仅第一个登录者的值生效。
   */
  maxMemberCount?: number;
}

/**
 * How to publish.
 * @zh 推流选项。
 */
export interface PublishOption {
  /**
   * `"CDN"`: the app's CDN address, if one is configured; else the relay's.
   * @zh `"CDN"`：使用应用配置的 CDN 地址（若有），否则为本服务器地址。
   */
  sourceType?: "CDN" | "BGP";
  /** A query string appended to the URL. @zh 追加到 URL 的查询串。 */
  streamParams?: string;
  /** The stream's extra info from the start, at most 128 bytes. @zh 流附加信息，最长 128 字节。 */
  extraInfo?: string;
  /** The room to publish in; needed only with several rooms. @zh 多房间时指定房间。 */
  roomID?: string;
  /** Accepted for compatibility, without effect. @zh 为兼容而保留，无作用。 */
  inspectFlag?: 0 | 1;
  /**
   * Which URL is `url` in the result: "rtmp" in a mini program, "ws" in a browser by default.
   * @zh 返回的 url 用哪种协议：小程序缺省 rtmp，浏览器缺省 ws。
   */
  protocol?: Protocol;
}

/**
 * How to play.
 * @zh 拉流选项。
 */
export interface PlayOption {
  /**
   * `"CDN"`: the app's CDN address, if one is configured; else the relay's.
   * @zh `"CDN"`：使用应用配置的 CDN 地址（若有），否则为本服务器地址。
   */
  sourceType?: "CDN" | "BGP";
  /**
   * A query string appended to the URL, for example `start=fast` or `only=audio`.
   * @zh 追加到 URL 的查询串，例如 `start=fast`、`only=audio`。
   */
  streamParams?: string;
  /** Accepted for compatibility, without effect. @zh 为兼容而保留，无作用。 */
  isMix?: boolean;
  /** The room to play from; needed only with several rooms. @zh 多房间时指定房间。 */
  roomID?: string;
  /**
   * Which URL is `url` in the result: "rtmp" in a mini program, "ws" in a browser by default.
   * @zh 返回的 url 用哪种协议：小程序缺省 rtmp，浏览器缺省 ws。
   */
  protocol?: Protocol;
}

/**
 * The ways media travels.
 * @zh 媒体传输方式。
 */
export type Protocol = "rtmp" | "flv" | "ws" | "whep" | "whip";

/**
 * What starting a publish or a play gives: put `url` into the live-pusher's `url` or the
 * live-player's `src`.
 * @zh 开始推流或拉流的结果：把 `url` 交给 live-pusher 的 `url` 或 live-player 的 `src`。
 */
export interface StreamURL {
  streamID: string;
  /** A fresh URL at every start, so that the component sees a change. @zh 每次开始都是新的 URL，组件才会发现变化。 */
  url: string;
  /** Every URL the server offered, by protocol. @zh 服务器给出的全部 URL，按协议分。 */
  urls: Partial<Record<Protocol, string[]>>;
}

/**
 * A stream of a room, as in roomStreamUpdate.
 * @zh roomStreamUpdate 中的一条流。
 */
export interface Stream {
  streamID: string;
  user: User;
  extraInfo: string;
  /**
   * Kept for compatibility, empty: {@link LiveRelayEngine.startPlayingStream} gives the signed URL.
   * @zh 为兼容而保留，恒为空；签名 URL 由 startPlayingStream 给出。
   */
  urlsFLV: string;
  urlsRTMP: string;
  urlsHLS: string;
  urlsHttpsFLV: string;
  urlsHttpsHLS: string;
}

/** The states of a room connection. @zh 房间连接状态。 */
export type RoomState = "DISCONNECTED" | "CONNECTING" | "CONNECTED";

/** Why the state of a room changed. @zh 房间状态变化的原因。 */
export type RoomStateReason =
  | "LOGINING"
  | "LOGINED"
  | "LOGIN_FAILED"
  | "RECONNECTING"
  | "RECONNECTED"
  | "RECONNECT_FAILED"
  | "KICKOUT"
  | "LOGOUT"
  | "LOGOUT_FAILED";

/** Whether something came or went. @zh 新增或删除。 */
export type UpdateType = "ADD" | "DELETE";

/**
 * The state of a stream this client publishes. `errorCode` holds the WeChat component's own code
 * where it caused the change.
 * @zh 本端推流的状态。由组件引起的变化，`errorCode` 即微信组件的原始错误码。
 */
export interface PublisherState {
  streamID: string;
  state: "NO_PUBLISH" | "PUBLISH_REQUESTING" | "PUBLISHING";
  errorCode: number;
  extendedData: string;
}

/**
 * The state of a stream this client plays. `errorCode` holds the WeChat component's own code where
 * it caused the change.
 * @zh 本端拉流的状态。由组件引起的变化，`errorCode` 即微信组件的原始错误码。
 */
export interface PlayerState {
  streamID: string;
  state: "NO_PLAY" | "PLAY_REQUESTING" | "PLAYING";
  errorCode: number;
  extendedData: string;
}

/**
 * One report of quality, as often as the component sends netstatus (about every 2 s).
 * @zh 一次质量报告，频率与组件 netstatus 相同（约 2 秒）。
 */
export interface Quality {
  video: VideoQuality;
  audio: AudioQuality;
}

/**
 * The picture's part of {@link Quality}. The optional fields are names of other engines' types, for
 * pages that read them: never filled here.
 * @zh Quality 的视频部分。可选字段仅为兼容其它引擎的类型，这里不会填写。
 */
export interface VideoQuality {
  /** kbit/s */
  videoBitrate: number;
  videoFPS: number;
  videoWidth: number;
  videoHeight: number;
  frameWidth?: number;
  frameHeight?: number;
  googCodecName?: string;
  muteState?: "0" | "1";
  videoFramesDecoded?: number;
  videoPacketsLost?: number;
  videoPacketsLostRate?: number;
  videoQuality?: number;
  videoTransferFPS?: number;
}

/**
 * The sound's part of {@link Quality}. The optional fields are names of other engines' types, for
 * pages that read them: never filled here.
 * @zh Quality 的音频部分。可选字段仅为兼容其它引擎的类型，这里不会填写。
 */
export interface AudioQuality {
  /** kbit/s */
  audioBitrate: number;
  audioCodec?: string;
  audioFPS?: number;
  audioJitter?: number;
  audioLevel?: number;
  audioPacketsLost?: number;
  audioPacketsLostRate?: number;
  audioQuality?: number;
  audioSamplingRate?: number;
  googCodecName?: string;
  muteState?: "0" | "1";
}

/** The answer to a request that only succeeds or fails. @zh 只有成败的请求的应答。 */
export interface ServerResponse {
  errorCode: number;
  extendedData?: string;
}

/** A reliable message to the whole room. @zh 房间广播消息（可靠）。 */
export interface BroadcastMessage {
  fromUser: User;
  message: string;
  /** ms since 1970. @zh 毫秒时间戳。 */
  sendTime: number;
  messageID: number;
}

/** A message to the whole room that may be dropped under load. @zh 弹幕消息（高负载时可能丢弃）。 */
export interface BarrageMessage {
  fromUser: User;
  message: string;
  /** ms since 1970. @zh 毫秒时间戳。 */
  sendTime: number;
  messageID: string;
}

/** One key of a room. @zh 房间附加信息的一个键。 */
export interface RoomExtraInfo {
  key: string;
  value: string;
  updateUser: User;
  /** ms since 1970. @zh 毫秒时间戳。 */
  updateTime: number;
}

/** Log levels. @zh 日志级别。 */
export type LogLevel = "debug" | "info" | "warn" | "error" | "report" | "disable";

/**
 * Where logs go.
 * @zh 日志配置。
 */
export interface LogConfig {
  /** What the console prints. Default "warn". @zh 控制台级别，默认 "warn"。 */
  logLevel?: LogLevel;
  /** What operators get. Default "warn". @zh 上报级别，默认 "warn"。 */
  remoteLogLevel?: LogLevel;
  /**
   * Where to POST the logs; the relay's own signalling connection when left out.
   * @zh 上报地址；不填则经信令连接上报给本服务。
   */
  logURL?: string;
}

/** The live-pusher's attributes in camelCase. @zh live-pusher 属性（驼峰）。 */
export interface PusherAttributes {
  id?: string;
  url?: string;
  mode?: "SD" | "HD" | "FHD" | "RTC";
  enableCamera?: boolean;
  enableMic?: boolean;
  enableAgc?: boolean;
  enableAns?: boolean;
  minBitrate?: number;
  maxBitrate?: number;
  aspect?: "3:4" | "9:16";
  frontCamera?: "front" | "back";
  enableZoom?: boolean;
  videoWidth?: number;
  videoHeight?: number;
  beautyLevel?: number;
  beautyStyle?: "smooth" | "nature";
  whitenessLevel?: number;
  videoOrientation?: "vertical" | "horizontal";
  enableRemoteMirror?: boolean;
  localMirror?: "auto" | "enable" | "disable";
  audioQuality?: "low" | "high";
  audioVolumeType?: "media" | "voicecall";
  audioReverbType?: 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7;
  waitingImage?: string;
  backgroundMute?: boolean;
  filter?: "standard" | "pink" | "nostalgia" | "blue" | "romantic" | "cool" | "fresher" | "solor" | "aestheticism" | "whitening" | "cerisered";
}

/** The live-player's attributes in camelCase. @zh live-player 属性（驼峰）。 */
export interface PlayerAttributes {
  id?: string;
  url?: string;
  mode?: "RTC" | "live";
  autoPlay?: boolean;
  muteAudio?: boolean;
  muteVideo?: boolean;
  orientation?: "vertical" | "horizontal";
  objectFit?: "contain" | "fillCrop";
  minCache?: number;
  maxCache?: number;
  soundMode?: "speaker" | "ear";
  enableRecvMessage?: boolean;
  autoPauseIfNavigate?: boolean;
  autoPauseIfOpenNative?: boolean;
}

/**
 * What {@link LiveRelayEngine.initContext} needs to keep a page's data.
 * @zh 组件方式所需的页面上下文。
 */
export interface PageContext {
  /** The page or component (`this`). @zh 页面或组件实例（`this`）。 */
  wxContext?: unknown;
  /** The name of the page data that holds the pusher's attributes. @zh 存放推流属性的 data 字段名。 */
  pushAtr?: string;
  /** The name of the page data that holds the list of player attributes. @zh 存放拉流属性列表的 data 字段名。 */
  playAtr?: string;
}

/**
 * Every event with its arguments.
 * @zh 全部事件及其参数。
 */
export interface EventMap {
  /** The room's connection changed. @zh 房间连接状态变化。 */
  roomStateUpdate: [roomID: string, state: RoomState, errorCode: number, extendedData: string];
  /** The same with the reason. @zh 同上，带原因。 */
  roomStateChanged: [roomID: string, reason: RoomStateReason, errorCode: number, extendedData: string];
  /**
   * Members came or went; the first one lists those who are there. Needs userUpdate. Above ten
   * callbacks a second, changes of 0.3 s come in one; the same holds for streams, extra info and
   * messages.
   * @zh 成员进出；第一次为现有成员。需 userUpdate。每秒超过 10 次时，0.3 秒内的变化合并为一次；流、附加信息与消息同样如此。
   */
  roomUserUpdate: [roomID: string, updateType: UpdateType, userList: User[]];
  /** How many members the room has, about every 30 s. @zh 房间人数，约每 30 秒。 */
  roomOnlineUserCountUpdate: [roomID: string, count: number];
  /** Other members' streams came or went; own streams are never listed. @zh 他人的流新增或删除；不含自己的流。 */
  roomStreamUpdate: [roomID: string, updateType: UpdateType, streamList: Stream[], extendedData: string];
  /** Extra info of streams changed. @zh 流附加信息变化。 */
  streamExtraInfoUpdate: [roomID: string, streamList: { streamID: string; user: User; extraInfo: string }[]];
  /** An own publish changed its state. @zh 推流状态变化。 */
  publisherStateUpdate: [result: PublisherState];
  /** A play changed its state. @zh 拉流状态变化。 */
  playerStateUpdate: [result: PlayerState];
  /** Quality of an own publish. @zh 推流质量。 */
  publishQualityUpdate: [streamID: string, stats: Quality];
  /** Quality of a play. @zh 拉流质量。 */
  playQualityUpdate: [streamID: string, stats: Quality];
  /** The token of the room ends in 30 s: call renewToken. @zh Token 将在 30 秒后过期，请调用 renewToken。 */
  tokenWillExpire: [roomID: string];
  /**
   * The server refused a token of renewToken; the one before it is used on. Get a right one from
   * your backend.
   * @zh 服务器拒绝了 renewToken 的 Token，仍使用之前的 Token。请向业务后台取正确的 Token。
   */
  renewTokenFailed: [roomID: string, errorCode: number, message: string];
  /** Room extra info changed. @zh 房间附加信息变化。 */
  roomExtraInfoUpdate: [roomID: string, roomExtraInfoList: RoomExtraInfo[]];
  /** A reliable message to the room. @zh 收到广播消息。 */
  IMRecvBroadcastMessage: [roomID: string, chatData: BroadcastMessage[]];
  /** A droppable message to the room. @zh 收到弹幕消息。 */
  IMRecvBarrageMessage: [roomID: string, messageInfo: BarrageMessage[]];
  /** A message to this member. @zh 收到自定义信令。 */
  IMRecvCustomCommand: [roomID: string, fromUser: User, command: string];
  /**
   * Volume of a stream, from updateAudioVolumeNotify (0 to 100 as the component tells it).
   * @zh 流音量（来自 updateAudioVolumeNotify）。
   */
  audioVolumeUpdate: [streamID: string, volume: number];
  /** Never fired: mixing is not offered. Registering is allowed. @zh 不会触发：不提供混流，可以注册。 */
  mixerRelayCDNStateUpdate: [taskID: string, infoList: { url: string; state: "NO_RELAY" | "RELAY_REQUESTING" | "RELAYING"; updateReason: string; stateTime: number }[]];
  /** Never fired; registering is allowed. @zh 不会触发，可以注册。 */
  hallStateUpdate: [state: RoomState, errorCode: number, extendedData: string];
}

/**
 * Settings for programs outside of WeChat and browsers, and for tests.
 * @zh 用于其他环境与测试的设置。
 */
export interface EngineOptions {
  /**
   * A WebSocket class to use, for example that of the `ws` package in Node.
   * @zh 指定 WebSocket 类，例如 Node 里的 `ws`。
   */
  WebSocket?: new (url: string) => unknown;
  /**
   * The app's name (`apps[].name`), for programs that do not know its number: then `appID` is 0.
   * @zh 应用名称（apps[].name），供不知道编号的程序使用，此时 `appID` 传 0。
   */
  app?: string;
  /**
   * Accepted for compatibility, without effect: the server is where you put it.
   * @zh 为兼容而保留，无作用：服务器由您部署。
   */
  geoFenceType?: number;
  /** Accepted for compatibility, without effect. @zh 为兼容而保留，无作用。 */
  geoFenceAreaList?: number[];
  /** Accepted for compatibility, without effect. @zh 为兼容而保留，无作用。 */
  prefixDomain?: string;
  /** Accepted for compatibility, without effect. @zh 为兼容而保留，无作用。 */
  reportData?: object;
}
