// @vitest-environment jsdom
// The ready components, in the simulator, with the fake server behind them.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createRequire } from "node:module";
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { FakeServer } from "./fake/server.js";
import { FakeWx } from "./fake/wx.js";

const require = createRequire(import.meta.url);
const dist = join(__dirname, "../miniprogram_dist");
let simulate: any;
let sdk: any;
const ids: Record<string, string> = {};

let server: FakeServer;
let wx: FakeWx;
let engine: any;

const wait = (ms = 40): Promise<void> => new Promise((r) => setTimeout(r, ms));
const until = async (test: () => unknown, ms = 6000): Promise<void> => {
  for (let t = 0; t < ms && !test(); t += 20) await wait(20);
  expect(test()).toBeTruthy();
};

beforeAll(() => {
  simulate = require("miniprogram-simulate");
  sdk = require(join(dist, "index.js"));
  for (const name of ["live-push", "live-play"]) ids[name] = simulate.load(join(dist, name, name), { compiler: "simulate" });
});

beforeEach(async () => {
  server = new FakeServer();
  wx = new FakeWx(server);
  vi.stubGlobal("wx", wx);
  engine = new sdk.LiveRelayEngine(1, "ws://a.test");
  engine.setLogConfig({ logLevel: "disable", remoteLogLevel: "disable" });
  await engine.loginRoom("r1", "04t", { userID: "ann" });
});
afterEach(() => {
  for (const c of shown.splice(0)) c.detach();
  engine.destroyEngine();
  vi.unstubAllGlobals();
});

const shown: any[] = [];
function show(name: string, properties: object): { comp: any; events: unknown[][]; fire(event: string, detail: object): void } {
  const comp = simulate.render(ids[name], properties);
  const events: unknown[][] = [];
  comp.attach(document.createElement("div"));
  shown.push(comp);
  for (const e of ["state", "quality", "volume", "error", "statechange", "fullscreenchange"]) comp.addEventListener(e, (x: any) => events.push([e, x.detail]));
  return { comp, events, fire: (event, detail) => comp.instance[event]({ type: event, currentTarget: { id: "" }, detail }) };
}
const states = (events: unknown[][]): string[] => events.filter(([e]) => e === "state").map(([, d]: any) => `${d.state}/${d.errorCode}`);

describe.each(["live-push", "live-play"])("%s", (name) => {
  it("hands every property on: to the native component, or to the start of its stream", () => {
    const file = (suffix: string): string => readFileSync(join(dist, name, `${name}.${suffix}`), "utf8");
    const properties = Array.from(file("js").split("properties: {")[1]!.split("\n  },")[0]!.matchAll(/^ {4}(\w+): \{/gm), ([, p]) => p!);
    expect(properties.length).toBeGreaterThan(12);
    const ours = ["streamId", "roomId", "extraInfo", "streamParams", "protocol", "retries"];
    for (const p of properties) if (!ours.includes(p)) expect(file("wxml"), p).toMatch(new RegExp(`\\{\\{${p}[ }]`));
  });
});

describe("live-push", () => {
  it("publishes while stream-id is set", async () => {
    const { comp, events, fire } = show("live-push", { streamId: "p1", extraInfo: "x", roomId: "r1" });
    await until(() => comp.data.url);
    expect(comp.data.url).toMatch(/^rtmp:.*p1/);
    expect(wx.calls).toEqual(["push start"]);
    expect(server.asked("publish")[0]).toMatchObject({ room: "r1", stream: "p1", extraInfo: "x" });
    fire("onState", { code: 1002, message: "" });
    await until(() => states(events).length);
    expect(states(events)).toEqual(["PUBLISHING/0"]); // the request was before anybody listened
    fire("onNet", { info: { videoBitrate: 500 } });
    fire("onVolume", { volume: 5 });
    fire("onError", { errCode: 10001, errMsg: "denied" });
    expect(events.filter(([e]) => e === "quality")).toHaveLength(1);
    expect(events).toContainEqual(["volume", { volume: 5 }]);
    expect(events).toContainEqual(["error", { code: 10001, message: "denied" }]);
    comp.instance.switchCamera();
    comp.instance.snapshot();
    comp.instance.getContext().toggleTorch();
    expect(wx.calls.slice(1)).toEqual(["push switchCamera", "push snapshot", "push toggleTorch"]);
    comp.setData({ streamId: "" });
    await until(() => server.asked("stopPublish").length);
    expect(comp.data.url).toBe("");
    expect(wx.calls.pop()).toBe("push stop");
    expect(server.asked("stopPublish")).toHaveLength(1);
    fire("onState", { code: -1307 });
    fire("onNet", {});
  });

  it("starts again with a fresh URL after -1307, stop before start", async () => {
    const { comp, events, fire } = show("live-push", { streamId: "p1" });
    await until(() => comp.data.url);
    const first = comp.data.url;
    fire("onState", { code: 1002 });
    await wait();
    fire("onState", { code: -1307, message: "net" });
    await until(() => comp.data.url !== first);
    expect(wx.calls).toEqual(["push start", "push stop", "push start"]);
    fire("onState", { code: 1002 });
    await wait();
    expect(states(events)).toEqual(["PUBLISHING/0", "NO_PUBLISH/-1307", "PUBLISH_REQUESTING/0", "PUBLISHING/0"]);
    fire("onState", { code: 1103 });
    expect(wx.calls.pop()).toBe("push resume");
    fire("onState", { code: -1301, message: "camera" });
    expect(events).toContainEqual(["error", { code: -1301, message: "camera" }]);
  });

  it("media lost for more than 10 s: the pusher that still tries is not stopped; it gets through at 13 s", async () => {
    const { comp, events, fire } = show("live-push", { streamId: "p1" });
    await until(() => comp.data.url);
    const url = comp.data.url;
    fire("onState", { code: 1002 });
    server.push("p1");
    await until(() => states(events).length);
    fire("onState", { code: 3005 });
    fire("onState", { code: 1102 });
    server.unpush("p1", 5, "r1", 1103051);
    await until(() => states(events).includes("NO_PUBLISH/1103051"));
    server.cut("ann"); // the signalling comes back before the media does
    await until(() => server.asked("login").length === 2);
    await wait();
    expect(comp.data.url).toBe(url);
    expect(wx.calls).toEqual(["push start"]);
    server.push("p1");
    fire("onState", { code: 1002 });
    await until(() => states(events).slice(-1)[0] === "PUBLISHING/0");
    expect(wx.calls).toEqual(["push start"]);
    expect(comp.data.url).toBe(url);
  });

  it("media lost for more than 10 s, then −1307: starts again", async () => {
    const { comp, events, fire } = show("live-push", { streamId: "p1" });
    await until(() => comp.data.url);
    const url = comp.data.url;
    fire("onState", { code: 1002 });
    server.push("p1");
    await until(() => states(events).length);
    server.unpush("p1", 5, "r1", 1103051);
    await until(() => states(events).includes("NO_PUBLISH/1103051"));
    fire("onState", { code: -1307 });
    expect(states(events).slice(-1)).toEqual(["NO_PUBLISH/-1307"]);
    await until(() => comp.data.url && comp.data.url !== url);
    fire("onState", { code: 1002 });
    await until(() => states(events).slice(-1)[0] === "PUBLISHING/0");
  });

  it("media lost and the pusher says nothing more: started again after 15 s", async () => {
    const { comp, events, fire } = show("live-push", { streamId: "p1" });
    await until(() => comp.data.url);
    fire("onState", { code: 1002 });
    server.push("p1");
    await until(() => states(events).length);
    vi.useFakeTimers();
    server.unpush("p1", 5, "r1", 1103051);
    await vi.advanceTimersByTimeAsync(14900);
    expect(server.asked("publish")).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(200);
    vi.useRealTimers();
    expect(server.asked("publish")).toHaveLength(2);
  });

  it.each(["logoutRoom", "stopPublishingStream"])("%s of the application itself: the pusher does not go on", async (method) => {
    const { comp, fire } = show("live-push", { streamId: "p1" });
    await until(() => comp.data.url);
    fire("onState", { code: 1002 });
    engine[method](method === "logoutRoom" ? "r1" : "p1");
    await until(() => comp.data.url === "");
    expect(wx.calls.slice(-1)).toEqual(["push stop"]);
  });

  it("a refusal that passes is tried again", async () => {
    server.refuse.set("publish", { code: 1002099, msg: "internal" });
    const { comp, events } = show("live-push", { streamId: "p1" });
    await until(() => events.some(([e]) => e === "error"));
    server.refuse.clear();
    await until(() => comp.data.url);
  });

  it("comes back after a phone call, and gives up after its retries", async () => {
    const { comp, fire } = show("live-push", { streamId: "p1", retries: 1 });
    await until(() => comp.data.url);
    fire("onState", { code: 1002 });
    await wait();
    comp.triggerPageLifeTime("show");
    await wait();
    expect(server.asked("publish")).toHaveLength(1);
    server.push("p1");
    fire("onState", { code: 5001 });
    server.unpush("p1", 5, "r1", 1103051);
    await wait();
    comp.triggerPageLifeTime("show");
    await until(() => server.asked("publish").length === 2);
    comp.setData({ retries: 0 });
    fire("onState", { code: -1307 });
    await wait(1500);
    expect(server.asked("publish")).toHaveLength(2);
  });

  it("stops when kicked; starts when the room is back", async () => {
    const { comp } = show("live-push", { streamId: "p1" });
    await until(() => comp.data.url);
    server.kick("ann", 1002055);
    await until(() => comp.data.url === "");
    await engine.loginRoom("r1", "04t", { userID: "ann" });
    await until(() => comp.data.url);
  });

  it("tells when there is no engine, or a refusal; takes an engine by hand", async () => {
    engine.destroyEngine();
    const { comp, events } = show("live-push", {});
    comp.setData({ streamId: "p1" });
    await wait();
    expect(events).toEqual([["error", { code: 1000002, message: expect.any(String) }]]);
    engine = new sdk.LiveRelayEngine(1, "ws://a.test");
    engine.setLogConfig({ logLevel: "disable", remoteLogLevel: "disable" });
    server.refuse.set("publish", { code: 1002082, msg: "no" });
    comp.instance.setEngine(engine);
    comp.instance.setEngine(engine);
    await engine.loginRoom("r1", "04t", { userID: "ann" });
    await until(() => events.length > 2);
    expect(events).toContainEqual(["error", { code: 1002082, message: "no" }]);
    comp.instance.setEngine(undefined);
  });

  it("the camera's property tells the engine", async () => {
    const set = vi.spyOn(engine, "setPusherAttributes").mockImplementation(() => undefined);
    const { comp } = show("live-push", { streamId: "p1" });
    await until(() => comp.data.url);
    comp.setData({ camera: false });
    expect(set).toHaveBeenCalledWith({ enableCamera: false });
  });
});

describe("live-play", () => {
  beforeEach(() => {
    server.join("bob");
    server.publish("bob", "s1");
  });

  it("plays while stream-id is set, restarts after -2301", async () => {
    const { comp, events, fire } = show("live-play", { streamId: "s1", streamParams: "start=fast", roomId: "r1" });
    await until(() => comp.data.url);
    expect(comp.data.url).toMatch(/s1\?.*start=fast/);
    fire("onState", { code: 2004 });
    fire("onNet", { info: { videoBitrate: 5 } });
    fire("onVolume", { volume: 1 });
    fire("onFullScreen", { fullScreen: true });
    const first = comp.data.url;
    fire("onState", { code: -2301 });
    await until(() => comp.data.url !== first);
    fire("onState", { code: 2004 });
    expect(states(events)).toEqual(["PLAYING/0", "NO_PLAY/-2301", "PLAY_REQUESTING/0", "PLAYING/0"]);
    expect(wx.calls.map((c) => c.split(" ")[1])).toEqual(["play", "stop", "play"]);
    for (const m of ["requestFullScreen", "exitFullScreen", "snapshot"]) {
      comp.instance[m]();
      expect(wx.calls.pop()).toContain(m);
    }
    comp.instance.getContext().mute();
    expect(events.map(([e]) => e)).toEqual(expect.arrayContaining(["quality", "volume", "fullscreenchange", "statechange"]));
    comp.setData({ streamId: "s2", retries: 3 });
    await until(() => comp.data.url.includes("s2"));
    expect(server.asked("stopPlay")).toHaveLength(1);
    comp.setData({ streamId: "" });
    await wait();
    expect(comp.data.url).toBe("");
    fire("onState", { code: 2004 });
    fire("onNet", {});
  });

  it("takes several ways of picture in picture", () => {
    const { comp } = show("live-play", { streamId: "s1", pictureInPictureMode: ["push", "pop"] });
    expect(comp.data.pictureInPictureMode).toEqual(["push", "pop"]);
    comp.setData({ pictureInPictureMode: "pop" });
    expect(comp.data.pictureInPictureMode).toBe("pop");
  });

  it("waits for the room: what does not flow starts when it is back", async () => {
    server.refuse.set("play", { code: 1000017, msg: "network" });
    const { comp, events } = show("live-play", { streamId: "s1" });
    await until(() => events.some(([e]) => e === "error"));
    server.refuse.clear();
    server.cut();
    await until(() => comp.data.url);
  });

  it("forbidden: it does not go on; detached: it ends", async () => {
    const { comp } = show("live-play", { streamId: "s1" });
    await until(() => comp.data.url);
    server.tell("ann", { type: "playerState", streamID: "s1", state: "NO_PLAY", errorCode: 1004025 });
    await until(() => comp.data.url === "");
    comp.instance.setEngine(engine);
    comp.detach();
    shown.pop();
    await wait();
    expect(server.asked("stopPlay")).toHaveLength(1);
  });
});
