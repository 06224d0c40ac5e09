// B5, the room connection: every row of the behaviour table.
import { describe, expect, it } from "vitest";
import { pass, settle } from "./fake/call.js";
import { ann, bob, client, loseAnn, publish, server } from "./fake/stage.js";

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
    while (server.asked("publish").length < 2) await pass(10);
    await pass(100);
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
    await loseAnn();
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
    server.host().mode = "refuse"; // nobody is there any more who could log out
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
