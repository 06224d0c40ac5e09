import { LiveRelayEngine } from "./engine.js";

export { LiveRelayEngine };
/** The same class under the name that existing mini programs import. @zh 同一个类，供现有小程序按原名导入。 */
export { LiveRelayEngine as ZegoExpressEngine };
export { code, LiveRelayError } from "./code.js";
export type { LivePlayer, LivePusher } from "./component.js";
export type { LivePlayInstance, LivePushInstance } from "./instance.js";
export type * from "./type.js";
export { ZegoRoomStateChangedReason } from "./compatible.js";
export type { ZegoError, ZegoEvent, ZegoMixStreamConfig, ZegoPlayStats, ZegoPublishStats, ZegoRTMEvent, ZegoStreamRelayCDNInfo, ZegoWechatMiniEvent } from "./compatible.js";
// The names that TypeScript pages of the other engine use.
export type {
  BarrageMessage as ZegoBarrageMessageInfo,
  BroadcastMessage as ZegoBroadcastMessageInfo,
  LogConfig as ZegoLogConfig,
  PlayerState as ZegoPlayerState,
  PlayOption as ZegoWxPlayOption,
  PublisherState as ZegoPublisherState,
  PublishOption as ZegoWxPublishOption,
  RoomConfig as ZegoRoomConfig,
  RoomExtraInfo as ZegoRoomExtraInfo,
  ServerResponse as ZegoServerResponse,
  Stream as ZegoStreamList,
  User as ZegoUser,
} from "./type.js";
export default LiveRelayEngine;
