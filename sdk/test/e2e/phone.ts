// A phone: its network, a `wx` whose live-pusher is a real ffmpeg push and whose
// live-player is a real ffmpeg pull, and a page bound to its WXML.
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import vm from "node:vm";
import WebSocket from "ws";

/** The documented retries of the components: three, some seconds apart. */
const retries = 3;
const retryPause = 2500;

/** What the camera sees: made once, pushed by copy, so that a test costs next to nothing. */
export function camera(): string {
  const file = join(tmpdir(), "liverelay-e2e-camera.flv");
  if (!existsSync(file)) {
    const args = "-v error -y -f lavfi -i testsrc2=size=368x640:rate=15 -f lavfi -i sine=frequency=440:sample_rate=48000 -t 20 -c:v libx264 -preset veryfast -tune zerolatency -profile:v baseline -pix_fmt yuv420p -g 15 -b:v 300k -c:a aac -b:a 48k -f flv".split(" ");
    execFileSync("ffmpeg", [...args, `${file}.${process.pid}`]);
    execFileSync("mv", [`${file}.${process.pid}`, file]);
  }
  return file;
}

type Fire = (type: string, detail: object) => void;

/** A component of the page: ffmpeg behind WeChat's events. */
abstract class Media {
  url = "";
  frames = 0;
  /** State codes in order. */
  readonly codes: number[] = [];
  private child: ChildProcess | undefined;
  private wanted = false;
  private failures = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private beat: ReturnType<typeof setInterval> | undefined;

  constructor(protected readonly network: Network, private readonly fire: Fire) {
    network.media.add(this);
  }

  protected abstract args(): string[];
  protected abstract began(): number[];
  protected abstract again: number;
  protected abstract lost: number;

  start(): void {
    if (this.wanted || !this.url) return;
    this.wanted = true;
    this.failures = 0;
    this.open();
  }

  stop(): void {
    this.wanted = false;
    clearTimeout(this.timer);
    this.end();
  }

  /** The network went: the connection with it. */
  cut(): void {
    this.child?.kill("SIGKILL");
  }

  remove(): void {
    this.stop();
    this.network.media.delete(this);
  }

  protected say(code: number, message = ""): void {
    this.codes.push(code);
    this.fire("statechange", { code, message });
  }

  private open(): void {
    if (!this.wanted) return;
    if (this.network.down) return this.failed();
    const child = spawn("ffmpeg", ["-v", "error", "-nostdin", "-progress", "pipe:1", "-stats_period", "0.25", ...this.args()], { stdio: ["ignore", "pipe", "pipe"] });
    this.child = child;
    let playing = false;
    let base = 0;
    let text = "";
    child.stderr!.on("data", () => undefined);
    child.stdout!.on("data", (d: Buffer) => {
      if (child !== this.child) return;
      text = (text + d.toString()).slice(-4000);
      const all = text.match(/frame=(\d+)/g);
      const frame = all ? Number(all[all.length - 1]!.slice(6)) : 0;
      this.frames += Math.max(0, frame - base);
      base = frame;
      if (frame > 0 && !playing) {
        playing = true;
        this.failures = 0;
        for (const code of this.began()) this.say(code);
        this.beat = setInterval(() => this.fire("netstatus", { info: { videoBitrate: 300, audioBitrate: 48, videoFPS: 15, videoWidth: 368, videoHeight: 640, videoGOP: 1, netSpeed: 350, netJitter: 1 } }), 2000);
      }
    });
    child.on("exit", () => {
      if (child !== this.child) return;
      this.end();
      if (this.wanted) this.failed();
    });
  }

  private failed(): void {
    if (++this.failures > retries) {
      this.wanted = false;
      return this.say(this.lost, "network disconnected");
    }
    this.say(this.again, "reconnecting");
    this.timer = setTimeout(() => this.open(), retryPause);
  }

  private end(): void {
    clearInterval(this.beat);
    const child = this.child;
    this.child = undefined;
    if (child && child.exitCode === null) child.kill("SIGINT");
  }
}

class Pusher extends Media {
  again = 1102;
  lost = -1307;
  override start(): void {
    if (this.url) for (const code of [1005, 1003, 1007, 1008]) this.say(code);
    super.start();
  }
  args(): string[] {
    return ["-re", "-stream_loop", "-1", "-i", camera(), "-c", "copy", "-f", "flv", this.url];
  }
  began(): number[] {
    return [1001, 1002];
  }
}

class Player extends Media {
  again = 2103;
  lost = -2301;
  args(): string[] {
    return ["-rw_timeout", "8000000", "-i", this.url, "-c", "copy", "-f", "null", "-"];
  }
  began(): number[] {
    return [2001, 2002, 2003, 2004];
  }
}

/** The phone's way out: sockets and media go with it. */
export class Network {
  down = false;
  readonly sockets = new Set<WebSocket>();
  readonly media = new Set<Media>();
  readonly watchers: ((r: object) => void)[] = [];

  cut(): void {
    this.down = true;
    for (const s of this.sockets) s.terminate();
    for (const m of this.media) m.cut();
    for (const w of this.watchers) w({ isConnected: false, networkType: "none" });
  }

  restore(): void {
    this.down = false;
    for (const w of this.watchers) w({ isConnected: true, networkType: "4g" });
  }

  async lose(seconds: number): Promise<void> {
    this.cut();
    await new Promise((r) => setTimeout(r, seconds * 1000));
    this.restore();
  }
}

type PageDefinition = { data?: Record<string, any>; [name: string]: any };

/** A live-pusher or live-player tag of a WXML. */
interface Tag {
  kind: "live-pusher" | "live-player";
  attributes: Record<string, string>;
}

function tags(wxml: string): Tag[] {
  const found: Tag[] = [];
  // What encloses a component decides too whether, and for which items, it is there.
  const open: Record<string, string>[] = [];
  for (const [, end, kind, text] of wxml.matchAll(/<(\/?)([\w-]+)((?:"[^"]*"|[^">])*)>/g)) {
    const attributes = Object.fromEntries(Array.from(text!.matchAll(/([\w:-]+)(?:="([^"]*)")?/g), ([, k, v]) => [k!, v ?? "true"]));
    if (kind === "live-pusher" || kind === "live-player") {
      if (end) continue;
      const around = open.reduceRight((all, o) => ({ ...("wx:for" in o ? { "wx:for": o["wx:for"]! } : {}), ...all }), {} as Record<string, string>);
      const parent = open[open.length - 1];
      found.push({ kind, attributes: { ...around, ...(parent && "wx:if" in parent ? { "wx:if": parent["wx:if"]! } : {}), ...attributes } });
    } else if (end) open.pop();
    else if (!text!.endsWith("/")) open.push(attributes);
  }
  return found;
}

/** The value of "{{a.b}}" in some data. */
function value(text: string | undefined, data: Record<string, any>): any {
  const path = text && /^\{\{\s*([\w.]+)\s*\}\}$/.exec(text)?.[1];
  return path ? path.split(".").reduce((x: any, k) => x?.[k], data) : text;
}

/** One phone with one page open. */
export class Phone {
  readonly network = new Network();
  readonly page: PageDefinition;
  readonly mistakes: string[] = [];
  readonly players = new Map<string, Player>();
  pusher: Pusher | undefined;
  private readonly wxml: Tag[];
  readonly realm: vm.Context;

  constructor(wxml: string, script: string, extra: Record<string, unknown> = {}) {
    this.wxml = tags(wxml);
    let definition: PageDefinition = {};
    const module = { exports: {} };
    const names: Record<string, unknown> = { wx: this.wx(), Page: (d: PageDefinition) => (definition = d), setTimeout, clearTimeout, setInterval, clearInterval, console: { log() {}, warn() {}, error() {}, info() {}, debug() {} }, ...extra };
    const sdk = { exports: {} };
    this.realm = vm.createContext({ ...names, module: sdk, exports: sdk.exports });
    vm.runInContext(readFileSync(join(__dirname, "../../miniprogram_dist/index.js"), "utf8"), this.realm);
    const files: Record<string, unknown> = { "liverelay-sdk": sdk.exports, ...(extra.files as object) };
    // A file of the mini program itself, unless the test has one in its place.
    const load = (name: string): unknown => {
      if (name in files) return files[name];
      const file = name.replace(/^(\.\.?\/)+/, "");
      if (file in files) return files[file];
      const own = { exports: {} };
      files[file] = own.exports;
      const run = vm.runInContext(`(function (require, module, exports) {${readFileSync(join(extra.root as string, `${file}.js`), "utf8")}\n})`, this.realm);
      run(load, own, own.exports);
      return (files[file] = own.exports);
    };
    Object.assign(this.realm, { module, exports: module.exports, require: load, ZegoExpressEngine: (sdk.exports as any).ZegoExpressEngine });
    vm.runInContext(script, this.realm);
    this.page = definition;
    this.page.data = this.page.data || {};
    this.page.setData = (data: Record<string, any>, done?: () => void) => {
      Object.assign(this.page.data!, data);
      this.render();
      if (done) setTimeout(() => done.call(this.page), 0);
    };
    this.page.selectComponent = () => null;
  }

  close(): void {
    this.network.cut();
    for (const m of Array.from(this.network.media)) m.remove();
  }

  /** Makes the components what the data says. */
  private render(): void {
    const data = this.page.data!;
    const seen = new Set<string>();
    for (const { kind, attributes: a } of this.wxml) {
      if (kind === "live-pusher") {
        const url = a["wx:if"] && !value(a["wx:if"], data) ? "" : value(a.url, data);
        if (!url) {
          this.pusher?.remove();
          this.pusher = undefined;
          continue;
        }
        if (!this.pusher) this.pusher = new Pusher(this.network, (type, detail) => this.event(a, type, "", detail));
        this.update(this.pusher, url, "autopush" in a);
        continue;
      }
      for (const item of value(a["wx:for"], data) || []) {
        const scope = { ...data, item };
        const id = value(a.id, scope) as string;
        seen.add(id);
        let player = this.players.get(id);
        if (!player) this.players.set(id, (player = new Player(this.network, (type, detail) => this.event(a, type, id, detail))));
        this.update(player, value(a.src, scope), "autoplay" in a);
      }
    }
    for (const [id, player] of this.players) {
      if (seen.has(id)) continue;
      player.remove();
      this.players.delete(id);
    }
  }

  /** A component sees a URL only when it changes. */
  private update(media: Pusher | Player, url: string, auto: boolean): void {
    if (media.url === url) return;
    const running = media.url !== "";
    media.url = url;
    if (!auto) return;
    if (running) media.stop();
    media.start();
  }

  /** A page's handler that throws stops nothing in WeChat. */
  private event(attributes: Record<string, string>, type: string, id: string, detail: object): void {
    const name = attributes[`bind${type}`];
    if (!name || typeof this.page[name] !== "function") return;
    try {
      this.page[name]({ type, currentTarget: { id }, target: { id }, detail });
    } catch (error) {
      this.mistakes.push(`${name}: ${String(error)}`);
    }
  }

  private wx(): object {
    const network = this.network;
    return {
      connectSocket: (o: { url: string; fail?: (e: object) => void }) => {
        const on: Record<string, (x?: any) => void> = {};
        if (network.down) {
          setTimeout(() => on.error?.({ errMsg: "network down" }), 50);
          return { onOpen() {}, onMessage() {}, onClose() {}, onError: (f: any) => (on.error = f), send: (x: any) => x.fail?.(), close() {} };
        }
        const socket = new WebSocket(o.url);
        network.sockets.add(socket);
        socket.on("open", () => on.open?.({}));
        socket.on("message", (data: Buffer, binary: boolean) => !network.down && on.message?.({ data: binary ? data : data.toString() }));
        socket.on("error", (e) => on.error?.({ errMsg: String(e) }));
        socket.on("close", (code: number, reason: Buffer) => (network.sockets.delete(socket), on.close?.({ code, reason: reason.toString() })));
        return {
          onOpen: (f: any) => (on.open = f),
          onMessage: (f: any) => (on.message = f),
          onClose: (f: any) => (on.close = f),
          onError: (f: any) => (on.error = f),
          send: (x: { data: string; fail?: () => void }) => socket.send(x.data, (e) => e && x.fail?.()),
          close: (x: { code: number; reason: string }) => socket.close(x.code, x.reason),
        };
      },
      getNetworkType: (o: any) => o.success({ networkType: network.down ? "none" : "wifi" }),
      getSystemInfoSync: () => ({ platform: "android", SDKVersion: "3.5.0" }),
      onAppShow() {},
      offAppShow() {},
      onNetworkStatusChange: (f: any) => network.watchers.push(f),
      offNetworkStatusChange: (f: any) => network.watchers.splice(network.watchers.indexOf(f), 1),
      getSetting: (o: any) => o.success({ authSetting: { "scope.camera": true, "scope.record": true } }),
      request() {},
      setKeepScreenOn() {},
      createLivePusherContext: () => ({
        start: () => this.pusher?.start(),
        stop: () => this.pusher?.stop(),
        resume() {},
        pause() {},
      }),
      createLivePlayerContext: (id: string) => ({
        play: () => this.players.get(id)?.start(),
        stop: () => this.players.get(id)?.stop(),
      }),
    };
  }
}
