// Every code the SDK itself uses or a server of protocol version 1 sends. The
// comments are the error reference (docs/sdk/error.md): what it means, then what to do.

/**
 * Error codes.
 * @zh 错误码。
 */
export const code = {
  /** Success. @zh 成功。 */
  ok: 0,
  /** Not logged in. Call loginRoom first and wait for it. @zh 未登录房间。先调用 loginRoom 并等待成功。 */
  notLoggedIn: 1000002,
  /** Stream id too long: at most 256 bytes. @zh 流 ID 过长，最长 256 字节。 */
  streamIDTooLong: 1000014,
  /** Stream id empty. @zh 流 ID 为空。 */
  streamIDEmpty: 1000015,
  /** Stream id illegal: letters, digits, `-`, `_`, `.` only. @zh 流 ID 非法，只能用字母、数字、`-`、`_`、`.`。 */
  streamIDIllegal: 1000016,
  /**
   * The network is broken; the SDK reconnects by itself. Show "reconnecting", repeat the call after
   * CONNECTED.
   * @zh 网络中断，SDK 会自动重连。界面提示重连中，CONNECTED 后再调用。
   */
  networkBroken: 1000017,
  /**
   * The appID is not an app of this server. Check it against the server's configuration.
   * @zh AppID 错误，请核对服务器配置。
   */
  appIDError: 1001004,
  /**
   * Already logged in to a room. Call logoutRoom first, or enableMultiRoom before the first login.
   * @zh 已登录其它房间。先 logoutRoom，或在首次登录前 enableMultiRoom。
   */
  loginTwice: 1002001,
  /** Not logged in to this room. Check the roomID. @zh 未登录该房间，请核对 roomID。 */
  roomNotLoggedIn: 1002002,
  /** User id empty. @zh 用户 ID 为空。 */
  userIDEmpty: 1002005,
  /** User id illegal (not a string, or control characters). @zh 用户 ID 非法（不是字符串或含控制字符）。 */
  userIDIllegal: 1002006,
  /** User id too long: at most 64 bytes. @zh 用户 ID 过长，最长 64 字节。 */
  userIDTooLong: 1002007,
  /** User name illegal. @zh 用户名非法。 */
  userNameIllegal: 1002008,
  /** User name too long: at most 256 bytes. @zh 用户名过长，最长 256 字节。 */
  userNameTooLong: 1002010,
  /** Room id empty. @zh 房间 ID 为空。 */
  roomIDEmpty: 1002011,
  /** Room id illegal (not a string, or control characters). @zh 房间 ID 非法（不是字符串或含控制字符）。 */
  roomIDIllegal: 1002012,
  /** Room id too long: at most 128 bytes. @zh 房间 ID 过长，最长 128 字节。 */
  roomIDTooLong: 1002013,
  /**
   * Not in the room: log in before sending messages or setting extra info.
   * @zh 未登录房间：请先登录再发消息或设置附加信息。
   */
  roomDisconnected: 1002014,
  /** A room takes one extra-info key; reuse it. @zh 房间附加信息只允许一个 key，请复用。 */
  roomExtraInfoLimit: 1002017,
  /** With several rooms the user must be the same in all. @zh 多房间须使用同一用户。 */
  otherUser: 1002018,
  /**
   * The login took too long: no server answered in time. Check the address, the domain whitelist
   * and the network; try again.
   * @zh 登录超时，没有服务器及时应答。检查地址、域名白名单与网络后重试。
   */
  loginTimeout: 1002031,
  /**
   * The token does not permit this login. Let your backend make a token for this room with
   * privilege 1.
   * @zh Token 无此房间的登录权限，请让业务后台签发含权限 1 的 Token。
   */
  loginDenied: 1002033,
  /** The room is full. @zh 房间人数已满。 */
  roomFull: 1002034,
  /**
   * Several rooms need enableMultiRoom(true) before the first login.
   * @zh 多房间需在首次登录前 enableMultiRoom(true)。
   */
  multiRoomOff: 1002036,
  /** At most five rooms at once. @zh 最多同时五个房间。 */
  multiRoomLimit: 1002037,
  /**
   * Kicked: the same userID logged in elsewhere. Tell the user; the app must not log in again
   * without being asked to.
   * @zh 同一 userID 在别处登录，本端被踢。提示用户，勿自动重登。
   */
  kickedByLogin: 1002050,
  /** Reconnecting took over five minutes. Log in again. @zh 重连超过 5 分钟，请重新登录。 */
  reconnectTimeout: 1002053,
  /** Kicked by the server, or the room was closed. @zh 被服务端踢出或房间被关闭。 */
  kickedByServer: 1002055,
  /** Already logged in to this room here. @zh 已在此登录该房间。 */
  loginRepeated: 1002056,
  /** Banned by the operator. @zh 用户在黑名单中。 */
  banned: 1002066,
  /** The token lacks the publish privilege (or this stream). @zh Token 无推流权限（或不含此流）。 */
  publishDenied: 1002082,
  /**
   * Internal error, or an answer that cannot be read. Try again; tell the operator when it stays.
   * @zh 内部错误或应答无法解析。请重试，持续出现请联系运维。
   */
  internal: 1002099,
  /** Publishing forbidden by the operator. @zh 后台禁止推流。 */
  publishForbidden: 1003025,
  /**
   * The stream belongs to another user, or is live in another room: choose a stream id that holds
   * the userID.
   * @zh 流 ID 已属于他人，或正在另一房间直播，建议流 ID 中带上 userID。
   */
  streamTaken: 1003028,
  /** Extra info is not a string. @zh 附加信息不是字符串。 */
  extraInfoNull: 1003050,
  /** Extra info too long: 128 bytes of a stream. @zh 附加信息过长，流附加信息最长 128 字节。 */
  extraInfoTooLong: 1003051,
  /** The stream does not exist. @zh 流不存在。 */
  streamMissing: 1004002,
  /** Playing is interrupted; the player reconnects by itself. @zh 拉流临时中断，播放器会自动重连。 */
  playInterrupted: 1004020,
  /** Playing forbidden by the operator. @zh 后台禁止拉流。 */
  playForbidden: 1004025,
  /** The message is empty. @zh 消息为空。 */
  messageEmpty: 1009001,
  /** The message is too long: at most 1024 bytes. @zh 消息过长，最长 1024 字节。 */
  messageTooLong: 1009002,
  /**
   * Sending the message failed: the link went while it was on its way, so it may have arrived.
   * @zh 消息发送失败：发送途中断线，对方可能已收到。
   */
  messageFailed: 1009010,
  /**
   * Too many broadcasts: 2 a second from one user, 10 a second in a room.
   * @zh 广播过于频繁：每人每秒 2 条，每房间每秒 10 条。
   */
  broadcastLimit: 1009015,
  /** A parameter is of the wrong type or value; the message names it. @zh 参数类型或取值错误，msg 指明是哪个。 */
  parameter: 1100001,
  /** The server did not answer within 10 s. @zh 服务器 10 秒内未应答。 */
  timeout: 1100002,
  /**
   * No server can be reached. Check the address, the domain whitelist and the network.
   * @zh 连不上任何服务器。检查地址、域名白名单与网络。
   */
  socketClosed: 1100003,
  /** Heartbeat timeout. @zh 心跳超时。 */
  heartbeatTimeout: 1102001,
  /** A login to this room is already in progress. @zh 正在登录该房间。 */
  loginInProgress: 1102012,
  /** The token is wrong: format, secret, app or user. @zh Token 错误：格式、密钥、应用或用户不符。 */
  tokenError: 1102016,
  /** No server address was given. @zh 未提供服务器地址。 */
  noServer: 1102017,
  /** The token expired: get a new one from your backend. @zh Token 已过期，请向业务后台换新。 */
  tokenExpired: 1102018,
  /** This web page's origin may not use the server (apps.origins). @zh 网页来源不被允许（apps.origins）。 */
  originDenied: 1102020,
  /**
   * The login was cancelled by logoutRoom or destroyEngine.
   * @zh 登录被 logoutRoom 或 destroyEngine 取消。
   */
  loginCancelled: 1102026,
  /**
   * The media of the publish has been away for longer than the server waits (`relay.resume_window`,
   * 20 s). Not final: the component may still get through (PUBLISHING follows) or give up (−1307
   * follows): start again then, or after some 15 s without either.
   * @zh 推流的媒体中断超过服务器的等待时间（`relay.resume_window`，20 秒）。并非终态：组件可能重连成功（随后 PUBLISHING），也可能放弃（随后 −1307）。收到 −1307，或约 15 秒内两者都没有时，请重新推流。
   */
  publishLost: 1103051,
  /** No such own stream: start publishing first. @zh 没有这条自己的流，请先推流。 */
  publishMissing: 1103055,
  /** The play failed: more than 50 at once. @zh 拉流失败：同时超过 50 路。 */
  playFailed: 1104039,
  /** Messages too frequent. @zh 消息过于频繁。 */
  messageLimit: 1109001,
  /** A frame was not readable. @zh 帧无法解析。 */
  badFrame: 1900001,
  /** The server does not know this request: it is older than the SDK. @zh 服务器不认识该请求（版本较旧）。 */
  unknownRequest: 1900002,
  /** This function is not offered; the message says what to use instead. @zh 不提供此功能，msg 说明替代办法。 */
  notOffered: 1900003,
  /**
   * Too many requests or logins; the SDK repeats what may be repeated.
   * @zh 请求或登录过多，可重试者 SDK 自动重试。
   */
  tooMany: 1900004,
  /** The server cannot reach its store just now; the SDK tries again. @zh 服务器暂时无法访问存储，SDK 会重试。 */
  storeDown: 1900005,
} as const;

/**
 * What a rejected promise holds.
 * @zh Promise 被拒绝时的错误。
 */
export class LiveRelayError extends Error {
  /** The code. @zh 错误码。 */
  readonly code: number;
  /** The same code, for publish and play. @zh 同 code（推拉流用）。 */
  readonly errorCode: number;
  /** What happened. @zh 说明。 */
  readonly msg: string;
  /** More, if there is more. @zh 附加数据。 */
  readonly extendedData: string;
  /** The same request may succeed later. @zh 稍后重试可能成功。 */
  readonly retryable: boolean;
  /** When to try again, ms. @zh 建议的重试间隔（毫秒）。 */
  readonly after: number;

  constructor(number: number, msg: string, extendedData = "", retryable = false, after = 0) {
    super(msg);
    this.name = "LiveRelayError";
    this.code = this.errorCode = number;
    this.msg = msg;
    this.extendedData = extendedData;
    this.retryable = retryable;
    this.after = after;
  }
}

/** Makes a LiveRelayError of whatever was thrown. */
export function asError(thrown: unknown): LiveRelayError {
  return thrown instanceof LiveRelayError ? thrown : new LiveRelayError(code.internal, String(thrown));
}

/**
 * Marks a promise as looked after: a caller who does not wait for it causes no unhandled rejection,
 * one who does still sees it.
 */
export function quiet<T>(promise: Promise<T>): Promise<T> {
  promise.then(undefined, () => undefined);
  return promise;
}
