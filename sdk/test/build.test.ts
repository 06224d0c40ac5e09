// What is published: the builds, their size, and the realm of a mini program, which has next to
// nothing.
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import vm from "node:vm";
import { gzipSync } from "node:zlib";
import { execFileSync } from "node:child_process";
import { transformSync } from "esbuild";
import ts from "typescript";
import { describe, expect, it } from "vitest";
import { FakeServer } from "./fake/server.js";
import { FakeWx } from "./fake/wx.js";

const root = join(__dirname, "..");
const read = (path: string): string => readFileSync(join(root, path), "utf8");

describe("builds", () => {
  it("are at most 25 KiB gzipped, as they are imported", () => {
    for (const file of ["dist/index.cjs", "dist/index.mjs", "miniprogram_dist/index.js"]) {
      expect(gzipSync(read(file), { level: 9 }).length, file).toBeLessThanOrEqual(25 * 1024);
    }
  });

  it("and the components' scripts have nothing newer than ES2015", () => {
    const scripts = readdirSync(join(root, "miniprogram_dist"), { recursive: true }).map(String).filter((name) => name.endsWith(".js"));
    expect(scripts.length).toBeGreaterThanOrEqual(5);
    for (const name of scripts) {
      const text = read(join("miniprogram_dist", name));
      const [old, as] = (["es2015", "esnext"] as const).map((target) => transformSync(text, { target, charset: "utf8" }).code);
      expect(old === as, name).toBe(true);
      expect(text, name).not.toMatch(/,\s*\)/);
    }
  });

  it("a TypeScript page of the other engine compiles with the import changed", () => {
    const options = { strict: true, noEmit: true, skipLibCheck: false, types: [], lib: ["lib.es2018.d.ts", "lib.dom.d.ts"], module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler, paths: { "liverelay-sdk": [join(root, "dist/index.d.ts")] } };
    const errors = ts.getPreEmitDiagnostics(ts.createProgram([join(root, "test/types/page.ts")], options));
    expect(errors.map((e) => ts.flattenDiagnosticMessageText(e.messageText, " "))).toEqual([]);
  }, 120000);

  it("depend on nothing", () => {
    const { dependencies, peerDependencies } = JSON.parse(read("package.json"));
    expect(dependencies).toBeUndefined();
    expect(peerDependencies).toBeUndefined();
    for (const file of ["dist/index.cjs", "dist/index.mjs", "miniprogram_dist/index.js"]) {
      expect(read(file)).not.toMatch(/\brequire\(|^import .* from/m);
    }
  });

  it("the lock file names no registry", () => {
    expect(read("package-lock.json")).not.toMatch(/"resolved"/);
  });

  it("CommonJS and ES module export the same", async () => {
    const cjs = createRequire(import.meta.url)(join(root, "dist/index.cjs"));
    const mjs = await import(join(root, "dist/index.mjs"));
    for (const m of [cjs, mjs]) {
      expect(typeof m.LiveRelayEngine).toBe("function");
      expect(m.ZegoExpressEngine).toBe(m.LiveRelayEngine);
      expect(m.default).toBe(m.LiveRelayEngine);
      expect(m.code.notLoggedIn).toBe(1000002);
      expect(typeof m.LiveRelayError).toBe("function");
    }
  });

  it("the package holds its licence and nothing that is not used", () => {
    const [{ files }] = JSON.parse(execFileSync("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"], { cwd: root, stdio: ["ignore", "pipe", "ignore"] }).toString());
    const paths = files.map((f: { path: string }) => f.path) as string[];
    for (const path of ["LICENSE", "README.md", "dist/index.d.mts", "dist/index.d.ts", "miniprogram_dist/live-push/live-push.wxml"]) expect(paths).toContain(path);
    expect(paths.filter((p) => !/^(dist|miniprogram_dist)\/|^(LICENSE|README\.md|package\.json)$/.test(p))).toEqual([]);
  }, 120000);

  it("the components are found by Node's rules, as bundlers look for them", () => {
    const resolve = createRequire(join(root, "package.json")).resolve;
    expect(resolve("liverelay-sdk/miniprogram_dist/live-push/live-push.js")).toMatch(/miniprogram_dist/);
  });

  it.each([["mts", "ES module"], ["cts", "CommonJS"]])("a strict TypeScript .%s (%s) compiles against the package as Node resolves it", (extension) => {
    const folder = mkdtempSync(join(tmpdir(), "liverelay-types-"));
    mkdirSync(join(folder, "node_modules"));
    symlinkSync(root, join(folder, "node_modules/liverelay-sdk"));
    const file = join(folder, `page.${extension}`);
    writeFileSync(
      file,
      `import LiveRelay, { LiveRelayEngine, ZegoExpressEngine, type LivePushInstance } from "liverelay-sdk";
       const engine = new LiveRelayEngine(1, "wss://a.test"); const other = new ZegoExpressEngine(1, ["wss://a.test"]);
       const third = new LiveRelay(1, "wss://a.test");
       engine.on("roomStreamUpdate", (room, type, streams) => streams.map((s) => s.streamID + room + type));
       (other as unknown as { selectComponent(id: string): LivePushInstance }).selectComponent("#push").switchCamera();
       void third.loginRoom("r", "t", { userID: "u" });`,
    );
    const program = ts.createProgram([file], { module: ts.ModuleKind.NodeNext, moduleResolution: ts.ModuleResolutionKind.NodeNext, strict: true, noEmit: true, skipLibCheck: false, types: [], preserveSymlinks: true });
    const errors = ts.getPreEmitDiagnostics(program).map((d) => ts.flattenDiagnosticMessageText(d.messageText, " "));
    rmSync(folder, { recursive: true });
    expect(errors).toEqual([]);
  }, 120000);

  it("the types name the whole surface", () => {
    const types = read("dist/index.d.ts");
    for (const name of ["class LiveRelayEngine", "ZegoExpressEngine", "loginRoom(", "interface EventMap", "class LiveRelayError", "interface PusherAttributes"]) expect(types).toContain(name);
    expect(types).not.toMatch(/import .* from/);
  });
});

describe("in a realm without anything", () => {
  it.each(["dist/index.cjs", "miniprogram_dist/index.js"])("%s logs in, publishes and plays", async (file) => {
    const server = new FakeServer();
    const wx = new FakeWx(server);
    const module = { exports: {} as Record<string, any> };
    // Only what a mini program's logic layer has.
    const realm = vm.createContext({ module, exports: module.exports, setTimeout, clearTimeout, setInterval, clearInterval, wx, console: { ...console, warn: () => undefined } });
    for (const name of ["URL", "TextEncoder", "fetch", "WebSocket", "window", "process", "require", "Buffer", "document", "navigator"]) {
      expect(vm.runInContext(`typeof ${name}`, realm), name).toBe("undefined");
    }
    vm.runInContext(read(file), realm);
    const engine = new module.exports.ZegoExpressEngine(1, "wss://a.test");
    const seen: string[] = [];
    engine.on("roomStateUpdate", (_r: string, state: string) => seen.push(state));
    engine.on("publisherStateUpdate", (s: { state: string }) => seen.push(s.state));
    expect(await engine.loginRoom("r1", "04t", { userID: "ann" })).toBe(true);
    const { url } = await engine.startPublishingStream("s1");
    expect(url).toMatch(/^rtmp:/);
    engine.updatePlayerState("s1", { detail: { code: 1002 } });
    await new Promise((r) => setTimeout(r, 20));
    expect((await engine.startPlayingStream("s2")).url).toMatch(/^rtmp:/);
    await expect(engine.loginRoom("r1", "04t", { userID: "ann" })).rejects.toMatchObject({ code: 1002001 });
    await expect(engine.sendBroadcastMessage("r1", "字".repeat(500))).rejects.toMatchObject({ code: 1009002 });
    engine.setLogConfig({ remoteLogLevel: "debug", logURL: "https://log.test" });
    engine.logoutRoom();
    engine.uploadLog();
    expect(wx.posted.length).toBe(1);
    expect(seen).toEqual(["CONNECTING", "CONNECTED", "PUBLISH_REQUESTING", "PUBLISHING", "NO_PUBLISH", "DISCONNECTED"]);
    engine.destroyEngine();
  });
});

describe("docs", () => {
  it("are made from the present types", () => {
    expect(() => execFileSync("node", [join(root, "script/reference.mjs"), "--check"])).not.toThrow();
  }, 120000); // it compiles the types: half a minute on a busy machine
});
