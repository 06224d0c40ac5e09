// B5, the room connection: every row of the behaviour table, then servers that are down, lie or move.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { signalURLs } from "../src/session.js";
import { Client, pass, settle } from "./fake/call.js";
import { FakeServer } from "./fake/server.js";

let server: FakeServer;
let ann: Client;
let bob: Client;
const clients: Client[] = [];

function client(user: string, addresses?: string | string[]): Client {
  const c = new Client(server, user, addresses);
  clients.push(c);
  return c;
}

/** Ann publishes s1, its media flows. */
async function publish(): Promise<void> {
  await settle(ann.engine.startPublishingStream("s1"));
  ann.pusher("s1", 1002);
  server.push("s1");
  await pass();
}

beforeEach(() => {
  vi.useFakeTimers();
  server = new FakeServer("a.test", "b.test", "c.test");
  ann = client("ann");
  bob = client("bob");
});
afterEach(() => {
  for (const c of clients.splice(0)) c.engine.destroyEngine();
  vi.useRealTimers();
});

describe("B5: room connection", () => {
  it("loginRoom called: CONNECTING (LOGINING) 0, before anything else", () => {
    const promise = ann.login();
    expect(ann.states).toEqual(["CONNECTING/0"]);
    expect(ann.reasons).toEqual(["LOGINING/0"]);
    promise.catch(() => undefined);
  });

  it("login ok: CONNECTED (LOGINED) 0, resolves true, others see the user", async () => {
    await settle(bob.login());
    expect(await settle(ann.login())).toBe(true);
    await pass();
    expect(ann.states).toEqual(["CONNECTING/0", "CONNECTED/0"]);
    expect(ann.reasons).toEqual(["LOGINING/0", "LOGINED/0"]);
    expect(bob.users).toEqual(["ADD ann"]);
    expect(server.asked("login")[1]).toMatchObject({ appID: 1, room: "r1", user: "ann", userName: "ANN", config: { userUpdate: true, maxMemberCount: 0 } });
    expect(server.asked("login")[1]!.resume).toBeUndefined();
  });

  it.each([1001004, 1002033, 1102016, 1102018, 1002034, 1002066, 1102020])("login rejected with %i: DISCONNECTED (LOGIN_FAILED), the promise rejects", async (number) => {
    server.refuse.set("login", { code: number, msg: "no" });
    expect(await settle(ann.login())).toMatchObject({ code: number, msg: "no" });
    expect(ann.states).toEqual(["CONNECTING/0", `DISCONNECTED/${number}`]);
    expect(ann.reasons).toEqual(["LOGINING/0", `LOGIN_FAILED/${number}`]);
    server.refuse.clear();
    expect(await settle(ann.login())).toBe(true);
  });

  it("link lost: CONNECTING (RECONNECTING) 1000017; others see nothing; back within 90 s: CONNECTED (RECONNECTED), streams kept", async () => {
    await settle(bob.login());
    await settle(ann.login());
    await publish();
    ann.clear();
    bob.clear();
    server.host().mode = "refuse";
    server.cut("ann");
    await pass();
    expect(ann.states).toEqual(["CONNECTING/1000017"]);
    expect(ann.reasons).toEqual(["RECONNECTING/1000017"]);
    await pass(60000);
    expect(ann.seen).toHaveLength(2);
    server.host().mode = "up";
    await pass(16000);
    expect(ann.states).toEqual(["CONNECTING/1000017", "CONNECTED/0"]);
    expect(ann.reasons).toEqual(["RECONNECTING/1000017", "RECONNECTED/0"]);
    expect(server.asked("login").pop()).toMatchObject({ resume: { session: expect.any(String), seq: expect.any(Number) } });
    expect(bob.streams).toEqual([]);
    expect(bob.users).toEqual([]);
    expect(ann.publishing).toEqual([]);
    expect(server.asked("publish")).toHaveLength(1);
  });

  it("back after 90 s and before 5 min: RECONNECTED; others had DELETE, now ADD again", async () => {
    await settle(bob.login());
    await settle(ann.login());
    await publish();
    await settle(ann.engine.startPlayingStream("x"));
    bob.clear();
    ann.clear();
    server.host().mode = "refuse";
    server.cut("ann");
    await pass(100000);
    expect(bob.streams).toEqual(["DELETE s1"]);
    expect(JSON.parse(bob.events("roomStreamUpdate")[0]![3] as string).stream_delete_reason[0]).toEqual({ stream_id: "s1", code: 2 });
    expect(bob.users).toEqual(["DELETE ann"]);
    server.host().mode = "up";
    await pass(20000);
    expect(ann.states).toEqual(["CONNECTING/1000017", "CONNECTED/0"]);
    expect(ann.reasons.slice(-1)).toEqual(["RECONNECTED/0"]);
    // The SDK names its stream again; the media that still runs is announced.
    expect(server.asked("publish")).toHaveLength(2);
    expect(server.asked("play")).toHaveLength(2);
    server.push("s1");
    await pass();
    expect(bob.streams).toEqual(["DELETE s1", "ADD s1"]);
    expect(bob.users).toEqual(["DELETE ann", "ADD ann"]);
    expect(ann.publishing).toEqual([]);
  });

  it("over 5 min: DISCONNECTED (RECONNECT_FAILED) 1002053", async () => {
    await settle(ann.login());
    await publish();
    await settle(ann.engine.startPlayingStream("x"));
    ann.clear();
    server.host().mode = "refuse";
    server.cut("ann");
    await pass(299000);
    expect(ann.states).toEqual(["CONNECTING/1000017"]);
    await pass(2000);
    expect(ann.states).toEqual(["CONNECTING/1000017", "DISCONNECTED/1002053"]);
    expect(ann.reasons).toEqual(["RECONNECTING/1000017", "RECONNECT_FAILED/1002053"]);
    expect(ann.publishing).toEqual(["s1 NO_PUBLISH/1002053"]);
    expect(ann.playing).toEqual(["x NO_PLAY/1002053"]);
    const dialled = server.dialled.length;
    server.host().mode = "up";
    await pass(60000);
    expect(server.dialled).toHaveLength(dialled);
    expect(await settle(ann.login())).toBe(true);
  });

  it("same userID elsewhere: the earlier client DISCONNECTED (KICKOUT) 1002050, its streams stop, DELETE code 3", async () => {
    await settle(bob.login());
    await settle(ann.login());
    await publish();
    ann.clear();
    const ann2 = client("ann");
    expect(await settle(ann2.login())).toBe(true);
    await pass();
    expect(ann.states).toEqual(["DISCONNECTED/1002050"]);
    expect(ann.reasons).toEqual(["KICKOUT/1002050"]);
    expect(ann.publishing).toEqual(["s1 NO_PUBLISH/1002050"]);
    expect(JSON.parse(bob.events("roomStreamUpdate").pop()![3] as string).stream_delete_reason[0].code).toBe(3);
    await pass(30000);
    expect(server.asked("login")).toHaveLength(3);
    expect(await settle(ann.engine.startPublishingStream("s1"))).toMatchObject({ code: 1000002 });
  });

  it("A offline, B logs in with A's id, A returns: 1002050", async () => {
    await settle(ann.login());
    ann.clear();
    server.host("a.test").mode = "refuse";
    server.cut("ann");
    await pass(1000);
    const other = client("ann", "ws://b.test");
    expect(await settle(other.login())).toBe(true);
    server.host("a.test").mode = "up";
    await pass(30000);
    expect(ann.states).toEqual(["CONNECTING/1000017", "DISCONNECTED/1002050"]);
    expect(ann.reasons).toEqual(["RECONNECTING/1000017", "KICKOUT/1002050"]);
    expect(other.states.slice(-1)).toEqual(["CONNECTED/0"]);
  });

  it("kicked by the server API: DISCONNECTED (KICKOUT) 1002055 with the operator's text", async () => {
    await settle(bob.login());
    await settle(ann.login());
    ann.clear();
    server.kick("ann", 1002055, "be nice");
    await pass();
    expect(ann.events("roomStateUpdate")).toEqual([["r1", "DISCONNECTED", 1002055, '{"custom_kickout_message":"be nice"}']]);
    expect(ann.reasons).toEqual(["KICKOUT/1002055"]);
    expect(bob.users.slice(-1)).toEqual(["DELETE ann"]);
    server.tell("bob", { type: "kicked" });
    await pass();
    expect(bob.states.slice(-1)).toEqual(["DISCONNECTED/1002055"]);
  });

  it("kicked by the token expiry service: KICKOUT 1102018", async () => {
    await settle(ann.login());
    server.kick("ann", 1102018);
    await pass();
    expect(ann.reasons.slice(-1)).toEqual(["KICKOUT/1102018"]);
  });

  it("logoutRoom: DISCONNECTED (LOGOUT) 0, others see DELETE, the connection ends", async () => {
    await settle(bob.login());
    await settle(ann.login());
    await publish();
    ann.clear();
    ann.engine.logoutRoom();
    expect(ann.seen.map(([n]) => n)).toEqual(["publisherStateUpdate", "roomStateUpdate", "roomStateChanged"]);
    expect(ann.states).toEqual(["DISCONNECTED/0"]);
    expect(ann.reasons).toEqual(["LOGOUT/0"]);
    await pass(3000);
    expect(bob.users.slice(-1)).toEqual(["DELETE ann"]);
    expect(bob.streams.slice(-1)).toEqual(["DELETE s1"]);
    expect(server.conns.size).toBe(1);
    ann.engine.logoutRoom();
    ann.engine.logoutRoom("other");
    expect(ann.states).toHaveLength(1);
  });

  it("the app is killed: others see DELETE after the grace", async () => {
    await settle(bob.login());
    await settle(ann.login());
    await publish();
    server.cut("ann");
    ann.engine.destroyEngine();
    await pass(89000);
    expect(bob.streams).toEqual(["ADD s1"]);
    await pass(2000);
    expect(bob.streams).toEqual(["ADD s1", "DELETE s1"]);
  });

  it("a publisher that crashes and publishes again inside 90 s: viewers get DELETE, then ADD", async () => {
    await settle(bob.login());
    await settle(ann.login());
    await publish();
    server.cut("ann");
    const again = client("ann");
    await settle(again.login());
    await settle(again.engine.startPublishingStream("s1"));
    server.push("s1");
    await pass();
    expect(bob.streams).toEqual(["ADD s1", "DELETE s1", "ADD s1"]);
  });

  it("what changed while I was away comes as the difference", async () => {
    await settle(ann.login());
    server.join("cho");
    server.publish("cho", "old");
    server.publish("cho", "kept", "x");
    await pass();
    for (const far of [false, true]) {
      ann.clear();
      server.host().mode = "refuse";
      server.cut("ann");
      await pass(1000);
      server.unpush(far ? "new" : "old");
      server.publish("cho", far ? "newer" : "new");
      if (far) server.room("r1").forgotten = 1e9; // too much for the log: a snapshot
      server.host().mode = "up";
      await pass(10000);
      expect(ann.streams).toEqual(far ? ["DELETE new", "ADD newer"] : ["DELETE old", "ADD new"]);
      expect(ann.users).toEqual([]);
      expect(ann.events("streamExtraInfoUpdate")).toEqual([]);
    }
  });

  it("starting again on -1307 / -2301 while offline is done when the link is back", async () => {
    await settle(ann.login());
    await publish();
    server.host().mode = "refuse";
    server.cut("ann");
    await pass(10);
    ann.pusher("s1", -1307);
    const promise = ann.engine.startPublishingStream("s1");
    await pass(2000);
    server.host().mode = "up";
    expect(await settle(promise)).toMatchObject({ url: expect.any(String) });
    await pass();
    // The withdrawal of the first publish must not end the second.
    expect(server.asked("stopPublish")).toHaveLength(0);
  });
});

describe("logins", () => {
  it("twice: 1002001, nothing is disturbed; another room too", async () => {
    await settle(ann.login());
    ann.clear();
    expect(await settle(ann.login())).toMatchObject({ code: 1002001 });
    expect(ann.seen).toEqual([]);
    expect(await settle(ann.login("r2"))).toMatchObject({ code: 1002001 });
    expect(ann.states).toEqual(["CONNECTING/0", "DISCONNECTED/1002001"]);
    expect(await settle(ann.engine.startPublishingStream("s1"))).toMatchObject({ streamID: "s1" });
  });

  it("while one is in progress: 1102012", async () => {
    const first = ann.login();
    expect(await settle(ann.login())).toMatchObject({ code: 1102012 });
    expect(await settle(first)).toBe(true);
  });

  it.each([0, 3, 7, 12])("cancelled by logoutRoom after %i ms: 1102026, and the server forgets it", async (ms) => {
    server.latency = 5;
    const promise = ann.login();
    await pass(ms);
    ann.engine.logoutRoom();
    expect(await settle(promise, 10)).toMatchObject({ code: 1102026 });
    expect(ann.reasons).toEqual(["LOGINING/0", "LOGOUT/0"]);
    expect(await settle(ann.login())).toBe(true);
    ann.engine.logoutRoom();
    await pass(3000);
    expect(server.room("r1").members.size).toBe(0);
    expect(server.conns.size).toBe(0);
  });

  it("many rooms: five, one user", async () => {
    expect(ann.engine.enableMultiRoom("x" as never)).toBe(false);
    expect(ann.engine.enableMultiRoom(true)).toBe(true);
    for (const r of ["r1", "r2", "r3", "r4", "r5"]) expect(await settle(ann.login(r))).toBe(true);
    expect(ann.engine.enableMultiRoom(false)).toBe(false);
    expect(await settle(ann.login("r6"))).toMatchObject({ code: 1002037 });
    expect(await settle(ann.login("r1"))).toMatchObject({ code: 1002056 });
    ann.engine.logoutRoom("r5");
    expect(await settle(ann.engine.loginRoom("r5", "04t", { userID: "other" }))).toMatchObject({ code: 1002018 });
    // The stream's room is found by its list; else the named one.
    server.join("cho", "r3");
    server.publish("cho", "s3", "", "r3");
    await pass();
    await settle(ann.engine.startPlayingStream("s3"));
    expect(server.asked("play").pop()).toMatchObject({ room: "r3" });
    await settle(ann.engine.startPublishingStream("p", { roomID: "r2" }));
    expect(server.asked("publish").pop()).toMatchObject({ room: "r2" });
    expect(await settle(ann.engine.startPublishingStream("p", { roomID: "r9" }))).toMatchObject({ code: 1002002 });
    // To another room: it leaves the first.
    await settle(ann.engine.startPublishingStream("p", { roomID: "r4" }));
    await settle(ann.engine.startPlayingStream("s3", { roomID: "r4" }));
    await pass();
    expect(server.asked("stopPublish")).toMatchObject([{ room: "r2", stream: "p" }]);
    // All come back on one connection.
    server.cut();
    await pass(5000);
    expect(server.conns.size).toBe(1);
    expect(ann.reasons.filter((r) => r === "RECONNECTED/0")).toHaveLength(4);
    // A room that failed for good does not take the others along.
    server.refuse.set("login", (f) => (f.room === "r2" ? { code: 1002066, msg: "banned" } : f.room === "r3" && server.asked("login").length % 2 ? { code: 1900005, msg: "", retryable: true } : undefined));
    ann.clear();
    server.cut();
    await pass(60000);
    expect(ann.events("roomStateUpdate").filter(([r]) => r === "r2").pop()).toMatchObject(["r2", "DISCONNECTED", 1002066, ""]);
    expect(ann.reasons.filter((r) => r === "RECONNECTED/0").length).toBeGreaterThanOrEqual(2);
    server.refuse.clear();
    ann.engine.logoutRoom();
    await pass(3000);
    expect(server.conns.size).toBe(0);
  });

  it("a retryable refusal is retried, within the login's time", async () => {
    let n = 0;
    server.refuse.set("login", () => (++n < 3 ? { code: 1900004, msg: "busy", retryable: true, after: 500 } : undefined));
    expect(await settle(ann.login())).toBe(true);
    server.refuse.set("login", { code: 1900004, msg: "busy", retryable: true });
    expect(await settle(bob.login())).toMatchObject({ code: 1900004 });
    expect(bob.states).toEqual(["CONNECTING/0", "DISCONNECTED/1900004"]);
  });

  it("after destroyEngine: 1102026; a login in progress is cancelled", async () => {
    const promise = ann.login();
    ann.engine.destroyEngine();
    ann.engine.destroyEngine();
    expect(await settle(promise)).toMatchObject({ code: 1102026 });
    expect(await settle(ann.login())).toMatchObject({ code: 1102026 });
    await pass(3000);
    expect(server.conns.size).toBe(0);
  });
});

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
    // Without anybody to go to, the app is told after a while.
    for (const h of server.hosts.values()) h.mode = "refuse";
    server.send(Array.from(server.conns)[0]!, { type: "reconnect" });
    await pass(2000);
    expect(c.states).toEqual([]);
    await pass(3000);
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
    await settle(ann.login());
    await publish();
    await settle(ann.engine.startPlayingStream("x"));
    ann.clear();
    server.host().mode = "refuse";
    server.cut("ann");
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
