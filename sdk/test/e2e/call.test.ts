// A real relay, real media: two members and more in a call, by the seed's page and by our own.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import WebSocket from "ws";
import { Phone } from "./phone.js";
import { missing, Relay } from "./relay.js";
import { seedPage, seedPath } from "./seed.js";

let relay: Relay;
const reason = missing();
const seed = seedPage();
const rejections: unknown[] = [];
process.on("unhandledRejection", (e) => rejections.push(e));

if (reason) console.warn(`end to end skipped: ${reason}`);
if (!seed) console.warn(`the seed's page is not at ${seedPath}: our own page only`);

const wait = (ms: number): Promise<void> => new Promise((r) => setTimeout(r, ms));

async function until(what: string, test: () => unknown, seconds = 20): Promise<void> {
  for (let t = 0; t < seconds * 20; t++) {
    if (test()) return;
    await wait(50);
  }
  throw new Error(`${what}: not within ${seconds} s`);
}

/** A member of a call, whatever page is on the phone. */
abstract class Member {
  readonly phone: Phone;
  readonly seen: unknown[][] = [];
  engine: any;

  /** Streams are the app's, not the room's: every test has its own users. */
  readonly user: string;

  constructor(page: { wxml: string; script: string }, name: string, readonly room: string, extra: (user: string) => object = () => ({})) {
    this.user = `${name}-${room}`;
    this.phone = new Phone(page.wxml, page.script, extra(this.user) as Record<string, unknown>);
    members.push(this);
  }

  abstract enter(): Promise<unknown>;
  abstract stopPush(): void;
  abstract leave(): void;
  abstract get streamID(): string;

  protected watch(engine: any): void {
    this.engine = engine;
    for (const name of ["roomStateUpdate", "roomStateChanged", "roomUserUpdate", "roomStreamUpdate", "publisherStateUpdate", "playerStateUpdate", "publishQualityUpdate", "playQualityUpdate", "tokenWillExpire"]) {
      engine.on(name, (...args: unknown[]) => this.seen.push([name, ...args]));
    }
  }

  events(name: string): any[][] {
    return this.seen.filter(([n]) => n === name).map(([, ...a]) => a);
  }
  get streams(): string[] {
    return this.events("roomStreamUpdate").map(([, type, list]) => `${type} ${list.map((s: any) => s.streamID)}`);
  }
  get users(): string[] {
    return this.events("roomUserUpdate").map(([, type, list]) => `${type} ${list.map((s: any) => s.userID)}`);
  }
  get reasons(): string[] {
    return this.events("roomStateChanged").map(([, r, c]) => `${r}/${c}`);
  }
  get publishing(): string {
    return this.events("publisherStateUpdate").pop()?.[0].state;
  }

  /** Media of a stream arrives here: more frames than before. */
  async sees(streamID: string, seconds = 25): Promise<void> {
    await until(`${this.user} has a player for ${streamID}`, () => this.phone.players.has(streamID), seconds);
    const player = this.phone.players.get(streamID)!;
    const before = player.frames;
    await until(`${this.user} sees ${streamID} (${player.codes})`, () => player.frames > before + 15, seconds);
  }
}

/** The seed's page. */
class SeedMember extends Member {
  constructor(name: string, room: string) {
    super(seed!, name, room);
  }
  get streamID(): string {
    return `${this.user}-stream`;
  }
  async enter(): Promise<unknown> {
    const page = this.phone.page;
    page.init(1, relay.address);
    this.watch(page.zg);
    page.zg.setLogConfig({ logLevel: "disable" });
    page.listen();
    page.setData({ pushStreamID: this.streamID });
    const result = await page.login(this.room, relay.token(this.user, this.room), { userID: this.user, userName: this.user });
    await page.push();
    return result;
  }
  stopPush(): void {
    this.phone.page.zg.stopPublishingStream(this.streamID);
    this.phone.page.stopPush();
  }
  leave(): void {
    this.phone.page.stopPlay();
    this.phone.page.leave(this.room);
  }
}

const sample = join(__dirname, "../../examples/miniprogram-call");
const native = { wxml: readFileSync(join(sample, "pages/native/index.wxml"), "utf8"), script: readFileSync(join(sample, "pages/native/index.js"), "utf8") };

/** The sample's native page, with the backend's part played here. */
class SampleMember extends Member {
  /** Seconds the token lasts. */
  ttl = 3600;
  constructor(name: string, room: string) {
    super(native, name, room, (user) => ({
      root: sample,
      files: {
        config: { appID: 1, server: [relay.address], waitingImage: "" },
        token: { fetchToken: async (r: string) => ({ appID: 1, userID: user, token: relay.token(user, r, this.ttl) }) },
      },
    }));
  }
  get streamID(): string {
    return `${this.user}-camera`;
  }
  async enter(): Promise<unknown> {
    const page = this.phone.page;
    page.onLoad({ room: this.room });
    const listen = page.listen;
    page.listen = (engine: any) => {
      engine.setLogConfig({ logLevel: "disable" });
      this.watch(engine);
      listen.call(page, engine);
    };
    await page.join();
    return page.data!.joined;
  }
  stopPush(): void {
    this.engine.stopPublishingStream(this.streamID);
    this.phone.page.pusher.stop();
  }
  leave(): void {
    this.phone.page.leave();
  }
}

const members: Member[] = [];

describe.skipIf(reason !== "")("end to end", () => {
  beforeAll(async () => {
    relay = await Relay.start();
  });
  afterAll(async () => {
    for (const m of members) {
      m.engine?.destroyEngine();
      m.phone.close();
    }
    await relay?.stop();
    expect(rejections).toEqual([]);
  });
  afterEach((context) => {
    if (context.task.result?.state === "fail") console.log(relay.log.join("").split("\n").slice(-40).join("\n"));
  });

  for (const [kind, make] of [["the seed's page", (u: string, r: string) => new SeedMember(u, r)], ["our page", (u: string, r: string) => new SampleMember(u, r)]] as const) {
    (kind === "the seed's page" && !seed ? it.skip : it.concurrent)(`${kind}: two see each other, one stops, one leaves`, async () => {
      const room = kind === "our page" ? "two" : "seed";
      const ann = make("ann", room);
      const bob = make("bob", room);
      expect(await ann.enter()).toBe(true);
      expect(await bob.enter()).toBe(true);
      await ann.sees(bob.streamID);
      await bob.sees(ann.streamID);
      expect(ann.publishing).toBe("PUBLISHING");
      expect(ann.streams).toEqual([`ADD ${bob.streamID}`]);
      expect(ann.events("publisherStateUpdate").map(([s]) => s.state)).toEqual(["PUBLISH_REQUESTING", "PUBLISHING"]);
      expect(ann.events("playerStateUpdate").map(([s]) => s.state)).toEqual(["PLAY_REQUESTING", "PLAYING"]);
      await until("quality", () => ann.events("publishQualityUpdate").length && ann.events("playQualityUpdate").length);
      bob.stopPush();
      await until("ann hears that bob stopped", () => ann.streams.includes(`DELETE ${bob.streamID}`), 5);
      expect(ann.phone.players.size).toBe(0);
      expect(ann.users).toEqual(kind === "our page" ? [`ADD ${bob.user}`] : []);
      ann.leave();
      await until("bob hears that ann left", () => bob.streams.includes(`DELETE ${ann.streamID}`), 5);
      expect(ann.reasons.slice(-1)).toEqual(["LOGOUT/0"]);
      if (kind === "our page") await until("the roster", () => bob.users.includes(`DELETE ${ann.user}`), 5);
      expect(bob.phone.players.size).toBe(0);
    });
  }

  it.concurrent("network lost for 5 s: nobody notices but the picture", async () => {
    const ann = new SampleMember("ann", "lost5");
    const bob = new SampleMember("bob", "lost5");
    await ann.enter();
    await bob.enter();
    await ann.sees(bob.streamID);
    await bob.sees(ann.streamID);
    ann.seen.length = bob.seen.length = 0;
    await ann.phone.network.lose(5);
    await until("ann is back", () => ann.reasons.includes("RECONNECTED/0"), 20);
    expect(ann.reasons).toEqual(["RECONNECTING/1000017", "RECONNECTED/0"]);
    await bob.sees(ann.streamID);
    await ann.sees(bob.streamID);
    expect(bob.streams).toEqual([]);
    expect(bob.users).toEqual([]);
    expect(ann.streams).toEqual([]);
  });

  it.concurrent("network lost for 60 s: the member stays, the stream comes back", async () => {
    const ann = new SampleMember("ann", "lost60");
    const bob = new SampleMember("bob", "lost60");
    await ann.enter();
    await bob.enter();
    await ann.sees(bob.streamID);
    await bob.sees(ann.streamID);
    ann.seen.length = bob.seen.length = 0;
    await ann.phone.network.lose(60);
    await until("ann is back", () => ann.reasons.includes("RECONNECTED/0"), 25);
    await bob.sees(ann.streamID, 30);
    await ann.sees(bob.streamID, 30);
    expect(bob.users).toEqual([]);
    expect(bob.streams).toEqual([`DELETE ${ann.streamID}`, `ADD ${ann.streamID}`]);
    expect(ann.events("publisherStateUpdate").map(([s]) => `${s.state}/${s.errorCode}`)).toContain("NO_PUBLISH/-1307");
    expect(ann.publishing).toBe("PUBLISHING");
  });

  it.concurrent("network lost for 100 s: the member went and came back", async () => {
    const ann = new SampleMember("ann", "lost100");
    const bob = new SampleMember("bob", "lost100");
    await ann.enter();
    await bob.enter();
    await ann.sees(bob.streamID);
    await bob.sees(ann.streamID);
    ann.seen.length = bob.seen.length = 0;
    await ann.phone.network.lose(100);
    await until("ann is back", () => ann.reasons.includes("RECONNECTED/0"), 30);
    await bob.sees(ann.streamID, 30);
    await ann.sees(bob.streamID, 30);
    expect(ann.reasons).toEqual(["RECONNECTING/1000017", "RECONNECTED/0"]);
    await until("the roster", () => bob.users.length === 2, 5);
    expect(bob.users).toEqual([`DELETE ${ann.user}`, `ADD ${ann.user}`]);
    expect(bob.streams).toEqual([`DELETE ${ann.streamID}`, `ADD ${ann.streamID}`]);
  });

  it.concurrent("the same user twice: the first is out, its stream ends", async () => {
    const first = new SampleMember("ann", "twice");
    const bob = new SampleMember("bob", "twice");
    await first.enter();
    await bob.enter();
    await bob.sees(first.streamID);
    const second = new SampleMember("ann", "twice");
    expect(await second.enter()).toBe(true);
    // The page destroys its engine on it, so no roomStateChanged comes any more.
    await until("the first is kicked", () => first.events("roomStateUpdate").pop()![2] === 1002050, 5);
    expect(first.events("roomStateUpdate").pop()![1]).toBe("DISCONNECTED");
    expect(first.events("publisherStateUpdate").pop()![0]).toMatchObject({ state: "NO_PUBLISH", errorCode: 1002050 });
    await bob.sees(second.streamID);
    await second.sees(bob.streamID);
    const gone = bob.events("roomStreamUpdate").find(([, type]) => type === "DELETE")!;
    expect(JSON.parse(gone[3]).stream_delete_reason[0].code).toBe(3);
  });

  it.concurrent("a token expires: told 30 s before; renewed it goes on, not renewed nothing new begins", async () => {
    const ann = new SampleMember("ann", "expire");
    const bob = new SampleMember("bob", "expire");
    ann.ttl = 36;
    await ann.enter();
    await bob.enter();
    await until("tokenWillExpire", () => ann.events("tokenWillExpire").length > 0, 20);
    // Our page has renewed it; a second client does not.
    const cho = new SampleMember("cho", "expire");
    cho.ttl = 4; // and 30 s, by which clocks may differ
    await cho.enter();
    cho.engine.off("tokenWillExpire");
    await wait(36000);
    await expect(cho.engine.startPublishingStream("cho-second")).rejects.toMatchObject({ code: expect.any(Number) });
    expect(cho.events("roomStateUpdate").pop()![1]).toBe("CONNECTED");
    await bob.sees(cho.streamID);
    await expect(ann.engine.startPublishingStream("ann-second")).resolves.toMatchObject({ streamID: "ann-second" });
  });

  it.concurrent("several at once: everybody sees everybody", async () => {
    const all = ["a", "b", "c", "d"].map((u) => new SampleMember(u, "four"));
    for (const m of all) await m.enter();
    for (const m of all) for (const o of all) if (m !== o) await m.sees(o.streamID);
    for (const m of all) expect(m.phone.mistakes).toEqual([]);
  });

  it.concurrent("outside of WeChat: messages and extra info between two programs", async () => {
    const { LiveRelayEngine } = createRequire(import.meta.url)("../../dist/index.cjs");
    const seen: unknown[][] = [];
    const open = async (user: string): Promise<any> => {
      const engine = new LiveRelayEngine(1, ["ws://127.0.0.1:1", relay.address], { WebSocket });
      engine.setLogConfig({ logLevel: "disable", remoteLogLevel: "disable" });
      for (const name of ["IMRecvBroadcastMessage", "IMRecvBarrageMessage", "IMRecvCustomCommand", "roomExtraInfoUpdate"]) engine.on(name, (...args: unknown[]) => seen.push([user, name, ...args]));
      await engine.loginRoom("words", relay.token(user, "words"), { userID: user, userName: user.toUpperCase() });
      return engine;
    };
    const eve = await open("eve-words");
    const fay = await open("fay-words");
    expect(await eve.sendBroadcastMessage("words", "你好")).toMatchObject({ errorCode: 0 });
    await eve.sendBarrageMessage("words", "ho");
    expect(JSON.parse((await eve.sendCustomCommand("words", "you", ["fay-words", "nobody"])).extendedData)).toMatchObject({ failed: ["nobody"] });
    await eve.setRoomExtraInfo("words", "k", "v");
    await until("fay hears it all", () => seen.filter(([u]) => u === "fay-words").length === 4, 5);
    expect(seen.find(([u, n]) => u === "fay-words" && n === "IMRecvBroadcastMessage")![3]).toMatchObject([{ fromUser: { userID: "eve-words", userName: "EVE-WORDS" }, message: "你好", messageID: expect.any(Number) }]);
    expect(seen.filter(([u, n]) => u === "eve-words" && n !== "roomExtraInfoUpdate")).toEqual([]);
    expect(await fay.startPlayingStream("none", { protocol: "flv" })).toMatchObject({ url: expect.stringMatching(/^http/), urls: { ws: [expect.any(String)] } });
    eve.destroyEngine();
    fay.destroyEngine();
  });

  it.concurrent("a token of another user, room or secret is refused", async () => {
    const ann = new SampleMember("ann", "refused");
    for (const token of [relay.token("other", "refused"), relay.token("ann", "elsewhere"), "04rubbish", relay.token("ann", "refused", -3600)]) {
      const Engine = (ann.phone.realm as any).ZegoExpressEngine;
      const engine = new Engine(1, relay.address);
      engine.setLogConfig({ logLevel: "disable" });
      await expect(engine.loginRoom("refused", token, { userID: "ann" })).rejects.toMatchObject({ code: expect.any(Number) });
      engine.destroyEngine();
    }
  });
});
