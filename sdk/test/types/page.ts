// A TypeScript page of the other engine, with the import changed and nothing else: it must compile
// (build.test.ts).
import {
  ZegoExpressEngine,
  ZegoRoomStateChangedReason,
  type ZegoBroadcastMessageInfo,
  type ZegoError,
  type ZegoEvent,
  type ZegoMixStreamConfig,
  type ZegoPlayStats,
  type ZegoPublishStats,
  type ZegoRTMEvent,
  type ZegoStreamList,
  type ZegoStreamRelayCDNInfo,
  type ZegoWechatMiniEvent,
} from "liverelay-sdk";

declare const page: object;
const zg = new ZegoExpressEngine(1234567890, "wss://example.com/ws", 0, { geoFenceType: 1, prefixDomain: "x" });
const old = new ZegoExpressEngine(1234567890, ["wss://example.com/ws"], 1);
old.initContext({});
zg.initContext({ wxContext: page, pushAtr: "push", playAtr: "players" });
zg.createPusher({ filter: "pink", minBitrate: 200 });
zg.on("roomStateChanged", (roomID: string, reason: ZegoRoomStateChangedReason) => {
  if (reason === ZegoRoomStateChangedReason.Kickout) zg.logoutRoom(roomID);
});
zg.on("publishQualityUpdate", (_id: string, stats: ZegoPublishStats) => void [stats.video.frameHeight, stats.video.videoQuality, stats.audio.muteState]);
zg.on("playQualityUpdate", (_id: string, stats: ZegoPlayStats) => void [stats.video.videoFramesDecoded, stats.audio.audioLevel, stats.video.videoPacketsLostRate]);
zg.on("roomStreamUpdate", (_room: string, type: "ADD" | "DELETE", list: ZegoStreamList[]) => type === "ADD" && list.forEach((s) => s.urlsFLV));
zg.on("IMRecvBroadcastMessage", (_room: string, list: ZegoBroadcastMessageInfo[]) => list.length);
zg.on("mixerRelayCDNStateUpdate", (_task: string, list: ZegoStreamRelayCDNInfo[]) => list.length);
const handlers: Partial<ZegoEvent> & Partial<ZegoWechatMiniEvent> & Partial<ZegoRTMEvent> = { roomUserUpdate: (_room, _type, users) => users.length };
for (const [name, handler] of Object.entries(handlers)) zg.on(name as keyof ZegoEvent, handler as never);
zg.loginRoom("r", "t", { userID: "u" }).catch((e: ZegoError) => e.msg);
zg.startMixerTask({ taskID: "t", inputList: [], outputList: [], outputConfig: {} } as ZegoMixStreamConfig);
