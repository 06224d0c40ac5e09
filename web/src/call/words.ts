// The words of the call page, English and Chinese.
import { code } from "liverelay-sdk";
import type { Language } from "../common/language.js";
import type { Problem } from "./publish/device.js";

const words = {
  title: ["Call", "通话"],
  join: ["Join", "加入"],
  joining: ["Joining…", "正在加入…"],
  joinTitle: ["Join the call", "加入通话"],
  joinDemo: ["Nothing has to be typed. Whoever opens this page meets here.", "无需填写任何信息，打开本页的人会在同一个房间相遇。"],
  joinLink: ["You were invited to room “{0}”.", "您受邀加入房间“{0}”。"],
  joinForm: ["Fill in what your backend gave you, or open a link that holds it.", "填写业务后台提供的信息，或打开包含这些信息的链接。"],
  yourName: ["Your name", "您的名字"],
  app: ["App (name or number)", "应用（名称或编号）"],
  roomField: ["Room", "房间"],
  userField: ["User", "用户"],
  tokenField: ["Token", "Token"],
  tokenHelp: ["From your backend, or: liverelay token --user ann --room lobby", "由业务后台签发，或执行：liverelay token --user ann --room lobby"],
  missingField: ["Please fill this in.", "请填写此项。"],
  details: ["Room and token", "房间与 Token"],
  demoFailed: ["The server does not answer. Check that it runs and try again.", "服务器没有应答，请确认其正在运行后重试。"],
  tryAgain: ["Try again", "重试"],
  preview: ["Your picture", "您的画面"],
  previewOff: ["Camera and microphone are opened when you join.", "加入时才会打开摄像头和麦克风。"],
  previewOpen: ["Check camera and microphone", "检查摄像头和麦克风"],
  you: ["You", "您"],
  youAre: ["{0} (you)", "{0}（您）"],
  leave: ["Leave", "离开"],
  micOff: ["Microphone off", "麦克风已关闭"],
  cameraOff: ["Camera off", "摄像头已关闭"],
  muteMic: ["Mute microphone", "关闭麦克风"],
  unmuteMic: ["Unmute microphone", "打开麦克风"],
  stopCamera: ["Turn camera off", "关闭摄像头"],
  startCamera: ["Turn camera on", "打开摄像头"],
  muteMember: ["Mute {0}", "静音 {0}"],
  unmuteMember: ["Unmute {0}", "取消静音 {0}"],
  settings: ["Settings", "设置"],
  camera: ["Camera", "摄像头"],
  microphone: ["Microphone", "麦克风"],
  default: ["Default", "默认"],
  testPicture: ["Test picture", "测试画面"],
  testTone: ["Test tone", "测试音"],
  resolution: ["Resolution", "分辨率"],
  bitrate: ["Bitrate", "码率"],
  language: ["中文", "English"],
  languageLabel: ["切换到中文", "Switch to English"],
  share: ["Share", "分享"],
  shareTitle: ["Invite somebody", "邀请他人"],
  shareDemo: ["Whoever opens this link joins this room as a new guest. It is good for one person and one day.", "打开此链接的人将以新访客身份加入本房间。每个链接供一人使用，有效期一天。"],
  shareRoom: ["This link leads to the room. A token is needed in addition: your backend makes one for each user.", "此链接指向本房间，加入者还需业务后台为其签发的 Token。"],
  shareOwn: ["With my own login", "使用我自己的登录信息"],
  shareOwnHelp: ["For another device of yours: opened there, it ends here. Do not give it to others.", "供您在另一台设备上使用：在那里打开后，此处会退出。请勿转发给他人。"],
  shareLocal: ["This address is only good on this machine. Open the page by an address that others can reach (with https) to invite them.", "此地址仅本机可用。要邀请他人，请通过其可访问的地址（https）打开本页。"],
  link: ["Link", "链接"],
  copy: ["Copy", "复制"],
  copied: ["Copied", "已复制"],
  qr: ["QR code of the link", "链接的二维码"],
  close: ["Close", "关闭"],
  people: ["People", "成员"],
  chat: ["Messages", "消息"],
  figures: ["Figures", "数据"],
  log: ["Log", "日志"],
  panel: ["Side panel", "侧栏"],
  noMembers: ["Nobody else is here yet. Share the link, or scan the QR code with a phone.", "还没有其他人。请分享链接，或用手机扫描二维码。"],
  memberAway: ["connection lost?", "可能已断线"],
  noStream: ["no stream", "未推流"],
  alone: ["You are alone here so far", "目前只有您一个人"],
  members: ["Members ({0})", "成员（{0}）"],
  roomInfo: ["Room info", "房间附加信息"],
  roomInfoHelp: ["One key of at most 10 bytes, a value of at most 128.", "一个 key（最长 10 字节），value 最长 128 字节。"],
  key: ["Key", "键"],
  value: ["Value", "值"],
  set: ["Set", "设置"],
  kindBroadcast: ["To everybody", "广播"],
  kindBarrage: ["Barrage", "弹幕"],
  kindCommand: ["Command", "信令"],
  kind: ["Kind of message", "消息类型"],
  to: ["To", "发给"],
  everybody: ["All members", "全部成员"],
  message: ["Message", "消息内容"],
  send: ["Send", "发送"],
  noMessages: ["No messages yet. Broadcasts reach everybody for sure, barrage may be dropped under load, a command goes to the members you name.", "暂无消息。广播可靠送达所有人；弹幕在高负载时可能丢弃；信令只发给指定成员。"],
  stream: ["Stream", "流"],
  picture: ["Picture", "画面"],
  frames: ["Frames/s", "帧率"],
  dropped: ["Dropped", "丢帧"],
  delay: ["Delay", "延迟"],
  target: ["Target", "目标码率"],
  backlog: ["On the way", "在途"],
  sound: ["Sound", "声音"],
  way: ["Player", "播放方式"],
  byWebrtc: ["Receive by WebRTC (for networks that lose packets)", "通过 WebRTC 接收（适合丢包的网络）"],
  ms: ["{0} ms", "{0} 毫秒"],
  kbps: ["{0} kbit/s", "{0} kbit/s"],
  own: ["Sent", "发送"],
  received: ["Received", "接收"],
  noFigures: ["Nothing is received yet.", "暂无接收数据。"],
  delayHelp: ["Delay: from the publisher's camera, or from the server (marked *), to what you see.", "延迟：从对方摄像头（标 * 为从服务器）到您看到画面的时间。"],
  copyLog: ["Copy log", "复制日志"],
  noLog: ["Nothing has happened yet.", "暂无日志。"],
  qualityGood: ["Network good", "网络良好"],
  qualityFair: ["Network fair", "网络一般"],
  qualityBad: ["Network bad", "网络较差"],
  qualityUnknown: ["Network unknown", "网络未知"],
  connecting: ["Connecting…", "连接中…"],
  publishConnecting: ["Starting to send…", "正在开始推流…"],
  publishLost: ["Connection lost, trying again…", "推流中断，正在重试…"],
  publishStopped: ["Not sending", "未推流"],
  waiting: ["Waiting for the picture…", "正在等待画面…"],
  playAgain: ["Play again", "重新播放"],
  dismiss: ["Dismiss", "知道了"],
  licences: ["Licences of what this page is made of", "本页所用软件的许可"],
  over: ["The call is over", "通话已结束"],
  joinGuest: ["Join as a new guest", "以新访客身份加入"],

  // Notices and ends
  reconnecting: ["The connection to the server is lost. It is tried again by itself; picture and sound may go on.", "与服务器的连接已断开，正在自动重连，音视频可能不受影响。"],
  slept: ["This device slept. Everything is connected again by itself.", "设备曾休眠，正在自动恢复连接。"],
  tokenEnds: ["Your token ends in less than 30 seconds. What runs goes on, but a new connection needs a new token: get one from your backend and join again.", "Token 将在 30 秒内过期。进行中的通话不受影响，但重新连接需要新 Token：请从业务后台获取后重新加入。"],
  publishAgain: ["Send again", "重新推流"],
  publishEnded: ["An operator ended your stream. You can still see and hear the others.", "管理员终止了您的推流，您仍可观看和收听他人。"],
  publishReplaced: ["Your stream was taken over by another page or device of yours.", "您的流已被您的另一个页面或设备接管。"],
  publishRefused: ["The server does not let you send a stream.", "服务器不允许您推流。"],

  // Devices
  "picture.insecure": ["Browsers give camera, microphone and encoder only to pages from https:// or localhost. Open this page by https. You can see and hear the others meanwhile.", "浏览器仅允许 https:// 或 localhost 页面使用摄像头、麦克风和编码器，请通过 https 打开本页。现在您仍可观看和收听他人。"],
  "picture.browser": ["This browser cannot send: it lacks WebCodecs or a way to read the camera with it. Use a current Chrome or Edge. You can see and hear the others.", "此浏览器无法推流（缺少 WebCodecs 或摄像头读取接口），请使用新版 Chrome 或 Edge。您仍可观看和收听他人。"],
  "picture.h264": ["This browser has no H.264 encoder. Use Chrome or Edge. You can see and hear the others.", "此浏览器没有 H.264 编码器，请使用 Chrome 或 Edge。您仍可观看和收听他人。"],
  "picture.size": ["This browser's H.264 encoder fails at this size, so nobody sees you. Choose a smaller resolution in the settings.", "此浏览器的 H.264 编码器无法使用该分辨率，他人看不到您的画面。请在设置中降低分辨率。"],
  "picture.aac": ["The sound's encoder does not start.", "声音编码器无法启动。"],
  "picture.worker": ["A part of this page did not load. Reload it.", "页面的一部分未能加载，请刷新。"],
  "picture.missing": ["No camera was found: a test picture is sent. Plug one in and choose it in the settings.", "未找到摄像头，正在发送测试画面。接入摄像头后可在设置中选择。"],
  "picture.refused": ["The camera is not permitted: a test picture is sent. Allow it by the icon in the address bar, then choose the camera in the settings.", "未获得摄像头权限，正在发送测试画面。请在地址栏图标中允许，然后在设置中选择摄像头。"],
  "picture.busy": ["The camera does not start; another program may be using it. A test picture is sent.", "摄像头无法启动，可能被其它程序占用，正在发送测试画面。"],
  "picture.unplugged": ["The camera is gone: a test picture is sent. Plug it in again, or choose another in the settings.", "摄像头已断开，正在发送测试画面。请重新接入，或在设置中选择其它摄像头。"],
  "sound.insecure": ["The microphone needs a page from https:// or localhost.", "麦克风需要 https:// 或 localhost 页面。"],
  "sound.browser": ["This browser cannot send sound.", "此浏览器无法发送声音。"],
  "sound.h264": ["This browser cannot send sound.", "此浏览器无法发送声音。"],
  "sound.size": ["This browser cannot send sound.", "此浏览器无法发送声音。"],
  "sound.aac": ["The sound's encoder does not start, so nobody hears you. Reload the page; if it stays so, use Chrome or Edge.", "声音编码器无法启动，他人听不到您的声音。请刷新页面；若仍如此，请使用 Chrome 或 Edge。"],
  "sound.worker": ["A part of this page did not load. Reload it.", "页面的一部分未能加载，请刷新。"],
  "sound.missing": ["No microphone was found. Plug one in and choose it in the settings.", "未找到麦克风。接入后可在设置中选择。"],
  "sound.refused": ["The microphone is not permitted, so nobody hears you. Allow it by the icon in the address bar, then choose it in the settings.", "未获得麦克风权限，他人听不到您的声音。请在地址栏图标中允许，然后在设置中选择麦克风。"],
  "sound.busy": ["The microphone does not start; another program may be using it.", "麦克风无法启动，可能被其它程序占用。"],
  "sound.unplugged": ["The microphone is gone. Plug it in again, or choose another in the settings.", "麦克风已断开。请重新接入，或在设置中选择其它麦克风。"],

  // Errors of the server
  errorToken: ["The token is wrong: it belongs to another user, room, app or secret, or was cut off. Get a new one from your backend, or copy the whole link.", "Token 无效：属于其它用户、房间、应用或密钥，或复制不完整。请从业务后台重新获取，或复制完整链接。"],
  errorExpired: ["The token has expired. Get a new one from your backend, or ask for a new link.", "Token 已过期。请从业务后台重新获取，或索取新的链接。"],
  errorDenied: ["The token does not let you enter this room.", "该 Token 无权进入此房间。"],
  errorPublish: ["The token does not let you send a stream. You can see and hear the others.", "该 Token 没有推流权限，您仍可观看和收听他人。"],
  errorForbidden: ["The operator does not let you send a stream.", "管理员已禁止您推流。"],
  errorTaken: ["A stream of this name belongs to another user, or is live in another room.", "该流名已属于其它用户，或正在另一房间直播。"],
  errorApp: ["The server has no such app. Check the app in the link.", "服务器上没有该应用，请检查链接中的应用。"],
  errorFull: ["The room is full. Try again when somebody has left.", "房间人数已满，请等他人离开后重试。"],
  errorBanned: ["You are banned from this server. Talk to its operator.", "您已被禁止使用此服务器，请联系管理员。"],
  errorElsewhere: ["You joined on another page or device with the same user, so this one was left.", "您已用同一用户在其它页面或设备加入，此处已退出。"],
  errorKicked: ["You were removed from the room, or the room was closed.", "您已被移出房间，或房间已关闭。"],
  errorAway: ["The server cannot be reached. Check the network and whether the server runs.", "无法连接服务器，请检查网络以及服务器是否运行。"],
  errorOrigin: ["This server does not accept pages of this origin (apps.origins).", "服务器不接受来自此网址的页面（apps.origins）。"],
  errorField: ["The room or user is empty, too long, or has forbidden characters.", "房间或用户为空、过长或含非法字符。"],
  errorLong: ["This is too long.", "内容过长。"],
  errorOften: ["Too many at once: two broadcasts a second. Try again in a moment.", "发送过于频繁（广播每秒最多两条），请稍后再试。"],
  errorKey: ["A room has one key; use the one that is there.", "房间只允许一个 key，请使用已有的。"],
  errorOther: ["The server refused.", "服务器拒绝了请求。"],
} as const satisfies Record<string, readonly [en: string, zh: string]>;

/** A text of the page. */
export type Key = keyof typeof words;

/** The text in a language, with {0}, {1} … filled in. */
export function text(language: Language, key: Key, ...values: (string | number)[]): string {
  return words[key][language === "zh" ? 1 : 0].replace(/\{(\d)\}/g, (_, i) => String(values[Number(i)] ?? ""));
}

/** The words for a device's problem. */
export function problemKey(part: "picture" | "sound", problem: Problem): Key {
  return `${part}.${problem}`;
}

/** The words for an error's code. */
export function errorWord(number: number): Key {
  switch (number) {
    case code.tokenError:
      return "errorToken";
    case code.tokenExpired:
      return "errorExpired";
    case code.loginDenied:
      return "errorDenied";
    case code.publishDenied:
      return "errorPublish";
    case code.publishForbidden:
      return "errorForbidden";
    case code.streamTaken:
      return "errorTaken";
    case code.appIDError:
      return "errorApp";
    case code.roomFull:
      return "errorFull";
    case code.banned:
      return "errorBanned";
    case code.kickedByLogin:
      return "errorElsewhere";
    case code.kickedByServer:
      return "errorKicked";
    case code.socketClosed:
    case code.loginTimeout:
    case code.reconnectTimeout:
    case code.networkBroken:
    case code.timeout:
    case code.messageFailed:
      return "errorAway";
    case code.originDenied:
      return "errorOrigin";
    case code.messageTooLong:
    case code.extraInfoTooLong:
    case code.parameter:
      return "errorLong";
    case code.broadcastLimit:
    case code.messageLimit:
    case code.tooMany:
      return "errorOften";
    case code.roomExtraInfoLimit:
      return "errorKey";
  }
  if (number >= code.userIDEmpty && number <= code.roomIDTooLong) return "errorField";
  return "errorOther";
}
