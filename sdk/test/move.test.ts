// A server that stops, is restarted, or is about to: make before break, and nobody is told of what
// did not happen.
import { describe, expect, it } from "vitest";
import { pass, settle, type Client } from "./fake/call.js";
import { ann, bob, client, publish, server } from "./fake/stage.js";

/** The server's word that it stops soon, to everybody. */
function drain(within = 10000): void {
  for (const conn of server.conns) server.send(conn, { type: "reconnect", within });
}

describe("a server that asks to move", () => {
  it("one server: the connection works until the server closes it, then the next one does", async () => {
    await settle(ann.login());
    await settle(bob.login());
    ann.clear();
    bob.clear();
    server.host().mode = "refuse"; // it takes nobody any more
    drain();
    await pass(9000);
    expect(ann.seen).toEqual([]);
    expect(server.conns.size).toBe(2);
    await settle(bob.engine.sendBroadcastMessage("r1", "still here"), 100);
    expect(ann.events("IMRecvBroadcastMessage")).toHaveLength(1);
    server.cut("ann", 4001);
    server.cut("bob", 4001);
    await pass(1000);
    server.host().mode = "up";
    await pass(3500);
    expect([ann.states.slice(-1)[0] || "CONNECTED/0", bob.states.slice(-1)[0] || "CONNECTED/0"]).toEqual(["CONNECTED/0", "CONNECTED/0"]);
    expect(server.conns.size).toBe(2);
  });

  it("several servers: the new connection is there before the old one goes; requests and messages lose nothing and come once", async () => {
    const c = client("cho", ["ws://a.test", "ws://b.test"]);
    await settle(c.login());
    await settle(bob.login());
    await pass();
    c.clear();
    server.latency = 40;
    const sent: Promise<unknown>[] = [];
    let least = Infinity;
    drain(1000);
    for (let i = 0; i < 60; i++) {
      sent.push(bob.engine.sendBroadcastMessage("r1", `m${i}`), c.engine.sendBroadcastMessage("r1", `c${i}`));
      await pass(20);
      least = Math.min(least, Array.from(server.conns).filter((conn) => conn.rooms.size > 0).length);
    }
    for (const promise of sent) expect(await settle(promise)).toMatchObject({ errorCode: 0 });
    await pass(1000);
    expect(server.asked("login").filter((f) => f.user === "cho").map((f) => f.host)).toEqual(["a.test", "b.test"]);
    expect(least).toBeGreaterThan(0);
    expect(c.states).toEqual([]);
    expect(texts(c)).toEqual(Array.from({ length: 60 }, (_, i) => `m${i}`));
    expect(texts(bob)).toEqual(Array.from({ length: 60 }, (_, i) => `c${i}`));
    expect(Array.from(server.conns).filter((conn) => conn.host.name === "a.test")).toHaveLength(1); // bob's, who has only that one
  });

  it("the new server refuses: the old connection stays, the room with it", async () => {
    const c = client("cho", ["ws://a.test", "ws://b.test"]);
    await settle(c.login());
    c.clear();
    server.refuse.set("login", { code: 1002033, msg: "no" });
    drain();
    await pass(5000);
    expect(c.seen).toEqual([]);
    expect(await settle(c.engine.sendBroadcastMessage("r1", "x"), 100)).toMatchObject({ errorCode: 0 });
    server.refuse.clear();
    await pass(4000);
    expect(server.room("r1").members.get("cho")!.conn!.host.name).toBe("b.test");
  });

  it("hanging up while it moves leaves nobody behind", async () => {
    const c = client("cho", ["ws://a.test", "ws://b.test"]);
    server.latency = 30;
    for (const after of [0, 20, 50, 80, 110, 140, 200]) {
      await settle(c.login());
      server.host("a.test").mode = server.host("b.test").mode = "up";
      drain(1);
      await pass(after);
      c.engine.logoutRoom();
      await pass(3000);
      expect(server.room("r1").members.size, `${after} ms`).toBe(0);
      expect(server.conns.size, `${after} ms`).toBe(0);
    }
  });
});

describe("a server that was restarted, with nothing in its memory", () => {
  async function call(): Promise<Client[]> {
    const all = [ann, bob, client("cho")];
    for (const c of all) await settle(c.login());
    await publish();
    await settle(bob.engine.startPlayingStream("s1"));
    await pass(200);
    for (const c of all) c.clear();
    return all;
  }

  it("members and streams that come back were never gone; the publisher hears nothing", async () => {
    const all = await call();
    server.host().mode = "refuse";
    server.restart();
    await pass(2000);
    server.host().mode = "up";
    await pass(4000);
    expect(all.map((c) => c.states.slice(-1)[0])).toEqual(["CONNECTED/0", "CONNECTED/0", "CONNECTED/0"]);
    server.push("s1"); // the pusher's own retry
    await pass(20000);
    for (const c of all) {
      expect(c.users).toEqual([]);
      expect(c.streams).toEqual([]);
    }
    expect(ann.publishing).toEqual([]);
    expect(server.room("r1").members.size).toBe(3);
  });

  it("who does not come back is gone after 15 s: stream, then user", async () => {
    await call();
    server.host().mode = "refuse";
    server.restart();
    ann.engine.destroyEngine();
    await pass(500);
    server.host().mode = "up";
    await pass(4000);
    expect(bob.streams).toEqual([]);
    await pass(16000);
    expect(bob.seen.map(([name]) => name).filter((name) => name === "roomStreamUpdate" || name === "roomUserUpdate")).toEqual(["roomStreamUpdate", "roomUserUpdate"]);
    expect(bob.streams).toEqual(["DELETE s1"]);
    expect(JSON.parse(bob.events("roomStreamUpdate")[0]![3] as string)).toEqual({ stream_delete_reason: [{ stream_id: "s1", code: 5 }] });
    expect(bob.users).toEqual(["DELETE ann"]);
  });

  it("who comes back and leaves within that time is gone at once; a logout ends the wait", async () => {
    await call();
    server.restart();
    await pass(4000);
    ann.engine.logoutRoom();
    await pass(100);
    expect(bob.users).toEqual(["DELETE ann"]);
    bob.engine.logoutRoom();
    await pass(20000);
    expect(bob.users).toEqual(["DELETE ann"]);
  });

  it("the same room again, of which we were told to be gone: the difference is told at once", async () => {
    await call();
    server.host().mode = "refuse";
    server.cut("bob");
    await pass(91000);
    server.leave("ann");
    server.host().mode = "up";
    while (bob.states.slice(-1)[0] !== "CONNECTED/0") await pass(50);
    await pass(50);
    expect(bob.users).toEqual(["DELETE ann"]);
    expect(bob.streams).toEqual(["DELETE s1"]);
  });

  it("media that does not come back: the publisher is told, and when it comes after all too", async () => {
    await call();
    server.restart();
    await pass(4000);
    expect(ann.publishing).toEqual([]);
    await pass(15000);
    expect(ann.publishing).toEqual(["s1 NO_PUBLISH/1103051"]);
    server.push("s1");
    await pass(100);
    expect(ann.publishing).toEqual(["s1 NO_PUBLISH/1103051", "s1 PUBLISHING/0"]);
  });

  it.each([3, 12, 30])("away for %i s: back within 4 s of its return, every one of twenty", async (seconds) => {
    const all = Array.from({ length: 20 }, (_, i) => client(`u${i}`));
    for (const c of all) await settle(c.login());
    for (const host of server.hosts.values()) host.mode = "refuse";
    server.restart();
    await pass(seconds * 1000);
    for (const host of server.hosts.values()) host.mode = "up";
    await pass(4000);
    for (const c of all) {
      expect(c.states.slice(-1)).toEqual(["CONNECTED/0"]);
      c.engine.destroyEngine();
    }
  });
});

function texts(c: Client): string[] {
  return c.events("IMRecvBroadcastMessage").flatMap(([, list]) => (list as { message: string }[]).map((m) => m.message));
}
