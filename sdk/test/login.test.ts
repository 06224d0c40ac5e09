// Logins: several at once, of several rooms, cancelled, refused.
import { describe, expect, it } from "vitest";
import { pass, settle } from "./fake/call.js";
import { ann, bob, server } from "./fake/stage.js";

describe("logins", () => {
  it("twice: 1002001, nothing is disturbed; another room too", async () => {
    await settle(ann.login());
    ann.clear();
    expect(await settle(ann.login())).toMatchObject({ code: 1002001 });
    expect(ann.seen).toEqual([]);
    expect(await settle(ann.login("r2"))).toMatchObject({ code: 1002001 });
    // Nothing is said of the other room: pages that look at the state only would hang up.
    expect(ann.seen).toEqual([]);
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
