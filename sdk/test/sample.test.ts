// The pages of examples/miniprogram-call on a fake phone: what a person does who is faster, or
// slower, than the network.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import * as sdk from "../src/index.js";
import { pass } from "./fake/call.js";
import { FakeServer } from "./fake/server.js";
import { FakeWx } from "./fake/wx.js";

const root = join(__dirname, "../examples/miniprogram-call");

let server: FakeServer;
let wx: FakeWx & Record<string, any>;
/** The token endpoint: how long it takes, and whom it takes the caller for. */
let endpoint: { wait: number; user: (login: string) => string; asked: string[] };

/** A page of the sample as WeChat makes it. */
function open(style: string, query: Record<string, string> = {}): Record<string, any> {
  const files = new Map<string, { exports: any }>();
  let page: Record<string, any> = {};
  const load = (name: string): any => {
    if (name === "liverelay-sdk") return sdk;
    const path = name.replace(/^(\.\.?\/)+/, "");
    if (path === "config") return { appID: 1, server: ["ws://a.test"], tokenURL: "https://api.test/token", waitingImage: "" };
    let module = files.get(path);
    if (!module) {
      files.set(path, (module = { exports: {} }));
      new Function("require", "module", "exports", "Page", "wx", readFileSync(join(root, `${path}.js`), "utf8"))(load, module, module.exports, (p: object) => (page = p), wx);
    }
    return module.exports;
  };
  load(`pages/${style}/index`);
  page.setData = (data: object, done?: () => void) => (Object.assign(page.data, data), done?.call(page));
  page.selectComponent = () => ({ switchCamera() {} });
  const listen = page.listen;
  page.listen = (engine: sdk.LiveRelayEngine) => (engine.setLogConfig({ logLevel: "disable", remoteLogLevel: "disable" }), listen.call(page, engine));
  page.onLoad(query);
  return page;
}

beforeEach(() => {
  vi.useFakeTimers();
  server = new FakeServer();
  wx = new FakeWx(server);
  endpoint = { wait: 300, user: (login) => login || "guest-1", asked: [] };
  const store: Record<string, string> = {};
  Object.assign(wx, {
    getStorageSync: (key: string) => store[key],
    setStorageSync: (key: string, value: string) => (store[key] = value),
    setKeepScreenOn: () => undefined,
    requirePrivacyAuthorize: (o: any) => o.success(),
    request: (o: any) => {
      if (!o.success) return;
      const query = new URLSearchParams(o.url.split("?")[1]);
      endpoint.asked.push(query.get("room")!);
      const userID = endpoint.user(query.get("login") || "");
      setTimeout(() => o.success({ statusCode: 200, data: { userID, token: `04-${userID}`, login: userID } }), endpoint.wait);
    },
  });
  vi.stubGlobal("wx", wx);
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

const present = (): string[] => Array.from(server.room("r1").members.keys());

describe.each(["native", "component"])("the sample's %s page", (style) => {
  it("joins, publishes and leaves", async () => {
    const page = open(style);
    page.join();
    await pass(1000);
    expect(present()).toEqual(["guest-1"]);
    expect(page.data.joined).toBe(true);
    page.leave();
    await pass(1000);
    expect(present()).toEqual([]);
    expect(page.data.joined).toBe(false);
  });

  it.each([50, 299, 301, 303, 306])("left %d ms after the tap: nobody stays in the room", async (ms) => {
    const page = open(style);
    page.join();
    await pass(ms);
    page.onUnload();
    await pass(5000);
    expect(present()).toEqual([]);
    expect(server.conns.size).toBe(0);
    expect(page.data.joined).toBe(false);
  });

  it("tapped twice: one login", async () => {
    const page = open(style);
    page.join();
    await pass(50);
    page.join();
    await pass(2000);
    expect(server.asked("login")).toHaveLength(1);
    expect(present()).toEqual(["guest-1"]);
    expect(page.data.joined).toBe(true);
    page.onUnload();
    await pass(1000);
    expect(present()).toEqual([]);
  });

  it("left and joined again while the token is on its way: one member", async () => {
    const page = open(style);
    page.join();
    await pass(100);
    page.leave();
    page.join();
    await pass(2000);
    expect(server.asked("login")).toHaveLength(1);
    expect(page.data.joined).toBe(true);
    page.leave();
    await pass(1000);
  });

  it("a room's name arrives as it was typed", async () => {
    const page = open(style, { room: encodeURIComponent("会议 1") });
    expect(page.data.room).toBe("会议 1");
    page.join();
    await pass(1000);
    expect(endpoint.asked).toEqual(["会议 1"]);
    expect(Array.from(server.room("会议 1").members.keys())).toEqual(["guest-1"]);
    page.leave();
    await pass(1000);
  });

  it("a camera that was refused has a way to the settings and back", async () => {
    const page = open(style);
    wx.setting = { "scope.camera": false, "scope.record": true };
    page.join();
    await pass(1000);
    expect(page.data).toMatchObject({ refused: true, joined: false });
    expect(present()).toEqual([]);
    wx.setting["scope.camera"] = true;
    page.join(); // bindopensetting
    await pass(1000);
    expect(page.data).toMatchObject({ refused: false, joined: true });
    page.leave();
    await pass(1000);
  });

  it("without the privacy agreement nobody enters, and it says why", async () => {
    const page = open(style);
    wx.requirePrivacyAuthorize = (o: any) => o.fail({ errMsg: "denied" });
    page.join();
    await pass(1000);
    expect(present()).toEqual([]);
    expect(page.data.note).toMatch(/privacy/);
    expect(page.engine).toBeUndefined();
  });

  it("a token that expires is renewed for the same user, and never by another's", async () => {
    server.tokenExpires = 40;
    const page = open(style);
    page.join();
    await pass(20000);
    expect(server.asked("renewToken").map((f) => f.token)).toEqual(["04-guest-1"]);
    endpoint.user = () => "guest-2";
    await pass(60000);
    expect(server.asked("renewToken").filter((f) => f.token === "04-guest-2")).toEqual([]);
    page.leave();
    await pass(1000);
  });

  it("another room's end does not hang up", async () => {
    const page = open(style);
    page.join();
    await pass(1000);
    page.engine.loginRoom("other", "04x", { userID: "guest-1" }).catch(() => undefined); // a second room: 1002001
    await pass(1000);
    expect(page.data.joined).toBe(true);
    page.leave();
    await pass(1000);
  });

  it("who switches the microphone off is shown so to the others", async () => {
    const page = open(style);
    page.join();
    await pass(1000);
    server.publish("bob", "bob-camera", JSON.stringify({ camera: true, mic: false }));
    await pass(1000);
    const shown = (): string => (page.data.players || page.data.streams)[0].muted;
    expect(shown()).toMatch(/muted/);
    page.leave();
    await pass(1000);
  });
});

it("the native page publishes again after every end that is not a refusal", async () => {
  const page = open("native");
  page.join();
  await pass(1000);
  const state = (code: number): void => page.onPusherState({ type: "statechange", currentTarget: { id: "" }, detail: { code, message: "" } });
  server.push(page.streamID);
  state(1002);
  await pass(100);
  const asked = (): number => server.asked("publish").length;
  expect(asked()).toBe(1);
  server.unpush(page.streamID, 5, "r1", 1103051);
  state(-1307);
  await pass(5000);
  expect(asked()).toBe(2);
  page.leave();
  await pass(1000);
});
