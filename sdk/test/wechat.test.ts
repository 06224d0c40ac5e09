// In a mini program: wx.connectSocket, the background, the phone, netstatus of iOS, the component
// style.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Client, pass, settle } from "./fake/call.js";
import { wxDial } from "../src/transport.js";
import { FakeServer } from "./fake/server.js";
import { FakePage, FakeWx } from "./fake/wx.js";

let server: FakeServer;
let wx: FakeWx;
let ann: Client;

function client(): Client {
  return new Client(server, "ann", "ws://a.test", {});
}

beforeEach(() => {
  vi.useFakeTimers();
  server = new FakeServer();
  wx = new FakeWx(server);
  vi.stubGlobal("wx", wx);
  ann = client();
});
afterEach(() => {
  ann.engine.destroyEngine();
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

describe("socket", () => {
  it("carries a session; destroyEngine gives the callbacks back", async () => {
    expect(await settle(ann.login())).toBe(true);
    expect(wx.shown).toHaveLength(1);
    ann.engine.destroyEngine();
    await pass(3000);
    expect(server.conns.size).toBe(0);
    expect(wx.shown).toHaveLength(0);
    expect(wx.network).toHaveLength(0);
  });

  it("no network: 1000017 at once", async () => {
    wx.networkType = "none";
    expect(await settle(ann.login(), 50)).toMatchObject({ code: 1000017 });
    expect(server.dialled).toEqual([]);
  });

  it("getNetworkType that fails, is missing or never answers does not hold the login up", async () => {
    for (const f of [(o: any) => o.fail(), undefined, () => undefined, (o: any) => o.success({})]) {
      wx.getNetworkType = f as never;
      const c = client();
      expect(await settle(c.login(), 1500)).toBe(true);
      c.engine.destroyEngine();
    }
  });

  it.each([
    ["throws", () => { throw new Error("whitelist"); }],
    ["fails", (o: any) => (o.fail({ errMsg: "domain" }), { onOpen() {}, onMessage() {}, onClose() {}, onError() {}, send() {}, close() {} })],
    ["fails without a word", (o: any) => (o.fail(), { onOpen() {}, onMessage() {}, onClose() {}, onError() {}, send() {}, close() {} })],
    ["gives nothing", () => undefined],
    ["errs", () => ({ onOpen() {}, onMessage() {}, onClose() {}, onError: (f: any) => setTimeout(() => (f({ errMsg: "x" }), f()), 1), send() {}, close() { throw new Error("gone"); } })],
    ["closes", () => ({ onOpen() {}, onMessage() {}, onClose: (f: any) => setTimeout(() => (f(), f({ code: 1006 })), 1), onError() {}, send() {}, close() {} })],
    ["opens and cannot send", () => ({ onOpen: (f: any) => setTimeout(f, 1), onMessage: (f: any) => f({ data: new ArrayBuffer(1) }), onClose() {}, onError() {}, send: (o: any) => o.fail(), close: (o: any) => o.fail() })],
    ["opens and throws on sending", () => ({ onOpen: (f: any) => setTimeout(f, 1), onMessage() {}, onClose() {}, onError() {}, send() { throw new Error("x"); }, close() {} })],
  ])("connectSocket that %s: a code, no stuck state", async (_name, connect) => {
    wx.connectSocket = connect as never;
    expect(await settle(ann.login())).toMatchObject({ code: 1100003 });
    expect(ann.states).toEqual(["CONNECTING/0", "DISCONNECTED/1100003"]);
    wx.connectSocket = (o: never) => server.connectSocket(o);
    expect(await settle(ann.login())).toBe(true);
  });

  it("a socket that died in the background without a word: onShow finds out and resumes", async () => {
    await settle(ann.login());
    ann.clear();
    server.silent.add("ping");
    wx.shown[0]!();
    await pass(2500);
    expect(ann.states).toEqual([]);
    await pass(600);
    // Nothing is waited for: the user looks at it.
    expect(ann.states).toEqual(["CONNECTING/1000017", "CONNECTED/0"]);
    server.silent.clear();
    expect(server.asked("login").pop()!.resume).toBeTruthy();
  });

  it("a living socket survives onShow and a change of network", async () => {
    await settle(ann.login());
    ann.clear();
    wx.shown[0]!();
    wx.network[0]!({ isConnected: true, networkType: "4g" });
    wx.network[0]!({ isConnected: false });
    await pass(10000);
    expect(ann.states).toEqual([]);
    expect(server.asked("ping").length).toBe(1);
  });

  it("the network is back: connects at once, not after the pause", async () => {
    await settle(ann.login());
    server.host().mode = "refuse";
    server.cut("ann");
    await pass(60000);
    ann.clear();
    server.host().mode = "up";
    const before = server.dialled.length;
    wx.network[0]!({ isConnected: false });
    await pass(1);
    expect(server.dialled.length).toBe(before);
    wx.network[0]!({ isConnected: true });
    await pass(20);
    expect(ann.states).toEqual(["CONNECTED/0"]);
  });

  it("sockets that never open are closed, with a code that wx takes: ten logins leave none, and fail alike", async () => {
    for (const host of server.hosts.values()) host.mode = "hang";
    for (let i = 0; i < 5; i++) {
      expect(await settle(ann.login(), 10100)).toMatchObject({ code: 1002031 });
      expect(await settle(ann.login(), 10100)).toMatchObject({ code: 1002031 });
      await pass(6000);
      expect(server.tasks.size, `after login ${i + 1}`).toBe(0);
    }
    server.host().mode = "up";
    expect(await settle(ann.login())).toBe(true);
  });

  it("malformed frames close it too; a long reason is cut to what a close frame holds", async () => {
    server.host().mode = "garbage";
    expect(await settle(ann.login(), 10100)).toMatchObject({ code: 1100003 });
    await pass(6000);
    expect(server.tasks.size).toBe(0);
    const closes: unknown[] = [];
    server.host().mode = "up";
    const socket = wxDial(wx)("ws://a.test/x", { open() {}, message() {}, close: (...a) => closes.push(a) }, 100);
    await pass(10);
    socket.close(4000, "为".repeat(100));
    expect(server.tasks.size).toBe(0);
    expect(closes).toHaveLength(1);
  });

  it("a hole before a good server: the good one is dialled beside it; never more than three sockets", async () => {
    server = new FakeServer("a.test", "b.test", "c.test", "d.test");
    wx = new FakeWx(server);
    vi.stubGlobal("wx", wx);
    ann.engine.destroyEngine();
    for (const name of ["a.test", "b.test", "c.test"]) server.host(name).mode = "hang";
    ann = new Client(server, "ann", ["ws://a.test", "ws://d.test"], {});
    expect(await settle(ann.login(), 2100)).toBe(true);
    await pass(10);
    expect(server.tasks.size).toBe(1);
    ann.engine.destroyEngine();
    await pass(3000);
    let most = 0;
    const connect = server.connectSocket;
    wx.connectSocket = (o: never) => {
      const task = connect(o);
      most = Math.max(most, server.tasks.size);
      return task;
    };
    ann = new Client(server, "ann", ["ws://a.test", "ws://b.test", "ws://c.test", "ws://d.test"], {});
    expect(await settle(ann.login(), 6100)).toBe(true);
    expect(most).toBe(3);
    await pass(10);
    expect(server.tasks.size).toBe(1);
  });

  it("the phone's date jumps while the link is lost, or in a login: nothing ends early", async () => {
    vi.stubGlobal("performance", undefined);
    await settle(ann.login());
    ann.clear();
    server.host().mode = "refuse";
    server.cut("ann");
    await pass(3000);
    vi.setSystemTime(Date.now() + 600000);
    const promise = ann.engine.startPlayingStream("x");
    await pass(3000);
    vi.setSystemTime(Date.now() - 3600000);
    await pass(3000);
    server.host().mode = "up";
    expect(await settle(promise, 4000)).toMatchObject({ streamID: "x" });
    expect(ann.states).toEqual(["CONNECTING/1000017", "CONNECTED/0"]);
  });

  it.each([[1102, "publish"], [2103, "play"], [-1307, "publish"], [-2301, "play"]] as const)("the media's way is lost (%i): the signalling is looked at too, within 3 s", async (number, kind) => {
    await settle(ann.login());
    await settle(kind === "publish" ? ann.engine.startPublishingStream("s1") : ann.engine.startPlayingStream("s1"));
    ann.clear();
    server.silent.add("ping");
    kind === "publish" ? ann.pusher("s1", number) : ann.player("s1", number);
    await pass(3100);
    expect(ann.states).toEqual(["CONNECTING/1000017"]);
  });

  it("shown again with a dead socket: dials at once", async () => {
    await settle(ann.login());
    ann.clear();
    const [conn] = server.conns;
    wx.connectSocket = (o: never) => server.connectSocket(o);
    server.lose(conn!); // the phone's system closed it while the app slept
    conn!.client.close(1006, "");
    wx.shown[0]!();
    await pass(20);
    expect(ann.states).toEqual(["CONNECTING/1000017", "CONNECTED/0"]);
  });

  it.each(["logoutRoom", "destroyEngine"] as const)("hanging up without network (%s): said as soon as there is one", async (method) => {
    const bob = new Client(server, "bob", "ws://a.test", {});
    await settle(bob.login());
    await settle(ann.login());
    server.host().mode = "refuse";
    server.cut("ann");
    await pass(10);
    ann.engine[method]();
    expect(ann.states.slice(-1)).toEqual(["DISCONNECTED/0"]);
    await pass(300);
    server.host().mode = "up";
    for (const changed of wx.network) changed({ isConnected: true });
    await pass(50);
    expect(bob.users).toEqual(["ADD ann", "DELETE ann"]);
    expect(server.tasks.size).toBe(1);
    expect(wx.network).toHaveLength(method === "logoutRoom" ? 2 : 1);
    bob.engine.destroyEngine();
  });

  it("hanging up on a connection that is dead without a word: said on another one", async () => {
    await settle(ann.login());
    server.silent.add("logout");
    ann.engine.logoutRoom();
    await pass(900);
    server.silent.clear();
    await pass(200);
    expect(server.room("r1").members.size).toBe(0);
    await pass(5000);
    expect(server.tasks.size).toBe(0);
  });

  it("hanging up without network: a login meanwhile, or the grace, ends it; a membership that is gone is not made again", async () => {
    server.grace = 30000;
    await settle(ann.login());
    const out = async (): Promise<void> => {
      server.host().mode = "refuse";
      server.cut("ann");
      await pass(10);
      ann.engine.logoutRoom();
    };
    await out();
    server.host().mode = "up";
    expect(await settle(ann.login())).toBe(true);
    await pass(5000);
    expect(ann.states.slice(-1)).toEqual(["CONNECTED/0"]);
    expect(server.room("r1").members.size).toBe(1);
    await out();
    await pass(31000);
    const dialled = server.dialled.length;
    server.host().mode = "up";
    await pass(10000);
    expect(server.dialled.length).toBe(dialled);
    await settle(ann.login());
    await out();
    server.leave("ann");
    const seq = server.room("r1").seq;
    server.host().mode = "up";
    await pass(5000);
    expect(server.room("r1").seq).toBe(seq);
  });

  it("works with a wx that lacks the newer calls, and with the newest", async () => {
    for (const name of ["onAppShow", "offAppShow", "onNetworkStatusChange", "offNetworkStatusChange", "getSystemInfoSync", "request"]) delete (wx as never)[name];
    let c = client();
    expect(await settle(c.login())).toBe(true);
    c.engine.setLogConfig({ remoteLogLevel: "debug", logURL: "https://x.test" });
    c.engine.logoutRoom();
    c.engine.uploadLog();
    c.engine.destroyEngine();
    Object.assign(wx, { getDeviceInfo: () => ({ platform: "ios" }), getAppBaseInfo: () => ({ SDKVersion: "3.9.0" }), getSystemInfoSync: () => { throw new Error("gone"); } });
    c = client();
    expect(await c.engine.checkSystemRequirements()).toEqual({ code: 0, msg: "" });
    c.engine.destroyEngine();
    Object.assign(wx, { getDeviceInfo: () => { throw new Error("x"); } });
    c = client();
    c.engine.destroyEngine();
  });

  it("posts logs by wx.request", async () => {
    ann.engine.setLogConfig({ remoteLogLevel: "info", logURL: "https://log.test/x" });
    await settle(ann.login());
    await pass(2000);
    expect(wx.posted[0]).toMatchObject({ url: "https://log.test/x", data: expect.stringContaining("logged in") });
  });
});

describe("checkSystemRequirements", () => {
  const check = (): Promise<{ code: number }> => settle(ann.engine.checkSystemRequirements()) as never;

  it("0, 10001, 10002", async () => {
    expect(await check()).toMatchObject({ code: 0 });
    wx.setting = {};
    wx.grants = { "scope.camera": true, "scope.record": true };
    expect(await check()).toMatchObject({ code: 0 });
    wx.grants = { "scope.camera": true };
    expect(await check()).toMatchObject({ code: 10002, msg: expect.stringContaining("record") });
    wx.setting = { "scope.camera": false };
    expect(await check()).toMatchObject({ code: 10002 });
    wx.getSetting = (o: any) => o.fail();
    expect(await check()).toMatchObject({ code: 10002 });
    wx.getSetting = undefined as never;
    wx.grants = { "scope.camera": true, "scope.record": true };
    expect(await check()).toMatchObject({ code: 0 });
    wx.authorize = undefined as never;
    expect(await check()).toMatchObject({ code: 10002 });
    for (const [version, code] of [["1.6.9", 10001], ["0.9", 10001], ["1.7.0", 10002], ["2.0.0", 10002], ["1", 10002], ["x", 10002]] as const) {
      wx.SDKVersion = version;
      expect(await check(), version).toMatchObject({ code });
    }
    wx.createLivePlayerContext = undefined as never;
    expect(await check()).toMatchObject({ code: 10001 });
  });
});

describe("B4: netstatus of iOS", () => {
  beforeEach(async () => {
    ann.engine.destroyEngine();
    wx.platform = "ios";
    ann = client();
    await settle(ann.login());
    await settle(ann.engine.startPublishingStream("p1"));
    await settle(ann.engine.startPlayingStream("s1"));
    ann.clear();
  });
  const feed = (id: string, info: object): void => ann.engine.updatePlayerNetStatus(id, { detail: { info } });
  const stats = (v: number, f: number, w: number, h: number, a: number): object => ({ video: { videoBitrate: v, videoFPS: f, videoWidth: w, videoHeight: h }, audio: { audioBitrate: a } });

  it("two halves within 200 ms become one report; the first is success enough", async () => {
    feed("p1", { videoBitrate: 800, videoFPS: 15, videoWidth: 360, videoHeight: 640, audioBitrate: 0 });
    await pass(100);
    expect(ann.publishing).toEqual(["p1 PUBLISHING/0"]);
    expect(ann.events("publishQualityUpdate")).toEqual([]);
    feed("p1", { videoBitrate: 0, videoFPS: 0, audioBitrate: 48, netSpeed: 5 });
    expect(ann.events("publishQualityUpdate")).toEqual([["p1", stats(800, 15, 360, 640, 48)]]);
    await pass(1000);
    expect(ann.events("publishQualityUpdate")).toHaveLength(1);
  });

  it("a single report is told after 200 ms", async () => {
    feed("s1", { videoBitrate: 500, audioBitrate: 32 });
    await pass(199);
    expect(ann.events("playQualityUpdate")).toEqual([]);
    await pass(2);
    expect(ann.events("playQualityUpdate")).toEqual([["s1", stats(500, 0, 0, 0, 32)]]);
  });

  it("a stopped stream's half is not told", async () => {
    feed("s1", { videoBitrate: 500 });
    feed("p1", { videoBitrate: 500 });
    ann.engine.stopPlayingStream("s1");
    ann.engine.stopPublishingStream("p1");
    await pass(1000);
    expect(ann.events("playQualityUpdate")).toEqual([]);
    expect(ann.events("publishQualityUpdate")).toEqual([]);
  });

  it("camera off: the picture's figures are 0", async () => {
    ann.engine.mutePublishStreamVideo(true);
    feed("p1", { videoBitrate: 800, videoFPS: 15, videoWidth: 360, videoHeight: 640, audioBitrate: 48 });
    await pass(300);
    ann.engine.mutePublishStreamVideo(false);
    feed("p1", { videoBitrate: 800, videoFPS: 15, videoWidth: 360, videoHeight: 640, audioBitrate: 48 });
    await pass(300);
    expect(ann.events("publishQualityUpdate").map(([, s]) => s)).toEqual([stats(0, 0, 0, 0, 48), stats(800, 15, 360, 640, 48)]);
  });
});

describe("component style", () => {
  let page: FakePage;
  beforeEach(async () => {
    page = new FakePage();
    await settle(ann.login());
  });
  const init = (): void => ann.engine.initContext({ wxContext: page, pushAtr: "pusher", playAtr: "playerList" });

  it("before initContext: null, and no throw", () => {
    expect(ann.engine.createPusher()).toBeNull();
    expect(ann.engine.getPusherInstance()).toBeNull();
    expect(ann.engine.getPlayerInstance("s1")).toBeNull();
    expect(ann.engine.getPlayerList()).toEqual([]);
    ann.engine.setPusherAttributes({ mode: "SD" });
    ann.engine.setPlayerAttributes("s1", {});
    ann.engine.mutePlayStreamAudio("s1", true);
    for (const none of [undefined, null, {}]) expect(ann.engine.initContext(none as never)).toBeUndefined();
    expect(ann.engine.createPusher()).toBeNull();
    for (const bad of [{ wxContext: {} }, { wxContext: 5 }]) expect(() => ann.engine.initContext(bad as never)).toThrow();
  });

  it("keeps the pusher's attributes in the page and drives its context", async () => {
    init();
    const pusher = ann.engine.createPusher({ mode: "SD", maxBitrate: 900 })!;
    expect(page.data.pusher).toMatchObject({ mode: "SD", maxBitrate: 900, enableCamera: true, url: "" });
    expect(ann.engine.getPusherInstance()).toBe(pusher);
    const result = (await settle(pusher.start("p1", { extraInfo: "x" }))) as { url: string };
    expect(page.data.pusher).toMatchObject({ id: "p1", url: result.url });
    expect(wx.calls).toEqual(["push start"]);
    ann.engine.mutePublishStreamVideo(true);
    ann.engine.mutePublishStreamAudio(true);
    expect(page.data.pusher).toMatchObject({ enableCamera: false, enableMic: false });
    ann.engine.mutePublishStreamAudio(false);
    expect(page.data.pusher).toMatchObject({ enableMic: true });
    for (const m of ["pause", "resume", "snapshot", "startPreview", "stopPreview", "switchCamera", "toggleTorch", "playBGM", "pauseBGM", "resumeBGM", "stopBGM", "setBGMVolume", "setMICVolume", "sendMessage"] as const) {
      pusher[m]({});
      expect(wx.calls.pop()).toBe(`push ${m}`);
    }
    pusher.stop();
    pusher.stop();
    expect(ann.publishing.slice(-1)).toEqual(["p1 NO_PUBLISH/0"]);
    expect(page.data.pusher.url).toBe("");
  });

  it("keeps the list of players in the page", async () => {
    init();
    const player = ann.engine.getPlayerInstance("s1")!;
    expect(ann.engine.getPlayerInstance("s1")).toBe(player);
    expect(ann.engine.getPlayerInstance("")).toBeNull();
    await settle(player.play());
    await settle(ann.engine.getPlayerInstance("s2", new FakePage("inner"))!.play({ sourceType: "BGP" }));
    expect(wx.calls).toEqual(["s1 play", "s2@inner play"]);
    expect(page.data.playerList.map((p: { id: string }) => p.id)).toEqual(["s1", "s2"]);
    expect(ann.engine.getPlayerList("s2")).toMatchObject([{ id: "s2", mode: "RTC", url: expect.stringMatching(/^rtmp/) }]);
    ann.engine.setPlayerAttributes("s1", { objectFit: "contain" });
    ann.engine.mutePlayStreamVideo("s1", true);
    ann.engine.mutePlayStreamAudio("s1", true);
    expect(page.data.playerList[0]).toMatchObject({ objectFit: "contain", muteVideo: true, muteAudio: true });
    for (const m of ["pause", "resume", "snapshot", "mute", "requestFullScreen", "exitFullScreen", "requestPictureInPicture", "exitPictureInPicture"] as const) {
      player[m]();
      expect(wx.calls.pop()).toBe(`s1 ${m}`);
    }
    player.stop();
    expect(page.data.playerList.map((p: { id: string }) => p.id)).toEqual(["s2"]);
    expect(ann.playing.slice(-1)).toEqual(["s1 NO_PLAY/0"]);
    await settle(player.play());
    expect(page.data.playerList).toHaveLength(2);
    ann.engine.stopPlayingStream("s1");
    expect(page.data.playerList.map((p: { id: string }) => p.id)).toEqual(["s2"]);
    ann.engine.logoutRoom();
    expect(page.data.playerList).toEqual([]);
  });

  it("a context without a method, a page without names: no throw", async () => {
    ann.engine.initContext({ wxContext: page });
    const pusher = ann.engine.createPusher()!;
    pusher.context = {};
    pusher.pause();
    pusher.context = undefined;
    pusher.resume();
    expect(page.data).toEqual({});
    for (let i = 0; i < 70; i++) ann.engine.getPlayerInstance(`s${i}`);
    expect(await settle(ann.engine.getPlayerInstance("s69")!.play())).toMatchObject({ streamID: "s69" });
  });
});
