// B6, what a room delivers: every row of the behaviour table; then messages and extra info.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Client, pass, settle } from "./fake/call.js";
import { FakeServer } from "./fake/server.js";

let server: FakeServer;
let ann: Client;
let bob: Client;

beforeEach(() => {
  vi.useFakeTimers();
  server = new FakeServer();
  ann = new Client(server, "ann");
  bob = new Client(server, "bob");
});
afterEach(() => {
  ann.engine.destroyEngine();
  bob.engine.destroyEngine();
  vi.useRealTimers();
});

describe("B6: delivery", () => {
  it("the first callbacks are those who are there, except me; after CONNECTED and after the promise", async () => {
    server.join("cho");
    server.join("dan");
    server.publish("cho", "s1", "x");
    server.publish("dan", "s2");
    server.room("r1").extra.set("k", { key: "k", value: "v", updateUser: { userID: "cho" }, updateTime: 5 });
    let resolved = false;
    ann.engine.on("roomStreamUpdate", () => expect(resolved).toBe(true));
    const promise = ann.login().then(() => (resolved = true));
    await settle(promise);
    await pass();
    expect(ann.seen.map(([n]) => n)).toEqual([
      "roomStateUpdate", "roomStateChanged", "roomStateUpdate", "roomStateChanged",
      "roomUserUpdate", "roomStreamUpdate", "streamExtraInfoUpdate", "roomExtraInfoUpdate", "roomOnlineUserCountUpdate",
    ]);
    expect(ann.events("roomUserUpdate")).toEqual([["r1", "ADD", [{ userID: "cho", userName: "CHO" }, { userID: "dan", userName: "DAN" }]]]);
    expect(ann.streams).toEqual(["ADD s1,s2"]);
    expect(ann.events("roomStreamUpdate")[0]![2]).toContainEqual({
      streamID: "s2", user: { userID: "dan", userName: "DAN" }, extraInfo: "", urlsFLV: "", urlsRTMP: "", urlsHLS: "", urlsHttpsFLV: "", urlsHttpsHLS: "",
    });
    expect(ann.events("streamExtraInfoUpdate")).toEqual([["r1", [{ streamID: "s1", user: { userID: "cho", userName: "CHO" }, extraInfo: "x" }]]]);
    expect(ann.events("roomExtraInfoUpdate")).toEqual([["r1", [{ key: "k", value: "v", updateUser: { userID: "cho", userName: "cho" }, updateTime: 5 }]]]);
    expect(ann.events("roomOnlineUserCountUpdate")).toEqual([["r1", 3]]);
  });

  it("an empty room: no callback with an empty list", async () => {
    await settle(ann.login());
    await pass();
    expect(ann.users).toEqual([]);
    expect(ann.streams).toEqual([]);
  });

  it("without userUpdate no roomUserUpdate, not even from a server that sends it", async () => {
    await settle(bob.login());
    await settle(ann.engine.loginRoom("r1", "04t", { userID: "ann" }));
    server.tell("ann", { type: "userUpdate", seq: 99, update: "ADD", users: [{ userID: "x" }] });
    server.tell("ann", { type: "userUpdate", seq: 100, update: "DELETE", users: [{ userID: "x" }] });
    await pass();
    expect(ann.users).toEqual([]);
    expect(server.asked("login")[1]).toMatchObject({ userName: "ann" });
    expect(bob.users).toEqual(["ADD ann"]);
  });

  it("own streams are never listed, whoever publishes them", async () => {
    await settle(ann.login());
    server.publish("ann", "obs-of-ann", "x");
    server.publish("bob", "s2");
    await pass();
    expect(ann.streams).toEqual(["ADD s2"]);
    expect(ann.events("streamExtraInfoUpdate")).toEqual([]);
    server.unpush("obs-of-ann");
    await pass();
    expect(ann.streams).toEqual(["ADD s2"]);
  });

  it("extra info changes come as streamExtraInfoUpdate, not as ADD", async () => {
    await settle(ann.login());
    await settle(bob.login());
    await settle(bob.engine.startPublishingStream("s1"));
    expect(await settle(bob.engine.setStreamExtraInfo("s1", "early"))).toMatchObject({ errorCode: 0 });
    server.push("s1");
    await pass();
    expect(ann.events("streamExtraInfoUpdate")).toHaveLength(1);
    expect(await settle(bob.engine.setStreamExtraInfo("s1", "mic off"))).toMatchObject({ errorCode: 0 });
    await pass();
    expect(ann.streams).toEqual(["ADD s1"]);
    expect(ann.events("streamExtraInfoUpdate")[1]).toEqual(["r1", [{ streamID: "s1", user: { userID: "bob", userName: "BOB" }, extraInfo: "mic off" }]]);
    server.tell("ann", { type: "streamExtraInfo", seq: 99, streams: [{ streamID: "unknown", user: { userID: "x" }, extraInfo: "y" }] });
    await pass();
    expect(ann.streams).toEqual(["ADD s1"]);
  });

  it("each stream appears once; what was seen already is not told again", async () => {
    await settle(ann.login());
    server.publish("cho", "s1");
    await pass();
    const [event] = server.room("r1").log.slice(-1);
    server.tell("ann", event!.frame); // again, the same number
    server.tell("ann", { ...event!.frame, seq: 1, streams: [{ streamID: "old", user: { userID: "x" } }] }); // an old number
    server.tell("ann", { type: "streamUpdate", seq: 500, update: "DELETE", streams: [{ streamID: "unknown" }] });
    await pass();
    expect(ann.streams).toEqual(["ADD s1"]);
  });

  it("numbers may skip", async () => {
    await settle(ann.login());
    server.room("r1").seq += 1000;
    server.publish("cho", "s1");
    await pass();
    expect(ann.streams).toEqual(["ADD s1"]);
  });

  it("several users and streams in one event come in one callback", async () => {
    await settle(ann.login());
    const streams = ["a", "b", "c"].map((streamID) => ({ streamID, user: { userID: "x", userName: "X" }, extraInfo: "" }));
    server.tell("ann", { type: "streamUpdate", seq: 99, update: "ADD", streams });
    server.tell("ann", { type: "streamUpdate", seq: 100, update: "DELETE", streams: streams.slice(0, 2), reasons: [{ streamID: "b", code: 4 }, null, 5] });
    server.tell("ann", { type: "userUpdate", seq: 101, update: "ADD", users: [{ userID: "x" }, { userID: "y" }, { userID: "ann" }] });
    server.tell("ann", { type: "userUpdate", seq: 102, update: "ADD", users: [{ userID: "x", userName: "new name" }] });
    server.tell("ann", { type: "userUpdate", seq: 103, update: "DELETE", users: [{ userID: "x" }, { userID: "z" }] });
    await pass();
    expect(ann.streams).toEqual(["ADD a,b,c", "DELETE a,b"]);
    expect(ann.events("roomStreamUpdate")[1]![3]).toBe('{"stream_delete_reason":[{"stream_id":"a","code":1},{"stream_id":"b","code":4}]}');
    expect(ann.users).toEqual(["ADD x,y", "DELETE x"]);
  });

  it("a server that lost track sends a snapshot: the difference is told", async () => {
    await settle(ann.login());
    server.publish("cho", "s1");
    server.publish("cho", "s2");
    await pass();
    ann.clear();
    const user = { userID: "cho", userName: "cho" };
    server.tell("ann", { type: "snapshot", seq: 1, snapshot: { users: [user], userCount: 2, streams: [{ streamID: "s2", user }, { streamID: "s3", user }] } });
    server.tell("ann", { type: "snapshot", seq: 2, snapshot: null });
    await pass();
    expect(ann.streams).toEqual(["DELETE s1", "ADD s3"]);
    expect(ann.users).toEqual(["ADD cho"]);
    server.tell("ann", { type: "streamUpdate", seq: 3, update: "ADD", streams: [{ streamID: "s4", user }] });
    await pass();
    expect(ann.streams.slice(-1)).toEqual(["ADD s4"]);
  });

  it("userCount and tokenWillExpire", async () => {
    await settle(ann.login());
    server.tell("ann", { type: "userCount", count: 7 });
    server.tell("ann", { type: "tokenWillExpire", seconds: 30 });
    await pass();
    expect(ann.events("roomOnlineUserCountUpdate").slice(-1)).toEqual([["r1", 7]]);
    expect(ann.events("tokenWillExpire")).toEqual([["r1"]]);
    expect(ann.engine.renewToken("04new")).toBe(true);
    await pass();
    expect(server.asked("renewToken")).toMatchObject([{ room: "r1", token: "04new" }]);
    // The next login brings the new one.
    server.cut("ann");
    await pass(5);
    expect(ann.engine.renewToken("04newer", "r1")).toBe(true);
    await pass(5000);
    expect(server.asked("login").pop()).toMatchObject({ token: "04newer" });
    for (const bad of ["", 5, undefined]) expect(ann.engine.renewToken(bad as never)).toBe(false);
    expect(ann.engine.renewToken("04x", "other")).toBe(false);
  });

  it("a refused renewToken: the app is told, the next reconnect uses the token that is still good", async () => {
    await settle(ann.login());
    expect(ann.engine.renewToken("wrong", "r1")).toBe(true);
    await pass();
    expect(ann.events("renewTokenFailed")).toEqual([["r1", 1102016, "token wrong"]]);
    server.cut("ann");
    await pass(3000);
    expect(ann.states.slice(-1)).toEqual(["CONNECTED/0"]);
    expect(server.asked("login").pop()).toMatchObject({ token: "04token" });
  });

  it("a wrong token given while the link is lost: told, and the old one is used at once", async () => {
    await settle(ann.login());
    server.cut("ann");
    await pass(5);
    expect(ann.engine.renewToken("wrong")).toBe(true);
    await pass(3000);
    expect(ann.states.slice(-1)).toEqual(["CONNECTED/0"]);
    expect(ann.events("renewTokenFailed")).toHaveLength(1);
    expect(server.asked("login").map((f) => f.token)).toEqual(["04token", "wrong", "04token"]);
  });

  it("a renewal whose answer is lost: the reconnect brings it, and what was good stays good", async () => {
    for (const token of ["04newer", "wrong"]) {
      await settle(ann.login());
      server.silent.add("renewToken");
      ann.engine.renewToken(token);
      await pass(5);
      server.cut("ann");
      await pass(3000);
      server.silent.clear();
      expect(ann.states.slice(-1)).toEqual(["CONNECTED/0"]);
      await pass(8000);
      server.cut("ann");
      await pass(3000);
      expect(server.asked("login").pop()).toMatchObject({ token: token === "wrong" ? "04token" : "04newer" });
      expect(ann.events("renewTokenFailed")).toHaveLength(token === "wrong" ? 1 : 0);
      ann.engine.logoutRoom();
      await pass(3000);
    }
  });

  it("tokenWillExpire comes though the server's own was lost; once; not after a renewal", async () => {
    server.tokenExpires = 60;
    await settle(ann.login());
    await pass(31000);
    expect(ann.events("tokenWillExpire")).toEqual([]);
    await pass(2000);
    expect(ann.events("tokenWillExpire")).toHaveLength(1);
    await pass(60000);
    expect(ann.events("tokenWillExpire")).toHaveLength(1);
    ann.engine.renewToken("04new");
    await pass(20000);
    server.tell("ann", { type: "tokenWillExpire", seconds: 30 });
    await pass(20000);
    expect(ann.events("tokenWillExpire")).toHaveLength(2);
    // Back from a lost link with a token at its end.
    server.tokenExpires = -3;
    server.cut("ann");
    await pass(5000);
    expect(ann.events("tokenWillExpire")).toHaveLength(3);
    ann.engine.logoutRoom();
    await pass(60000);
    expect(ann.events("tokenWillExpire")).toHaveLength(3);
  });

  it("an event without a room is the only room's", async () => {
    await settle(ann.login());
    server.send(Array.from(server.conns)[0]!, { type: "userCount", count: 3 });
    await pass();
    expect(ann.events("roomOnlineUserCountUpdate").slice(-1)).toEqual([["r1", 3]]);
  });
});

describe("many at once", () => {
  const users = (from: number, to: number): { userID: string; userName: string }[] => Array.from({ length: to - from }, (_, i) => ({ userID: `u${from + i}`, userName: "x" }));
  let seq = 100;

  it("200 members join, publish and leave within seconds: few callbacks, nothing lost, a stream's owner known before it and not gone before it", async () => {
    await settle(ann.login());
    await pass();
    ann.clear();
    const known = new Set<string>();
    const streams = new Set<string>();
    ann.engine.on("roomUserUpdate", (_r, type, list) => list.forEach((u) => (type === "ADD" ? known.add(u.userID) : known.delete(u.userID))));
    ann.engine.on("roomUserUpdate", () => streams.forEach((id) => expect(known.has(id.slice(1)), id).toBe(true)));
    ann.engine.on("roomStreamUpdate", (_r, type, list) => list.forEach((s) => {
      expect(known.has(s.user.userID), s.streamID).toBe(true);
      if (type === "ADD") streams.add(s.streamID);
      else streams.delete(s.streamID);
    }));
    for (let i = 0; i < 200; i++) {
      const [user] = users(i, i + 1);
      server.tell("ann", { type: "userUpdate", seq: ++seq, update: "ADD", users: [user] });
      server.tell("ann", { type: "streamUpdate", seq: ++seq, update: "ADD", streams: [{ streamID: `su${i}`, user, extraInfo: "x" }] });
      await pass(5);
    }
    await pass(400);
    expect([known.size, streams.size]).toEqual([200, 200]);
    expect(ann.events("streamExtraInfoUpdate").flatMap(([, list]) => list as unknown[])).toHaveLength(200);
    for (const name of ["roomUserUpdate", "roomStreamUpdate", "streamExtraInfoUpdate"]) expect(ann.events(name).length, name).toBeLessThanOrEqual(4 + 5);
    for (let i = 0; i < 200; i++) {
      const [user] = users(i, i + 1);
      server.tell("ann", { type: "streamUpdate", seq: ++seq, update: "DELETE", streams: [{ streamID: `su${i}`, user }], reasons: [{ streamID: `su${i}`, code: 5 }] });
      server.tell("ann", { type: "userUpdate", seq: ++seq, update: "DELETE", users: [user] });
      await pass(5);
    }
    await pass(400);
    expect([known.size, streams.size]).toEqual([0, 0]);
    const reasons = ann.events("roomStreamUpdate").filter(([, type]) => type === "DELETE").flatMap(([, , , data]) => JSON.parse(data as string).stream_delete_reason);
    expect(reasons).toHaveLength(200);
    expect(reasons[0]).toEqual({ stream_id: "su0", code: 5 });
  });

  it("who came and went meanwhile is not mentioned; a stream's coming and going is, in order", async () => {
    await settle(ann.login());
    server.tell("ann", { type: "userUpdate", seq: ++seq, update: "ADD", users: users(0, 2) });
    for (let i = 0; i < 15; i++) server.tell("ann", { type: "barrage", messages: [{ message: `${i}` }] });
    await pass(5);
    ann.clear();
    const s = { streamID: "s", user: { userID: "u0", userName: "x" } };
    server.tell("ann", { type: "userUpdate", seq: ++seq, update: "ADD", users: users(5, 6) });
    server.tell("ann", { type: "userUpdate", seq: ++seq, update: "DELETE", users: [...users(5, 6), ...users(0, 1)] });
    server.tell("ann", { type: "userUpdate", seq: ++seq, update: "ADD", users: [...users(0, 1), ...users(7, 8)] });
    for (const update of ["ADD", "DELETE", "ADD"]) server.tell("ann", { type: "streamUpdate", seq: ++seq, update, streams: [s] });
    await pass(400);
    expect(ann.users).toEqual(["ADD u7"]);
    expect(ann.streams).toEqual(["ADD s", "DELETE s", "ADD s"]);
  });

  it("chat at its caps: few callbacks of each kind, every message once and in order; what is single comes at once", async () => {
    await settle(ann.login());
    await pass();
    ann.clear();
    for (let i = 0; i < 100; i++) {
      server.tell("ann", { type: "broadcast", seq: ++seq, messages: [{ message: `b${i}` }] });
      server.tell("ann", { type: "barrage", messages: [{ message: `r${i}` }] });
      await pass(50);
    }
    await pass(400);
    for (const [name, letter] of [["IMRecvBroadcastMessage", "b"], ["IMRecvBarrageMessage", "r"]] as const) {
      expect(ann.events(name).flatMap(([, list]) => (list as { message: string }[]).map((m) => m.message))).toEqual(Array.from({ length: 100 }, (_, i) => `${letter}${i}`));
      expect(ann.events(name).length).toBeLessThanOrEqual(10 + 5000 / 300);
    }
    await pass(1000);
    ann.clear();
    server.tell("ann", { type: "broadcast", seq: ++seq, messages: [{ message: "one" }] });
    await pass(2);
    expect(ann.events("IMRecvBroadcastMessage")).toHaveLength(1);
  });

  it("what follows does not overtake: a command, room extra info, the end of the room", async () => {
    await settle(ann.login());
    for (let i = 0; i < 15; i++) server.tell("ann", { type: "barrage", messages: [{ message: `${i}` }] });
    await pass(5);
    ann.clear();
    server.tell("ann", { type: "userUpdate", seq: ++seq, update: "ADD", users: users(0, 1) });
    server.tell("ann", { type: "custom", seq: ++seq, fromUser: { userID: "u0" }, message: "hi" });
    server.tell("ann", { type: "userUpdate", seq: ++seq, update: "ADD", users: users(1, 2) });
    server.tell("ann", { type: "roomExtraInfo", seq: ++seq, extraInfo: [{ key: "k", value: "v" }] });
    server.tell("ann", { type: "broadcast", seq: ++seq, messages: [{ message: "bye" }] });
    server.tell("ann", { type: "kicked", code: 1002055 });
    await pass(5);
    expect(ann.seen.map(([name]) => name)).toEqual([
      "roomUserUpdate", "IMRecvBarrageMessage", "IMRecvCustomCommand", "roomUserUpdate", "roomExtraInfoUpdate", "IMRecvBroadcastMessage", "roomStateUpdate", "roomStateChanged",
    ]);
    await pass(1000);
    expect(ann.seen).toHaveLength(8);
  });
});

describe("messages", () => {
  beforeEach(async () => {
    await settle(ann.login());
    await settle(bob.login());
    await pass();
    ann.clear();
    bob.clear();
  });

  it("broadcast, barrage, custom arrive; the sender does not hear itself", async () => {
    const sent = (await settle(ann.engine.sendBroadcastMessage("r1", "hi"))) as { errorCode: number; extendedData: string };
    expect(sent.errorCode).toBe(0);
    expect(JSON.parse(sent.extendedData)).toMatchObject({ messageID: expect.any(Number), sendTime: expect.any(Number) });
    await settle(ann.engine.sendBarrageMessage("r1", "ho"));
    expect(await settle(ann.engine.sendCustomCommand("r1", "you", ["bob", "nobody"]))).toEqual({ errorCode: 0, extendedData: '{"failed":["nobody"]}' });
    expect(await settle(ann.engine.sendCustomCommand("r1", "you", ["bob"]))).toEqual({ errorCode: 0, extendedData: "" });
    await pass();
    const user = { userID: "ann", userName: "ANN" };
    expect(bob.events("IMRecvBroadcastMessage")).toEqual([["r1", [{ fromUser: user, message: "hi", sendTime: expect.any(Number), messageID: expect.any(Number) }]]]);
    expect(bob.events("IMRecvBarrageMessage")).toEqual([["r1", [{ fromUser: user, message: "ho", sendTime: expect.any(Number), messageID: expect.any(String) }]]]);
    expect(bob.events("IMRecvCustomCommand")[0]).toEqual(["r1", user, "you"]);
    expect(ann.seen).toEqual([]);
  });

  it("room extra info", async () => {
    expect(await settle(ann.engine.setRoomExtraInfo("r1", "key", "值"))).toMatchObject({ errorCode: 0 });
    await pass();
    expect(bob.events("roomExtraInfoUpdate")[0]![1]).toMatchObject([{ key: "key", value: "值", updateUser: { userID: "ann" } }]);
    for (const [key, value, number] of [["", "x", 1100001], [5, "x", 1100001], ["elevenbytes", "x", 1100001], ["k", 5, 1003050], ["k", "x".repeat(129), 1003051]] as const) {
      expect(await settle(ann.engine.setRoomExtraInfo("r1", key as string, value as string))).toMatchObject({ code: number });
    }
  });

  it("wrong messages: the documented code", async () => {
    const long = "字".repeat(342); // 1026 bytes
    for (const send of [(m: never) => ann.engine.sendBroadcastMessage("r1", m), (m: never) => ann.engine.sendBarrageMessage("r1", m), (m: never) => ann.engine.sendCustomCommand("r1", m, ["bob"])]) {
      for (const [m, number] of [["", 1009001], [undefined, 1009001], [null, 1009001], [5, 1100001], [long, 1009002]] as const) {
        expect(await settle(send(m as never))).toMatchObject({ code: number });
      }
    }
    for (const to of [undefined, [], "bob", [5], [""]]) expect(await settle(ann.engine.sendCustomCommand("r1", "x", to as never))).toMatchObject({ code: 1100001 });
    expect(await settle(ann.engine.sendBroadcastMessage("r9", "x"))).toMatchObject({ code: 1002002 });
    expect(await settle(ann.engine.setStreamExtraInfo("none", "x"))).toMatchObject({ code: 1103055 });
    expect(await settle(ann.engine.setStreamExtraInfo("none", 5 as never))).toMatchObject({ code: 1003050 });
    expect(await settle(ann.engine.setStreamExtraInfo("", "x"))).toMatchObject({ code: 1000015 });
  });

  it("too frequent: told at once, not sent again", async () => {
    server.refuse.set("broadcast", { code: 1009015, msg: "slow down", retryable: true });
    expect(await settle(ann.engine.sendBroadcastMessage("r1", "x"))).toMatchObject({ code: 1009015, retryable: true });
    expect(server.asked("broadcast")).toHaveLength(1);
  });

  it("the link is lost while sending: 1009010, not sent twice", async () => {
    server.silent.add("broadcast");
    const promise = ann.engine.sendBroadcastMessage("r1", "x");
    await pass(5);
    server.cut("ann");
    expect(await settle(promise)).toMatchObject({ code: 1009010 });
    await pass(5000);
    expect(server.asked("broadcast")).toHaveLength(1);
  });

  it("odd frames from the server do no harm", async () => {
    for (const frame of [
      { type: "broadcast", messages: [null, { message: "x" }] },
      { type: "barrage", messages: "x" },
      { type: "custom" },
      { type: "userCount", count: "x" },
      { type: "roomExtraInfo", extraInfo: [{ key: "k", value: 1, updateTime: "x" }] },
      { type: "streamUpdate", seq: "x", streams: null },
      { type: "publisherState" },
      { type: "playerState" },
    ]) server.tell("ann", frame);
    await pass();
    expect(ann.events("IMRecvBroadcastMessage")).toEqual([["r1", [{ message: "x", fromUser: { userID: "", userName: "" } }]]]);
    expect(ann.states).toEqual([]);
  });
});
