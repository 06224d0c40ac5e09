// The quick start, block by block, as a reader would copy it; both languages have the same code.
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import * as sdk from "../src/index.js";
import { pass } from "./fake/call.js";
import { FakeServer } from "./fake/server.js";
import { FakeWx } from "./fake/wx.js";

const docs = join(__dirname, "../../docs/sdk");
const text = (file: string): string => readFileSync(join(docs, file), "utf8");
const blocks = (file: string, kind: string): string[] => Array.from(text(file).matchAll(new RegExp("```" + kind + "\\n([\\s\\S]*?)\\n```", "g")), ([, b]) => b!);
/** Code without what is said in the reader's language. */
const bare = (code: string): string => code.replace(/\s*(\/\/|# ).*$/gm, "").replace(/secret: ".*?"/, "secret").replace(/[^\x20-\x7e\n]/g, "");

const binary = process.env.LIVERELAY_BIN || join(__dirname, "../../bin/liverelay");

it.each(["yaml", "sh", "json", "html", "js"])("the %s blocks are the same in both languages", (kind) => {
  const english = blocks("quick-start.md", kind);
  expect(english.length).toBeGreaterThan(0);
  expect(blocks("quick-start.zh-CN.md", kind).map(bare)).toEqual(english.map(bare));
});

it.skipIf(!existsSync(binary))("the server's configuration is one, and the token's command gives a token", () => {
  const folder = mkdtempSync(join(tmpdir(), "liverelay-quickstart-"));
  const run = (file: string, ...args: string[]): string => execFileSync(file, args, { cwd: folder, stdio: ["ignore", "pipe", "pipe"] }).toString();
  try {
    writeFileSync(join(folder, "config.yaml"), blocks("quick-start.md", "yaml")[0]!.replace(/secret: ".*?"/, 'secret: "0123456789abcdef0123456789abcdef"'));
    run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=live.example.com", "-keyout", "live.example.com.key", "-out", "live.example.com.pem");
    const commands = blocks("quick-start.md", "sh")[0]!.split("\n").map((l) => l.replace(/\s+#.*/, "").split(" ").slice(1));
    for (const command of commands) {
      if (command[0] === "serve") continue;
      const out = run(binary, ...command);
      if (command[0] === "token") expect(out).toMatch(/^04[A-Za-z0-9+/=]+\s*$/);
    }
    expect(commands.map((c) => c[0])).toEqual(["check", "serve", "token"]);
  } finally {
    rmSync(folder, { recursive: true });
  }
}, 60000);

describe("the page", () => {
  let server: FakeServer;
  let wx: FakeWx;
  let page: Record<string, any>;

  beforeEach(() => {
    vi.useFakeTimers();
    server = new FakeServer("live.example.com:8443");
    wx = new FakeWx(server);
    Object.assign(wx, {
      getStorageSync: () => "",
      setStorageSync: () => undefined,
      request: (o: any) => o.success && setTimeout(() => o.success({ statusCode: 200, data: { userID: "用户 1", token: "04", login: "x" } }), 100),
    });
    vi.stubGlobal("wx", wx);
    const load = (): object => ({ LiveRelayEngine: class extends sdk.LiveRelayEngine {
      constructor(id: number, address: string) {
        super(id, address);
        this.setLogConfig({ logLevel: "disable", remoteLogLevel: "disable" });
      }
    } });
    new Function("require", "Page", "wx", blocks("quick-start.md", "js")[0]!)(load, (p: object) => (page = p), wx);
    page.setData = (data: object) => Object.assign(page.data, data);
    page.onLoad({ room: encodeURIComponent("会议室") });
  });
  afterEach(() => {
    page.onUnload();
    vi.unstubAllGlobals();
    vi.useRealTimers();
  });

  it("calls: its own stream's name is legal, the others' streams come and go", async () => {
    page.join();
    page.join();
    await pass(1000);
    expect(page.data).toMatchObject({ joined: true, refused: false, streams: [] });
    expect(page.data.mine).toMatch(/^[0-9A-Za-z_.-]+$/);
    expect(server.asked("login")).toHaveLength(1);
    server.publish("bob", "bob-camera", "", "会议室");
    await pass(100);
    expect(page.data.streams.map((s: any) => s.streamID)).toEqual(["bob-camera"]);
    server.unpush("bob-camera", 5, "会议室");
    await pass(1000);
    expect(page.data.streams).toEqual([]);
    page.onUnload();
    await pass(1000);
    expect(server.room("会议室").members.size).toBe(0);
  });

  it("left before the token came: nobody is in the room", async () => {
    page.join();
    await pass(50);
    page.onUnload();
    await pass(3000);
    expect(server.room("会议室").members.size).toBe(0);
    expect(server.conns.size).toBe(0);
  });

  it("a refused camera shows the button to the settings", async () => {
    wx.setting = { "scope.camera": false, "scope.record": true };
    page.join();
    await pass(1000);
    expect(page.data).toMatchObject({ refused: true, joined: false });
    expect(page.engine).toBeUndefined();
  });

  it("its WXML and JSON name what is there", () => {
    const wxml = blocks("quick-start.md", "html")[0]!;
    for (const [, handler] of wxml.matchAll(/bind\w+="(\w+)"/g)) expect(typeof page[handler!], handler).toBe("function");
    for (const [, name] of wxml.matchAll(/\{\{!?(\w+)/g)) expect(["item", ...Object.keys(page.data)]).toContain(name);
    for (const [, tag] of wxml.matchAll(/<(live-[\w-]+) [^>]*/g)) {
      const properties = readFileSync(join(__dirname, `../miniprogram/${tag}/${tag}.js`), "utf8");
      expect(properties).toContain("streamId:");
    }
    // Without a size the native component shows nothing.
    for (const [tag] of wxml.matchAll(/<live-[^>]*>/g)) expect(tag).toMatch(/style="width: \d+rpx; height: \d+rpx"/);
    for (const path of Object.values(JSON.parse(blocks("quick-start.md", "json")[0]!).usingComponents as Record<string, string>)) {
      expect(existsSync(join(__dirname, "..", path.replace("liverelay-sdk", "miniprogram") + ".js"))).toBe(true);
    }
  });
});

it.each(["live-push", "live-play"])("component.md lists every property of %s", (name) => {
  const source = readFileSync(join(__dirname, `../miniprogram/${name}/${name}.js`), "utf8").split("properties: {")[1]!.split("\n  },")[0]!;
  for (const [, property] of source.matchAll(/^ {4}(\w+): \{/gm)) {
    const attribute = "`" + property!.replace(/[A-Z]/g, (c) => "-" + c.toLowerCase()) + "`";
    for (const file of ["component.md", "component.zh-CN.md"]) expect(text(file).split(`## ${name}`)[1], `${file} ${attribute}`).toContain(`| ${attribute} |`);
  }
});
