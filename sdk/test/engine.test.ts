// The surface itself: handlers, parameters, what is not offered, logs.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { code, LiveRelayEngine, LiveRelayError, ZegoExpressEngine } from "../src/index.js";
import { byteLength } from "../src/utf8.js";
import { Client, pass, settle } from "./fake/call.js";
import { FakeServer } from "./fake/server.js";

let server: FakeServer;
let ann: Client;
const rejections: unknown[] = [];
const note = (e: unknown): void => void rejections.push(e);

beforeEach(() => {
  vi.useFakeTimers();
  server = new FakeServer();
  ann = new Client(server, "ann");
  process.on("unhandledRejection", note);
});
afterEach(async () => {
  ann.engine.destroyEngine();
  await vi.runAllTimersAsync();
  vi.useRealTimers();
  await new Promise((resolve) => setTimeout(resolve, 10));
  process.off("unhandledRejection", note);
  expect(rejections).toEqual([]);
  vi.restoreAllMocks();
});

describe("surface", () => {
  it("has both names and every method of A1 and A2", () => {
    expect(ZegoExpressEngine).toBe(LiveRelayEngine);
    for (const name of [
      "on", "off", "loginRoom", "logoutRoom", "startPublishingStream", "stopPublishingStream", "startPlayingStream", "stopPlayingStream",
      "updatePlayerState", "updatePlayerNetStatus", "checkSystemRequirements", "getNextUrl", "renewToken", "getVersion", "destroyEngine",
      "enableMultiRoom", "sendBroadcastMessage", "sendBarrageMessage", "sendCustomCommand", "setRoomExtraInfo", "setStreamExtraInfo",
      "addPublishCdnUrl", "removePublishCdnUrl", "startMixerTask", "stopMixerTask", "setMixerTaskConfig", "startAutoMixerTask", "stopAutoMixerTask",
      "setDebugVerbose", "setLogConfig", "updateAudioVolumeNotify", "initContext", "createPusher", "getPusherInstance", "getPlayerInstance",
      "setPusherAttributes", "setPlayerAttributes", "getPlayerList", "mutePublishStreamVideo", "mutePublishStreamAudio", "mutePlayStreamVideo", "mutePlayStreamAudio", "uploadLog",
    ]) expect(typeof (LiveRelayEngine.prototype as never)[name], name).toBe("function");
    for (const name of ["use", "setGeoFence", "setEngineOptions", "setCloudProxyConfig", "setLocalProxyConfig"]) expect(typeof (LiveRelayEngine as never)[name], name).toBe("function");
    expect(ann.engine.getVersion()).toMatch(/^\d+\.\d+\.\d+$/);
  });

  it("takes the third and fourth parameters of other engines", async () => {
    for (const more of [[0], [1, { WebSocket: server.WebSocket, geoFenceType: 0, prefixDomain: "x" }], [{ WebSocket: server.WebSocket }], [undefined, { WebSocket: server.WebSocket }]] as [number?, object?][]) {
      if (more.length === 1 && typeof more[0] === "number") vi.stubGlobal("WebSocket", server.WebSocket);
      const engine = new LiveRelayEngine(1, "ws://a.test", ...more);
      expect(await settle(engine.loginRoom("r1", "04t", { userID: "cho" }))).toBe(true);
      engine.destroyEngine();
      vi.unstubAllGlobals();
    }
  });

  it("keeps the last engine as the current one", () => {
    expect(LiveRelayEngine.current).toBe(ann.engine);
    const other = new Client(server, "bob");
    ann.engine.destroyEngine();
    expect(LiveRelayEngine.current).toBe(other.engine);
    other.engine.destroyEngine();
    expect(LiveRelayEngine.current).toBeUndefined();
  });

  it("what is not offered says so", async () => {
    const warn = vi.spyOn(console, "warn").mockImplementation(() => undefined);
    const e = ann.engine;
    for (const call of [
      () => e.addPublishCdnUrl("s", "u"), () => e.removePublishCdnUrl("s", "u"), () => e.startMixerTask({}), () => e.stopMixerTask("t"),
      () => e.setMixerTaskConfig({}), () => e.startAutoMixerTask({}), () => e.stopAutoMixerTask({}),
    ]) expect(await settle(call())).toMatchObject({ code: code.notOffered, msg: expect.stringContaining("not offered") });
    LiveRelayEngine.use({});
    LiveRelayEngine.setGeoFence(1, []);
    LiveRelayEngine.setEngineOptions({});
    LiveRelayEngine.setCloudProxyConfig([], "", true);
    LiveRelayEngine.setLocalProxyConfig({}, true);
    expect(warn).toHaveBeenCalledTimes(5);
  });
});

describe("handlers", () => {
  it("run in the order of registration; off removes one or all", async () => {
    const order: number[] = [];
    const one = (): void => void order.push(1);
    const two = (): void => void order.push(2);
    expect(ann.engine.on("roomStateUpdate", one)).toBe(true);
    expect(ann.engine.on("roomStateUpdate", two)).toBe(true);
    expect(ann.engine.on("roomStateUpdate", two)).toBe(true);
    expect(ann.engine.on("roomStateUpdate", "x" as never)).toBe(false);
    expect(ann.engine.on(5 as never, one)).toBe(false);
    for (const name of ["nonsense", "roomStateupdate", "toString", ""]) expect(ann.engine.on(name as never, one), name).toBe(false);
    expect(ann.engine.on("mixerRelayCDNStateUpdate", one)).toBe(true);
    await settle(ann.login());
    expect(order).toEqual([1, 2, 1, 2]);
    expect(ann.engine.off("roomStateUpdate", one)).toBe(true);
    expect(ann.engine.off("roomStateUpdate", one)).toBe(false);
    ann.engine.logoutRoom();
    expect(order).toEqual([1, 2, 1, 2, 2]);
    expect(ann.engine.off("roomStateUpdate")).toBe(true);
    expect(ann.engine.off("tokenWillExpire")).toBe(true);
    expect(ann.engine.off("hallStateUpdate")).toBe(false);
  });

  it("that throw or reject stop nothing", async () => {
    const error = vi.spyOn(console, "error").mockImplementation(() => undefined);
    ann.engine.on("roomStateUpdate", () => {
      throw new Error("app");
    });
    ann.engine.on("roomStateUpdate", async () => {
      throw new Error("app, async");
    });
    ann.engine.on("roomStateUpdate", async () => "fine");
    expect(await settle(ann.login())).toBe(true);
    expect(error).toHaveBeenCalledTimes(4);
  });
});

describe("parameters", () => {
  const user = { userID: "u" };
  it.each([
    ["", "04t", user, 1002011],
    [undefined, "04t", user, 1002011],
    [5, "04t", user, 1002012],
    ["a\u0000b", "04t", user, 1002012],
    ["r".repeat(129), "04t", user, 1002013],
    ["房".repeat(43), "04t", user, 1002013],
    ["r", "04t", undefined, 1002005],
    ["r", "04t", {}, 1002005],
    ["r", "04t", { userID: "" }, 1002005],
    ["r", "04t", { userID: 5 }, 1002006],
    ["r", "04t", { userID: "a\nb" }, 1002006],
    ["r", "04t", { userID: "u".repeat(65) }, 1002007],
    ["r", "04t", { userID: "u", userName: {} }, 1002008],
    ["r", "04t", { userID: "u", userName: "a\u0007" }, 1002008],
    ["r", "04t", { userID: "u", userName: "n".repeat(257) }, 1002010],
    ["r", "", user, 1100001],
    ["r", undefined, user, 1100001],
    ["r", {}, user, 1100001],
  ])("loginRoom(%j, %j, %j): %i", async (room, token, who, number) => {
    expect(await settle(ann.engine.loginRoom(room as never, token as never, who as never))).toMatchObject({ code: number });
    expect(ann.states).toEqual(["CONNECTING/0", `DISCONNECTED/${number}`]);
    expect(server.dialled).toEqual([]);
    expect(await settle(ann.login())).toBe(true);
  });

  it("an app by its name", async () => {
    const engine = new LiveRelayEngine(0, "ws://a.test", { WebSocket: server.WebSocket, app: "live" });
    expect(await settle(engine.loginRoom("r1", "04t", { userID: "ann" }))).toBe(true);
    expect(server.asked("login")[0]).toMatchObject({ app: "live" });
    expect(server.asked("login")[0]!.appID).toBeUndefined();
    engine.destroyEngine();
  });

  it.each([0, -1, NaN, "1", undefined])("appID %j: 1001004", async (appID) => {
    const engine = new LiveRelayEngine(appID as never, "ws://a.test", { WebSocket: server.WebSocket });
    expect(await settle(engine.loginRoom("r", "04t", user))).toMatchObject({ code: 1001004 });
    engine.destroyEngine();
  });

  it("streams: before login, after logout, ids", async () => {
    const both = [(id: unknown) => ann.engine.startPublishingStream(id as string), (id: unknown) => ann.engine.startPlayingStream(id as string)];
    for (const start of both) {
      expect(await settle(start("s1"))).toMatchObject({ code: 1000002 });
      expect(await settle(start(""))).toMatchObject({ code: 1000015 });
    }
    for (const send of [ann.engine.sendBroadcastMessage("r1", "x"), ann.engine.sendBarrageMessage("r1", "x"), ann.engine.sendCustomCommand("r1", "x", ["bob"]), ann.engine.setRoomExtraInfo("r1", "k", "x"), ann.engine.setStreamExtraInfo("s1", "x")]) {
      expect(await settle(send)).toMatchObject({ code: 1002014 });
    }
    await settle(ann.login());
    for (const start of both) {
      for (const [id, number] of [["", 1000015], [undefined, 1000015], [null, 1000015], [5, 1000016], ["a b", 1000016], ["流", 1000016], ["a?b", 1000016], ["s".repeat(257), 1000014]] as const) {
        expect(await settle(start(id)), String(id)).toMatchObject({ code: number });
      }
    }
    for (const id of [undefined, 5, "", "x"]) {
      expect(ann.engine.stopPublishingStream(id as never)).toBe(false);
      ann.engine.stopPlayingStream(id as never);
      expect(ann.engine.getNextUrl(id as never)).toBe("");
    }
    ann.engine.logoutRoom();
    for (const start of both) expect(await settle(start("s1"))).toMatchObject({ code: 1000002 });
    expect(ann.publishing).toEqual([]);
  });

  it("nobody waits for the promises: no unhandled rejection", async () => {
    void ann.engine.loginRoom("", "", {} as never);
    void ann.engine.startPublishingStream("");
    void ann.engine.startPlayingStream("");
    void ann.engine.sendBroadcastMessage("r", "");
    void ann.engine.startMixerTask({});
    await pass(100);
  });

  it("counts bytes as UTF-8 does", () => {
    for (const text of ["", "a", "é", "字", "😀", "\ud800", "a\udc00b", "\ud83dx"]) expect(byteLength(text), JSON.stringify(text)).toBe(new TextEncoder().encode(text).length);
  });

  it("errors are errors", () => {
    const e = new LiveRelayError(5, "m");
    expect(e).toBeInstanceOf(Error);
    expect(e).toMatchObject({ code: 5, errorCode: 5, msg: "m", message: "m", name: "LiveRelayError" });
  });
});

describe("logs", () => {
  it("reject wrong configurations", () => {
    for (const bad of [undefined, null, "x", { logLevel: "x" }, { remoteLogLevel: 5 }, { logURL: 5 }]) expect(ann.engine.setLogConfig(bad as never)).toBe(false);
    expect(ann.engine.setLogConfig({})).toBe(true);
  });

  it("print from the level on, without tokens", async () => {
    const printed: string[] = [];
    for (const level of ["debug", "info", "warn", "error"] as const) vi.spyOn(console, level).mockImplementation((t: unknown) => void printed.push(`${level} ${t}`));
    ann.engine.setDebugVerbose(true);
    await settle(ann.login());
    await settle(ann.engine.startPublishingStream("s1"));
    expect(printed.some((l) => l.startsWith("debug") && l.includes("roomStateUpdate"))).toBe(true);
    expect(printed.join("\n")).not.toContain("04token");
    printed.length = 0;
    ann.engine.setDebugVerbose(false);
    ann.engine.logoutRoom();
    expect(printed).toEqual([]);
  });

  it("go to the operators, bounded in size and rate", async () => {
    ann.engine.setLogConfig({ remoteLogLevel: "debug" });
    for (let i = 0; i < 300; i++) ann.engine.updatePlayerState("x".repeat(i * 3) + "字token=secret04&x", { detail: { code: i } });
    await settle(ann.login());
    await pass(1000);
    expect(server.asked("log").length).toBeLessThanOrEqual(2);
    await pass(20000);
    const requests = server.asked("log");
    expect(requests.length).toBeGreaterThan(3);
    for (const { lines, id } of requests) {
      expect(id).toBeUndefined();
      expect(lines.length).toBeLessThanOrEqual(20);
      for (const line of lines) expect(byteLength(line)).toBeLessThanOrEqual(512);
      expect(lines.join()).not.toContain("secret04");
    }
    expect(requests[0]!.lines[0]).toContain("lines lost");
  });

  it("go to a URL when one is set", async () => {
    const fetched: string[] = [];
    vi.stubGlobal("fetch", async (url: string, init: { body: string }) => {
      fetched.push(`${url} ${init.body}`);
      throw new Error("down");
    });
    ann.engine.setLogConfig({ remoteLogLevel: "info", logURL: "https://log.test/x" });
    await settle(ann.login());
    ann.engine.uploadLog();
    ann.engine.uploadLog();
    await pass(5000);
    expect(fetched).toHaveLength(1);
    expect(fetched[0]).toContain("logged in to r1");
    vi.stubGlobal("fetch", undefined);
    ann.engine.logoutRoom();
    await settle(ann.login());
    await pass(5000);
    vi.unstubAllGlobals();
  });
});
