// Servers that are down, lie or move; and which address is dialled.
import { describe, expect, it } from "vitest";
import { signalURLs } from "../src/session.js";
import { pass, settle } from "./fake/call.js";
import { ann, client, loseAnn, server } from "./fake/stage.js";

describe("servers that misbehave", () => {
  it("several servers: the next one is tried at once", async () => {
    server.host("a.test").mode = "refuse";
    const c = client("cho", ["ws://a.test", "ws://b.test"]);
    expect(await settle(c.login(), 300)).toBe(true);
    expect(server.dialled).toEqual(["ws://a.test/signal?v=1", "ws://b.test/signal?v=1"]);
    // It dies: the other takes over, the session is resumed there.
    server.host("b.test").mode = "refuse";
    server.host("a.test").mode = "up";
    server.cut("cho");
    await pass(6000);
    expect(c.states.slice(-2)).toEqual(["CONNECTING/1000017", "CONNECTED/0"]);
    expect(server.asked("login").pop()).toMatchObject({ host: "a.test", resume: {} });
  });

  it("all down: rejects with 1100003 in bounded time", async () => {
    for (const h of server.hosts.values()) h.mode = "refuse";
    expect(await settle(ann.login(), 11000)).toMatchObject({ code: 1100003 });
    expect(ann.states).toEqual(["CONNECTING/0", "DISCONNECTED/1100003"]);
  });

  it("never opens: 1002031 within 10 s", async () => {
    server.host().mode = "hang";
    expect(await settle(ann.login(), 10100)).toMatchObject({ code: 1002031 });
  });

  it("opens and never answers: 1002031, and the next login works", async () => {
    server.host().mode = "mute";
    expect(await settle(ann.login(), 10100)).toMatchObject({ code: 1002031 });
    server.host().mode = "up";
    await pass(5000);
    expect(await settle(ann.login())).toBe(true);
  });

  it("closes at the first frame, or sends nonsense: the next server", async () => {
    for (const mode of ["drop", "garbage"] as const) {
      server.host("a.test").mode = mode;
      const c = client(`u-${mode}`, ["wss://a.test/signal", "wss://b.test"]);
      expect(await settle(c.login())).toBe(true);
      expect(server.asked("login").pop()!.host).toBe("b.test");
    }
    server.host("a.test").mode = "drop";
    expect(await settle(ann.login())).toMatchObject({ code: expect.any(Number) });
  });

  it("stops answering in mid-session: the heartbeat finds out", async () => {
    await settle(ann.login());
    ann.clear();
    server.silent.add("ping");
    await pass(31000);
    expect(ann.states[0]).toBe("CONNECTING/1000017");
    server.silent.clear();
    await pass(20000);
    expect(ann.states.slice(-1)).toEqual(["CONNECTED/0"]);
    expect(server.asked("ping").length).toBeGreaterThan(0);
  });

  it("answers a request never: 1100002; out of order and twice: no harm", async () => {
    await settle(ann.login());
    server.silent.add("publish");
    expect(await settle(ann.engine.startPublishingStream("s1"))).toMatchObject({ code: 1100002 });
    expect(ann.publishing).toEqual(["s1 PUBLISH_REQUESTING/0", "s1 NO_PUBLISH/1100002"]);
    const conn = Array.from(server.conns)[0]!;
    for (const frame of [{ id: 99 }, { id: "x" }, { id: 1 }, { id: null }, { type: 3 }, { type: "unknown", room: "r1" }, { type: "streamUpdate", room: "other", seq: 1 }, {}]) server.send(conn, frame);
    await pass();
    expect(ann.states.slice(-1)).toEqual(["CONNECTED/0"]);
  });

  it("says the network is broken: that is its error, not ours", async () => {
    await settle(ann.login());
    server.refuse.set("play", { code: 1000017, msg: "?" });
    expect(await settle(ann.engine.startPlayingStream("s1"), 100)).toMatchObject({ code: 1000017 });
    expect(server.asked("play")).toHaveLength(1);
  });

  it("lies in its replies: a code, never a stuck state", async () => {
    for (const [lie, result] of [
      [{ error: { code: "x" } }, { code: 1002099 }],
      [{ error: { code: 7, msg: 5, after: "y" } }, { code: 7, msg: "5" }],
      [{}, true],
      [{ snapshot: 5, seq: "x", session: 7, heartbeat: -1 }, true],
      [{ snapshot: { users: [1, null, { userID: 5 }], streams: { a: 1 }, roomExtraInfo: [null, {}], userCount: "x" } }, true],
      [{ snapshot: { users: "x", streams: [null, { streamID: 4 }, { streamID: "odd" }] } }, true],
    ] as const) {
      const c = client("liar");
      server.tamper = (type, reply) => (type === "login" ? { id: reply.id, ...lie } : reply);
      const got = await settle(c.login());
      if (result === true) expect(got).toBe(true);
      else expect(got).toMatchObject(result);
      await pass();
      c.engine.destroyEngine();
    }
  });

  it("4002, 4003, 4009: not again", async () => {
    await settle(ann.login());
    ann.clear();
    server.cut("ann", 4009, "version");
    await pass(60000);
    expect(ann.states).toEqual(["DISCONNECTED/1002099"]);
    expect(ann.reasons).toEqual(["RECONNECT_FAILED/1002099"]);
    expect(server.dialled).toHaveLength(1);
  });

  it("the server moves its clients: the app sees nothing", async () => {
    const c = client("cho", ["ws://a.test", "ws://b.test"]);
    await settle(c.login());
    c.clear();
    server.send(Array.from(server.conns)[0]!, { type: "reconnect", within: 2000 });
    await pass(2000);
    expect(server.asked("login").pop()).toMatchObject({ host: "b.test", resume: {} });
    server.cut("cho", 4001);
    await pass(1000);
    expect(c.seen).toEqual([]);
    expect(server.conns.size).toBe(1);
    // Without anybody to go to, it stays; when that ends too, the app is told after a while.
    for (const h of server.hosts.values()) h.mode = "refuse";
    server.send(Array.from(server.conns)[0]!, { type: "reconnect" });
    await pass(8000);
    server.cut("cho", 4001);
    await pass(2000);
    expect(c.states).toEqual([]);
    await pass(2000);
    expect(c.states).toEqual(["CONNECTING/1000017"]);
  });

  it("a refused resume ends with its code; an unanswered one is tried again", async () => {
    await settle(ann.login());
    server.silent.add("login");
    server.cut("ann");
    await pass(20000);
    server.silent.clear();
    await pass(16000);
    expect(ann.states.slice(-1)).toEqual(["CONNECTED/0"]);
    server.refuse.set("login", { code: 1102018, msg: "expired" });
    server.cut("ann");
    await pass(5000);
    expect(ann.states.slice(-1)).toEqual(["DISCONNECTED/1102018"]);
    expect(ann.reasons.slice(-1)).toEqual(["RECONNECT_FAILED/1102018"]);
  });

  it("the pauses between tries grow to 15 s, with jitter", async () => {
    await settle(ann.login());
    server.host().mode = "refuse";
    server.cut("ann");
    const at: number[] = [];
    let n = server.dialled.length;
    for (let t = 0; t < 250000; t += 50) {
      await pass(50);
      if (server.dialled.length > n) at.push(t);
      n = server.dialled.length;
    }
    const pauses = at.slice(1).map((t, i) => t - at[i]!);
    expect(at[0]).toBeGreaterThanOrEqual(450);
    expect(at[0]).toBeLessThanOrEqual(1100);
    expect(Math.max(...pauses)).toBeLessThanOrEqual(15100);
    expect(Math.max(...pauses.slice(-5))).toBeGreaterThan(7000);
    expect(new Set(pauses.slice(-5)).size).toBeGreaterThan(1);
  });

  it("requests while the link is lost: rejected with 1000017 after 10 s; logout ends them at once", async () => {
    await settle(ann.login());
    server.host().mode = "refuse";
    server.cut("ann");
    await pass();
    expect(await settle(ann.engine.startPlayingStream("s1"), 10100)).toMatchObject({ code: 1000017 });
    const promise = ann.engine.startPublishingStream("s1");
    const message = ann.engine.sendBroadcastMessage("r1", "x");
    await pass(100);
    ann.engine.logoutRoom();
    expect(await settle(promise, 10)).toMatchObject({ code: 1102026 });
    expect(await settle(message, 10)).toMatchObject({ code: 1102026 });
    await pass(400000);
    expect(ann.states.slice(-1)).toEqual(["DISCONNECTED/0"]);
  });

  it("a refused naming-again ends the publish and the play", async () => {
    await loseAnn();
    await pass(100000);
    server.refuse.set("publish", { code: 1002082, msg: "no" });
    server.refuse.set("play", { code: 1004025, msg: "no" });
    server.host().mode = "up";
    await pass(20000);
    expect(ann.publishing).toEqual(["s1 NO_PUBLISH/1002082"]);
    expect(ann.playing).toEqual(["x NO_PLAY/1004025"]);
  });
});

describe("addresses", () => {
  it("are completed", () => {
    expect(signalURLs(["wss://a", "ws://b:8080/", "https://c/x", "http://d", "e.test:1", "wss://f/signal?x=1#h", " ", "", 5, null])).toEqual([
      "wss://a/signal?v=1",
      "ws://b:8080/signal?v=1",
      "wss://c/x?v=1",
      "ws://d/signal?v=1",
      "wss://e.test:1/signal?v=1",
      "wss://f/signal?x=1&v=1",
    ]);
    expect(signalURLs(undefined)).toEqual([]);
    expect(signalURLs("///")).toEqual([]);
  });

  it("none: 1102017", async () => {
    const c = client("cho", "");
    expect(await settle(c.login())).toMatchObject({ code: 1102017 });
  });
});
