// What a player has to say, in words.
import type { WebPlayerReason, WebPlayerState } from "./type.js";

type Language = "en" | "zh";

const states: Record<WebPlayerState, [en: string, zh: string]> = {
  connecting: ["Connecting…", "正在连接…"],
  waiting: ["Waiting for the stream…", "正在等待直播开始…"],
  playing: ["", ""],
  stalled: ["The network is slow; waiting for more…", "网络较慢，正在等待数据…"],
  hidden: ["Paused in the background", "已在后台暂停"],
  failed: ["This stream cannot be played.", "无法播放该直播。"],
  closed: ["", ""],
};

const reasons: Record<WebPlayerReason, [en: string, zh: string]> = {
  missing: ["Nobody is publishing this stream yet. It starts by itself as soon as somebody does.", "还没有人推送该直播，开始后会自动播放。"],
  lost: ["The publisher has lost its connection. The picture is back when it is.", "主播的网络断开了，恢复后会自动继续播放。"],
  idle: ["The publisher is there, but sends nothing at the moment.", "主播在线，但暂时没有画面。"],
  away: ["The server cannot be reached. Check the network; it is tried again by itself.", "无法连接服务器，请检查网络，系统会自动重试。"],
  "token-missing": ["This link has no token. Ask whoever gave it to you for the whole link.", "链接中缺少 token，请向分享者索取完整链接。"],
  "token-malformed": ["The token in this link is damaged; it may have been cut off. Copy the whole link.", "链接中的 token 已损坏，可能复制不完整，请复制完整链接。"],
  "token-expired": ["This link has expired. Ask for a new one.", "链接已过期，请重新获取。"],
  "token-early": ["This link is not valid yet. Try again later.", "链接尚未生效，请稍后再试。"],
  "token-app": ["The token in this link is for another app.", "链接中的 token 属于另一个应用。"],
  "token-stream": ["The token in this link is for another stream.", "链接中的 token 属于另一路直播。"],
  denied: ["The server does not accept this link: its token is wrong, was revoked, or you are banned. Ask for a new one.", "服务器拒绝了该链接：token 无效、已被吊销，或您已被禁止访问。请重新获取链接。"],
  kicked: ["The operator ended this playback.", "管理员终止了本次播放。"],
  limit: ["The server is full. Try again in a moment.", "服务器已满，请稍后再试。"],
  address: ["This is not the address of a stream: letters, digits, - _ . only.", "直播地址不正确：只能包含字母、数字、- _ . 。"],
  refused: ["The server refused the connection. It may be full; it is tried again by itself.", "服务器拒绝了连接，可能已满，系统会自动重试。"],
  "codec-video": ["This browser cannot play the stream's video format. Try another browser, or have it published as H.264.", "此浏览器不支持该直播的视频编码，请更换浏览器，或改用 H.264 推流。"],
  "codec-audio": ["This browser cannot play the stream's sound. The picture goes on without it.", "此浏览器不支持该直播的声音编码，仅播放画面。"],
  browser: ["This browser has neither WebCodecs nor Media Source nor WebRTC. Use a current Chrome, Edge, Firefox or Safari (iPhone: iOS 17.1 and newer).", "此浏览器不支持 WebCodecs、Media Source 和 WebRTC，请使用新版 Chrome、Edge、Firefox 或 Safari（iPhone 需 iOS 17.1 及以上）。"],
  decode: ["The picture cannot be decoded: the stream is damaged, or too much for this device.", "画面无法解码：数据损坏，或超出此设备的能力。"],
};

/** The language of the browser. */
export function browserLanguage(): Language {
  return navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";
}

/** A sentence for a state and its reason. */
export function wordOf(state: WebPlayerState, reason: WebPlayerReason | undefined, language: Language): string {
  return (reason ? reasons[reason] : states[state])[language === "zh" ? 1 : 0];
}

/** On the button for sound. */
export const soundWord = { en: "Turn sound on", zh: "打开声音" };
export const retryWord = { en: "Try again", zh: "重试" };
