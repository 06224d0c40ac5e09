// The names that TypeScript pages of the other engine use, for what is here under
// another name or not offered.
import type { EventMap, Quality } from "./type.js";

/**
 * Why the state of a room changed, by name.
 * @zh 房间状态变化的原因（按名称）。
 */
export const ZegoRoomStateChangedReason = {
  Logining: "LOGINING",
  Logined: "LOGINED",
  LoginFailed: "LOGIN_FAILED",
  Reconnecting: "RECONNECTING",
  Reconnected: "RECONNECTED",
  ReconnectFailed: "RECONNECT_FAILED",
  Kickout: "KICKOUT",
  Logout: "LOGOUT",
  LogoutFailed: "LOGOUT_FAILED",
} as const;
export type ZegoRoomStateChangedReason = (typeof ZegoRoomStateChangedReason)[keyof typeof ZegoRoomStateChangedReason];

/** Every event with its handler. */
export type ZegoEvent = { [E in keyof EventMap]: (...args: EventMap[E]) => void };
type StreamEvent =
  | "publishQualityUpdate"
  | "publisherStateUpdate"
  | "roomStreamUpdate"
  | "playQualityUpdate"
  | "streamExtraInfoUpdate"
  | "playerStateUpdate"
  | "mixerRelayCDNStateUpdate";
export type ZegoWechatMiniEvent = Pick<ZegoEvent, StreamEvent>;
export type ZegoRTMEvent = Omit<ZegoEvent, StreamEvent>;

export type ZegoPublishStats = Quality;
export type ZegoPlayStats = Quality;

/** What a rejected promise of loginRoom holds at least. */
export interface ZegoError {
  code: number | string;
  msg: string;
}

/** Of mixing, which is not offered. */
export interface ZegoMixStreamConfig {
  taskID: string;
  inputList: object[];
  outputList: object[];
  outputConfig: object;
}

/** Of forwarding, which is not offered. */
export interface ZegoStreamRelayCDNInfo {
  url: string;
  state: "NO_RELAY" | "RELAY_REQUESTING" | "RELAYING";
  updateReason: string;
  stateTime: number;
}
