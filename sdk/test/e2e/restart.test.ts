// A real relay with nothing but its memory is restarted under a call: by an accident, and by an
// operator.
import { type ChildProcess, spawn } from "node:child_process";
import { createRequire } from "node:module";
import { afterEach, describe, expect, it } from "vitest";
import WebSocket from "ws";
import { camera } from "./phone.js";
import { missing, Relay } from "./relay.js";

const reason = missing();
if (reason) console.warn(`restarts skipped: ${reason}`);
const wait = (ms: number): Promise<void> => new Promise((r) => setTimeout(r, ms));

async function until(what: string, test: () => unknown, seconds = 60): Promise<void> {
  for (let t = 0; t < seconds * 20; t++) {
    if (test()) return;
    await wait(50);
  }
  throw new Error(`${what}: not within ${seconds} s`);
}

/** A member without a page: the SDK, and a pusher that tries again as a phone's does. */
class Member {
  readonly seen: unknown[][] = [];
  readonly engine: any;
  private url = "";
  private child: ChildProcess | undefined;

  constructor(private readonly relay: Relay, readonly user: string) {
    const { LiveRelayEngine } = createRequire(import.meta.url)("../../dist/index.cjs");
    this.engine = new LiveRelayEngine(1, relay.address, { WebSocket });
    this.engine.setLogConfig({ logLevel: "disable" });
    for (const name of ["roomStateUpdate", "roomUserUpdate", "roomStreamUpdate", "publisherStateUpdate", "IMRecvBroadcastMessage"]) {
      this.engine.on(name, (...args: unknown[]) => this.seen.push([name, ...args]));
    }
    members.push(this);
  }

  async enter(): Promise<void> {
    await this.engine.loginRoom("r", this.relay.token(this.user, "r"), { userID: this.user }, { userUpdate: true });
  }

  async publish(): Promise<void> {
    this.url = (await this.engine.startPublishingStream(`${this.user}-camera`)).url;
    this.push();
    await until("the stream flows", () => this.last("publisherStateUpdate")?.[0].state === "PUBLISHING");
  }

  private push(): void {
    if (!this.url) return;
    this.child = spawn("ffmpeg", ["-v", "error", "-nostdin", "-re", "-stream_loop", "-1", "-i", camera(), "-c", "copy", "-f", "flv", this.url], { stdio: "ignore" });
    this.child.on("exit", () => setTimeout(() => this.push(), 2000));
  }

  close(): void {
    this.url = "";
    this.child?.kill("SIGKILL");
    this.engine.destroyEngine();
  }

  events(name: string): any[][] {
    return this.seen.filter(([n]) => n === name).map(([, ...args]) => args);
  }
  last(name: string): any[] | undefined {
    return this.events(name).pop();
  }
  get state(): string {
    return this.last("roomStateUpdate")?.[1] ?? "CONNECTED";
  }
}

const members: Member[] = [];
let relay: Relay | undefined;

async function call(): Promise<Member[]> {
  relay = await Relay.start();
  const all = ["ann", "bob", "cho"].map((user) => new Member(relay!, user));
  for (const m of all) await m.enter();
  await all[0]!.publish();
  await until("everybody sees everybody", () => all.every((m) => m.events("roomUserUpdate").flatMap(([, , users]) => users).length === 2) && all[1]!.events("roomStreamUpdate").length === 1);
  for (const m of all) m.seen.length = 0;
  return all;
}

/** All are back, with the stream, and stay; nobody was told of anybody's going. */
async function undisturbed(all: Member[]): Promise<void> {
  await until("all are back", () => all.every((m) => m.state === "CONNECTED"));
  await wait(20000); // longer than those who are missing are waited for
  for (const m of all) {
    expect(m.events("roomUserUpdate"), m.user).toEqual([]);
    expect(m.events("roomStreamUpdate"), m.user).toEqual([]);
    expect(m.state).toBe("CONNECTED");
  }
  await all[0]!.engine.sendBroadcastMessage("r", "after");
  await until("a message arrives", () => all[1]!.last("IMRecvBroadcastMessage") && all[2]!.last("IMRecvBroadcastMessage"));
}

describe.skipIf(reason !== "")("restart of a single node", () => {
  afterEach(async () => {
    for (const m of members.splice(0)) m.close();
    await relay?.stop();
    relay = undefined;
  });

  it("killed: all come back, nobody was gone", async () => {
    const all = await call();
    await relay!.end("SIGKILL");
    await until("all have noticed", () => all.every((m) => m.state === "CONNECTING"));
    await relay!.run();
    await undisturbed(all);
  });

  it("stopped by an operator: the room works until the end, then as above", async () => {
    const all = await call();
    const ended = relay!.end("SIGTERM");
    let over = false;
    void ended.then(() => (over = true));
    // Two in a second is what one may send; the drain takes ten seconds.
    for (let i = 0; i < 8; i++) {
      await wait(700);
      await all[0]!.engine.sendBroadcastMessage("r", `${i}`);
    }
    expect(over).toBe(false);
    for (const m of all) expect(m.events("roomStateUpdate"), m.user).toEqual([]);
    await until("both have heard all of it", () => all.slice(1).every((m) => m.events("IMRecvBroadcastMessage").flatMap(([, list]) => list).length === 8));
    await ended;
    await relay!.run();
    await undisturbed(all);
  });
});
