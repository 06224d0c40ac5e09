// In a browser, in Node, and nowhere.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { webDial } from "../src/transport.js";
import { Client, pass, settle } from "./fake/call.js";
import { FakeServer } from "./fake/server.js";

let server: FakeServer;
let ann: Client | undefined;

class FakeTarget {
  readonly listeners = new Map<string, () => void>();
  visibilityState = "visible";
  addEventListener(name: string, f: () => void): void {
    this.listeners.set(name, f);
  }
  removeEventListener(name: string): void {
    this.listeners.delete(name);
  }
  fire(name: string): void {
    this.listeners.get(name)?.();
  }
}

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(Math, "random").mockReturnValue(0.9); // when it tries again is not left to chance
  server = new FakeServer();
});
afterEach(() => {
  ann?.engine.destroyEngine();
  ann = undefined;
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

describe("browser", () => {
  it("ws URLs by default; offline, online, visible", async () => {
    const window = new FakeTarget();
    const document = new FakeTarget();
    const navigator = { onLine: false };
    vi.stubGlobal("WebSocket", server.WebSocket);
    vi.stubGlobal("window", window);
    vi.stubGlobal("document", document);
    vi.stubGlobal("navigator", navigator);
    ann = new Client(server, "ann", "ws://a.test", {});
    expect(await settle(ann.engine.checkSystemRequirements())).toMatchObject({ code: 0 });
    expect(await settle(ann.login())).toMatchObject({ code: 1000017 });
    navigator.onLine = true;
    expect(await settle(ann.login())).toBe(true);
    expect(await settle(ann.engine.startPlayingStream("s1"))).toMatchObject({ url: expect.stringMatching(/^ws:/), urls: { flv: [expect.any(String)] } });
    expect(await settle(ann.engine.startPlayingStream("s1", { protocol: "whep" }))).toMatchObject({ url: expect.stringMatching(/^rtmp:/) });
    ann.clear();
    server.host().mode = "refuse";
    server.cut();
    await pass(60000);
    server.host().mode = "up";
    window.fire("offline");
    document.visibilityState = "hidden";
    document.fire("visibilitychange");
    await pass(10);
    expect(ann.states).toEqual(["CONNECTING/1000017"]);
    document.visibilityState = "visible";
    document.fire("visibilitychange");
    await pass(20);
    expect(ann.states).toEqual(["CONNECTING/1000017", "CONNECTED/0"]);
    window.fire("online");
    await pass(20);
    expect(server.asked("ping")).toHaveLength(1);
    ann.engine.destroyEngine();
    expect(window.listeners.size + document.listeners.size).toBe(0);
  });
});

describe("elsewhere", () => {
  it("a global WebSocket without a window", async () => {
    vi.stubGlobal("WebSocket", server.WebSocket);
    ann = new Client(server, "ann", "ws://a.test", {});
    expect(await settle(ann.login())).toBe(true);
    expect(await settle(ann.engine.checkSystemRequirements())).toMatchObject({ code: 10001 });
  });

  it("no WebSocket at all: 1100003", async () => {
    vi.stubGlobal("WebSocket", undefined);
    ann = new Client(server, "ann", "ws://a.test", {});
    expect(await settle(ann.login())).toMatchObject({ code: 1100003 });
  });

  it("a class that throws, hangs, or cannot send", async () => {
    class Throws {
      constructor() {
        throw new Error("bad URL");
      }
    }
    class Hangs {
      closed: number[] = [];
      close(code: number): void {
        this.closed.push(code);
        throw new Error("x");
      }
    }
    class Mute {
      onopen?: () => void;
      onmessage?: (e: object) => void;
      onerror?: () => void;
      constructor() {
        setTimeout(() => (this.onopen?.(), this.onmessage?.({ data: 5 }), this.onerror?.()), 1);
      }
      send(): void {
        throw new Error("x");
      }
      close(): void {}
    }
    for (const [WebSocket, number] of [[Throws, 1100003], [Hangs, 1002031], [Mute, 1100003]] as const) {
      const c = new Client(server, "ann", "ws://a.test", { WebSocket });
      expect(await settle(c.login())).toMatchObject({ code: number });
      c.engine.destroyEngine();
    }
    const closes: unknown[] = [];
    webDial(Hangs as never)("ws://x", { open() {}, message() {}, close: (...a) => closes.push(a) }, 100);
    await pass(200);
    expect(closes).toEqual([[1006, "connect timeout"]]);
  });
});
