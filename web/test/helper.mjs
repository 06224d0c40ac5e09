// A real relay with the built pages, real publishers, a real browser.
import { execFileSync, spawn } from "node:child_process";
import { createHmac, randomUUID } from "node:crypto";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { chromium } from "playwright-core";
import { token04 } from "../../sdk/examples/backend-token/server.mjs";

const root = resolve(import.meta.dirname ?? new URL(".", import.meta.url).pathname, "../..");
export const binary = process.env.LIVERELAY_BIN || join(root, "bin/liverelay");
const browserPath = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);
const secret = "pages-secret-of-thirty-two-chars";

/** Why the tests cannot run here; "" when they can. */
export function missing() {
  if (!existsSync(binary)) return `no relay at ${binary}: make web build, or set LIVERELAY_BIN`;
  if (!browserPath) return "no chromium";
  try {
    execFileSync("ffmpeg", ["-version"], { stdio: "ignore" });
  } catch {
    return "no ffmpeg";
  }
  return "";
}

/**
 * Waits until f returns something, or throws with what it waited for. A minute is for a busy
 * machine, not a measure.
 */
export async function until(what, f, seconds = 60) {
  const end = Date.now() + seconds * 1000;
  for (let last; ; ) {
    try {
      last = await f();
      if (last) return last;
    } catch (error) {
      last = error;
    }
    if (Date.now() > end) throw new Error(`not within ${seconds} s: ${what} (${last?.message ?? JSON.stringify(last)})`);
    await new Promise((r) => setTimeout(r, 100));
  }
}

export class Relay {
  log = "";

  static async start(more = [], node = "advertise: 127.0.0.1, drain_timeout: 100ms") {
    const relay = new Relay();
    relay.dir = mkdtempSync(join(tmpdir(), "liverelay-pages-"));
    const config = join(relay.dir, "config.yaml");
    writeFileSync(
      config,
      [
        `node: {${node}}`,
        `apps:\n  - {name: live, id: 1, secret: "${secret}"}`,
        'rtmp: {listen: "127.0.0.1:0"}',
        'http: {listen: "127.0.0.1:0"}',
        'webrtc: {listen: "127.0.0.1:0"}',
        'admin: {listen: "127.0.0.1:0", token: "admin", tokens: [{name: noc, token: watch, role: viewer}, {name: desk, token: moderate, role: operator, apps: [live]}]}',
        ...more,
      ].join("\n"),
    );
    // Every LIVERELAY_… is a key of the configuration to it.
    const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("LIVERELAY_")));
    relay.child = spawn(binary, ["serve", "--config", config], { stdio: ["ignore", "ignore", "pipe"], env });
    relay.child.stderr.on("data", (d) => (relay.log += d));
    const port = (door) => relay.log.match(new RegExp(`door=${door}\\.listen address=127\\.0\\.0\\.1:(\\d+)`))?.[1];
    await until("the relay serves", () => {
      if (relay.child.exitCode !== null) throw new Error(relay.log);
      return relay.log.includes("msg=serving");
    });
    [relay.rtmp, relay.http, relay.adminPort] = [port("rtmp"), port("http"), port("admin")];
    relay.origin = `http://127.0.0.1:${relay.http}`;
    return relay;
  }

  /** A grant (auth/grant.go). */
  token(stream, action = "play", seconds = 3600, more = {}) {
    const encode = (o) => Buffer.from(JSON.stringify(o)).toString("base64url");
    const exp = Math.floor(Date.now() / 1000) + seconds;
    const head = `${encode({ alg: "HS256", typ: "JWT" })}.${encode({ jti: randomUUID(), app: "live", stream, action, user: "u", exp, ...more })}`;
    return `${head}.${createHmac("sha256", secret).update(head).digest("base64url")}`;
  }

  /** A login (Token04) for a room. */
  login(user, room, seconds = 3600, privilege = { 1: 1, 2: 1 }) {
    return token04(1, user, secret, seconds, JSON.stringify({ room_id: room, privilege, stream_id_list: null }));
  }

  page(stream, more = "") {
    return `${this.origin}/play/live/${stream}?token=${this.token(stream)}${more}`;
  }

  async admin(method, path) {
    return fetch(`http://127.0.0.1:${this.adminPort}/api/v1/${path}`, { method, headers: { Authorization: "Bearer admin" } });
  }

  async stop() {
    const gone = new Promise((r) => this.child.once("exit", r));
    if (this.child.exitCode === null && this.child.signalCode === null) {
      this.child.kill("SIGINT");
      await gone;
    }
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** ffmpeg that publishes a moving picture and a tone, or one of both. */
export class Publisher {
  constructor(relay, stream, { size = "320x180", rate = 30, source = "testsrc2", picture = true, audio = true, video = "libx264", extra = [], claims = {} } = {}) {
    const moving = picture ? ["-f", "lavfi", "-i", `${source}=size=${size}:rate=${rate}`] : [];
    const tone = audio ? ["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000"] : [];
    const codec = picture ? ["-c:v", video, "-preset", "ultrafast", ...(video === "libx264" ? ["-tune", "zerolatency"] : []), "-g", String(rate), "-pix_fmt", "yuv420p"] : [];
    const sound = audio ? ["-c:a", "aac", "-b:a", "64k", "-ac", "2"] : [];
    const url = `rtmp://127.0.0.1:${relay.rtmp}/live/${stream}?token=${relay.token(stream, "publish", 3600, claims)}`;
    this.child = spawn("ffmpeg", ["-nostdin", "-v", "error", "-re", ...moving, ...tone, ...codec, ...sound, ...extra, "-f", "flv", url], { stdio: ["ignore", "ignore", "pipe"] });
    this.log = "";
    this.child.stderr.on("data", (d) => (this.log += d));
    this.gone = new Promise((r) => this.child.once("exit", r));
  }

  /** Ends as a program does, or as an accident (SIGKILL). */
  async stop(signal = "SIGTERM") {
    if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill(signal);
    await this.gone;
  }
}

/** A network between browsers and the relay, with faults. */
export class Network {
  static async open(relay) {
    const network = new Network();
    network.pairs = new Set();
    network.relay = relay;
    network.server = createServer((near) => network.join(near, connect(network.relay.http, "127.0.0.1")));
    await new Promise((r) => network.server.listen(0, "127.0.0.1", r));
    network.origin = `http://127.0.0.1:${network.server.address().port}`;
    return network;
  }

  join(near, far) {
    const pair = { near, far };
    this.pairs.add(pair);
    for (const [from, to] of [[near, far], [far, near]]) {
      from.on("error", () => undefined);
      from.on("close", () => {
        if (this.dead) return; // the other side hears nothing of it
        to.destroy();
        this.pairs.delete(pair);
      });
    }
    near.once("data", (data) => (pair.opening = data.toString("latin1")));
    near.on("data", (data) => this.up(near, far, data));
    far.on("data", (data) => this.down(near, far, this.changed(data)));
    if (this.dead) for (const end of [near, far]) end.pause();
  }

  /** What comes from the relay, with `change` [from, to] of one length. */
  changed(data) {
    return this.change ? Buffer.from(data.toString("latin1").replace(...this.change), "latin1") : data;
  }

  /** What goes to the relay: at the uplink's speed, with little of it in store. */
  up(near, far, data) {
    far.write(data);
    if (!this.kbps) return;
    near.pause();
    setTimeout(() => this.dead || near.resume(), (data.length * 8) / this.kbps);
  }

  /** What comes from the relay: at the downlink's speed, and no faster than it is taken. */
  down(near, far, data) {
    const taken = near.write(data);
    if (!taken || this.downKbps) far.pause();
    const on = () => this.dead || far.resume();
    if (!taken) near.once("drain", on);
    else if (this.downKbps) setTimeout(on, (data.length * 8) / this.downKbps);
  }

  /** From now on nothing gets through, and nobody is told. */
  cut() {
    this.dead = true;
    for (const { near, far } of this.pairs) for (const end of [near, far]) end.pause();
  }

  /** Back: old connections go on. */
  mend() {
    this.dead = false;
    for (const { near, far } of this.pairs) for (const end of [near, far]) end.destroyed ? (near.destroy(), far.destroy()) : end.resume();
  }

  /** So much gets to the relay; 0: all. */
  uplink(kbps) {
    this.kbps = kbps;
  }

  /** So much comes from the relay; 0: all. */
  downlink(kbps) {
    this.downKbps = kbps;
  }

  close() {
    for (const { near, far } of this.pairs) for (const end of [near, far]) end.destroy();
    this.server.close();
  }
}

export async function openBrowser(args = []) {
  return chromium.launch({
    executablePath: browserPath,
    args: ["--no-sandbox", "--disable-dev-shm-usage", "--autoplay-policy=user-gesture-required", "--mute-audio", "--no-proxy-server", "--disable-background-networking", "--disable-component-update", ...args],
  });
}

/** Opens a page; what goes wrong in it is in page.mistakes. */
export async function visit(browser, url, options = {}) {
  const context = await browser.newContext({ locale: "en-US", viewport: { width: 1100, height: 820 }, ...options });
  const page = await context.newPage();
  page.mistakes = [];
  page.on("console", (m) => m.type() === "error" && page.mistakes.push(m.text()));
  page.on("pageerror", (e) => page.mistakes.push(String(e)));
  await page.goto(url);
  return page;
}

/** The statistics that the page shows, by term. */
export async function statistics(page) {
  return page.$$eval("#statistics > div", (rows) => Object.fromEntries(rows.map((r) => [r.querySelector("dt").textContent, r.querySelector("dd").firstChild.textContent])));
}

/** A number that changes with the picture. */
export async function picture(page) {
  return page.evaluate(() => {
    const from = document.querySelector(".stage canvas, .stage video");
    if (!from) return 0;
    const canvas = new OffscreenCanvas(32, 18);
    const context = canvas.getContext("2d");
    context.drawImage(from, 0, 0, 32, 18);
    return context.getImageData(0, 0, 32, 18).data.reduce((sum, v, i) => (sum * 31 + v * (i % 7)) % 1000003, 7);
  });
}

/** The picture moves: it changes several times. */
export async function moves(page, times = 5) {
  const seen = new Set();
  await until("the picture moves", async () => seen.add(await picture(page)).size > times);
}
