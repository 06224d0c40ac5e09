// B1, the publisher's rows of the behaviour table.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Client, pass, settle } from "./fake/call.js";
import { FakeServer } from "./fake/server.js";

let server: FakeServer;
let ann: Client;
let bob: Client;

beforeEach(async () => {
  vi.useFakeTimers();
  server = new FakeServer("a.test", "b.test");
  ann = new Client(server, "ann");
  bob = new Client(server, "bob");
  await settle(ann.login());
  await settle(bob.login());
  await pass();
  ann.clear();
  bob.clear();
});
afterEach(() => {
  ann.engine.destroyEngine();
  bob.engine.destroyEngine();
  vi.useRealTimers();
});

describe("B1: publisher", () => {
  it("emits PUBLISH_REQUESTING before the promise resolves", async () => {
    let resolved = false;
    const promise = ann.engine.startPublishingStream("s1").then((r) => ((resolved = true), r));
    expect(ann.publishing).toEqual(["s1 PUBLISH_REQUESTING/0"]);
    expect(resolved).toBe(false);
    const result = (await settle(promise)) as { streamID: string; url: string; urls: { ws: string[] } };
    expect(result.streamID).toBe("s1");
    expect(result.url).toMatch(/^rtmp:\/\/a\.test\/live\/s1\?token=/);
    expect(result.urls.ws[0]).toMatch(/publish=1/);
  });

  it("1002: tells the server, PUBLISHING only after its answer", async () => {
    await settle(ann.engine.startPublishingStream("s1"));
    for (const code of [1005, 1003, 1007, 1008, 1001]) ann.pusher("s1", code);
    await pass();
    expect(ann.publishing).toEqual(["s1 PUBLISH_REQUESTING/0"]);
    ann.pusher("s1", 1002, "go");
    expect(ann.publishing).toHaveLength(1);
    await pass();
    expect(ann.publishing.slice(1)).toEqual(["s1 PUBLISHING/0"]);
    expect(server.asked("publisherState")[0]).toMatchObject({ stream: "s1", state: "PUBLISHING", code: 1002, message: "go" });
    ann.pusher("s1", 1002);
    await pass();
    expect(ann.publishing).toHaveLength(2);
  });

  it("1002 with a long message", async () => {
    await settle(ann.engine.startPublishingStream("s1"));
    ann.pusher("s1", 1002, "推".repeat(500));
    await pass();
    expect(ann.publishing[1]).toBe("s1 PUBLISHING/0");
  });

  it("1002 refused by the server: NO_PUBLISH with its code", async () => {
    for (const number of [1002082, 1003028]) {
      ann.clear();
      await settle(ann.engine.startPublishingStream("s1"));
      server.refuse.set("publisherState", { code: number, msg: "no" });
      ann.pusher("s1", 1002);
      await pass();
      expect(ann.publishing).toEqual(["s1 PUBLISH_REQUESTING/0", `s1 NO_PUBLISH/${number}`]);
    }
  });

  it("1002 is told again after a timeout", async () => {
    await settle(ann.engine.startPublishingStream("s1"));
    server.silent.add("publisherState");
    ann.pusher("s1", 1002);
    await pass(4000);
    server.silent.clear();
    await pass(2000);
    expect(ann.publishing[1]).toBe("s1 PUBLISHING/0");
    expect(server.asked("publisherState")).toHaveLength(2);
  });

  it("1002 while the link is lost is told after the reconnect", async () => {
    await settle(ann.engine.startPublishingStream("s1"));
    server.host().mode = "refuse";
    server.cut("ann");
    await pass();
    ann.pusher("s1", 1002);
    await pass(20000);
    expect(ann.publishing).toHaveLength(1);
    server.host().mode = "up";
    await pass(20000);
    expect(ann.publishing[1]).toBe("s1 PUBLISHING/0");
  });

  it("first netstatus without 1002: PUBLISHING", async () => {
    const starting = ann.engine.startPublishingStream("s1");
    ann.engine.updatePlayerNetStatus("s1", { detail: { info: { videoBitrate: 1 } } }); // of an earlier push: too soon
    await settle(starting);
    await pass();
    expect(ann.publishing).toHaveLength(1);
    ann.engine.updatePlayerNetStatus("s1", { detail: { info: { videoBitrate: 700 } } });
    await pass();
    expect(ann.publishing).toEqual(["s1 PUBLISH_REQUESTING/0", "s1 PUBLISHING/0"]);
    ann.engine.updatePlayerNetStatus("s1", { detail: { info: { videoBitrate: 700 } } });
    await pass();
    expect(ann.publishing).toHaveLength(2);
  });

  it("the server's own word is enough", async () => {
    await settle(ann.engine.startPublishingStream("s1"));
    server.push("s1");
    await pass();
    expect(ann.publishing[1]).toBe("s1 PUBLISHING/0");
    ann.pusher("s1", 1002);
    await pass();
    expect(ann.publishing).toHaveLength(2);
  });

  it.each([-1301, -1302, -1303, -1304, -1305, -1306, -1307, -1308, -1309, -1310, -1311, -1312])("%i: NO_PUBLISH with the raw code, the publish is dropped and withdrawn", async (number) => {
    await settle(ann.engine.startPublishingStream("s1"));
    ann.pusher("s1", 1002);
    server.push("s1");
    await pass();
    ann.clear();
    ann.pusher("s1", number, "x");
    expect(ann.events("publisherStateUpdate")).toEqual([[{ streamID: "s1", state: "NO_PUBLISH", errorCode: number, extendedData: "publish fail" }]]);
    await pass();
    expect(server.asked("stopPublish")).toHaveLength(1);
    expect(server.asked("publisherState").pop()).toMatchObject({ state: "NO_PUBLISH", code: number });
    expect(bob.streams).toEqual(["ADD s1", "DELETE s1"]);
    expect(ann.engine.stopPublishingStream("s1")).toBe(false);
    // The same id may start again, with another URL.
    ann.clear();
    await settle(ann.engine.startPublishingStream("s1"));
    ann.pusher("s1", 1002);
    server.push("s1");
    await pass();
    expect(ann.publishing).toEqual(["s1 PUBLISH_REQUESTING/0", "s1 PUBLISHING/0"]);
    expect(bob.streams.slice(-1)).toEqual(["ADD s1"]);
  });

  it.each([3001, 3002, 3003, 3004, 3005, 1101, 1102, 1103, 1104, 1105, 1106, 5000, 5001, 0, -1300, -1313, -1326])("%i: nothing", async (number) => {
    await settle(ann.engine.startPublishingStream("s1"));
    ann.pusher("s1", 1002);
    await pass();
    ann.clear();
    ann.pusher("s1", number);
    await pass();
    expect(ann.publishing).toEqual([]);
    expect(server.asked("stopPublish")).toHaveLength(0);
  });

  it("stopPublishingStream: NO_PUBLISH 0 once, the room is told", async () => {
    await settle(ann.engine.startPublishingStream("s1"));
    server.push("s1");
    await pass();
    ann.clear();
    expect(ann.engine.stopPublishingStream("s1")).toBe(true);
    expect(ann.engine.stopPublishingStream("s1")).toBe(false);
    await pass();
    expect(ann.publishing).toEqual(["s1 NO_PUBLISH/0"]);
    expect(bob.streams).toEqual(["ADD s1", "DELETE s1"]);
    expect(JSON.parse(bob.events("roomStreamUpdate")[1]![3] as string)).toEqual({ stream_delete_reason: [{ stream_id: "s1", code: 1 }] });
  });

  it("logout: NO_PUBLISH 0; kick: NO_PUBLISH with the kick's code", async () => {
    await settle(ann.engine.startPublishingStream("s1"));
    ann.engine.logoutRoom("r1");
    expect(ann.publishing.slice(1)).toEqual(["s1 NO_PUBLISH/0"]);
    await settle(bob.engine.startPublishingStream("s2"));
    server.kick("bob", 1002055);
    await pass();
    expect(bob.publishing.slice(1)).toEqual(["s2 NO_PUBLISH/1002055"]);
  });

  it("others hear of the stream only when its media is there", async () => {
    await settle(ann.engine.startPublishingStream("s1", { extraInfo: "hello" }));
    await pass(1000);
    expect(bob.streams).toEqual([]);
    server.push("s1");
    await pass();
    expect(bob.streams).toEqual(["ADD s1"]);
    expect(bob.events("streamExtraInfoUpdate")).toEqual([["r1", [{ streamID: "s1", user: { userID: "ann", userName: "ANN" }, extraInfo: "hello" }]]]);
    expect(ann.streams).toEqual([]);
  });

  it("starting again without a stop gives a fresh URL", async () => {
    const first = (await settle(ann.engine.startPublishingStream("s1"))) as { url: string };
    ann.pusher("s1", 1002);
    server.push("s1");
    await pass();
    const second = (await settle(ann.engine.startPublishingStream("s1"))) as { url: string };
    expect(second.url).not.toBe(first.url);
    ann.pusher("s1", 1002);
    await pass();
    expect(ann.publishing).toEqual(["s1 PUBLISH_REQUESTING/0", "s1 PUBLISHING/0", "s1 PUBLISH_REQUESTING/0", "s1 PUBLISHING/0"]);
    expect(server.asked("stopPublish")).toHaveLength(0);
    expect(bob.streams).toEqual(["ADD s1"]);
  });

  it("two starts at once both resolve; a stop meanwhile rejects", async () => {
    const a = ann.engine.startPublishingStream("s1");
    const b = ann.engine.startPublishingStream("s1");
    expect(((await settle(a)) as { url: string }).url).not.toBe(((await settle(b)) as { url: string }).url);
    const c = ann.engine.startPublishingStream("s2");
    ann.engine.stopPublishingStream("s2");
    expect(await settle(c)).toMatchObject({ code: 1103055 });
    expect(ann.publishing.slice(-1)).toEqual(["s2 NO_PUBLISH/0"]);
  });

  it("refused start: NO_PUBLISH and a rejection with the code; taken id 1003028", async () => {
    server.publish("cho", "s9");
    expect(await settle(ann.engine.startPublishingStream("s9"))).toMatchObject({ code: 1003028, errorCode: 1003028 });
    expect(ann.publishing).toEqual(["s9 PUBLISH_REQUESTING/0", "s9 NO_PUBLISH/1003028"]);
    server.refuse.set("publish", { code: 1002082, msg: "no" });
    expect(await settle(ann.engine.startPublishingStream("s1"))).toMatchObject({ code: 1002082 });
    server.refuse.set("publish", { code: 1900005, msg: "later", retryable: true, after: 100 });
    setTimeout(() => server.refuse.clear(), 1000);
    expect(await settle(ann.engine.startPublishingStream("s1"))).toMatchObject({ streamID: "s1" });
  });

  it("a publish reply without a URL is an error", async () => {
    server.tamper = (type, reply) => (type === "publish" ? { id: reply.id, urls: { rtmp: [1, ""] } } : reply);
    expect(await settle(ann.engine.startPublishingStream("s1"))).toMatchObject({ code: 1002099 });
    server.tamper = (type, reply) => (type === "publish" ? { id: reply.id, urls: "x" } : reply);
    expect(await settle(ann.engine.startPublishingStream("s1"))).toMatchObject({ code: 1002099 });
    server.tamper = (type, reply) => (type === "publish" ? { id: reply.id, urls: { whip: ["http://x/whip"] } } : reply);
    expect(await settle(ann.engine.startPublishingStream("s1"))).toMatchObject({ url: "http://x/whip" });
  });

  it("media lost at the server: NO_PUBLISH, and PUBLISHING when it is back", async () => {
    await settle(ann.engine.startPublishingStream("s1"));
    server.push("s1");
    await pass();
    server.unpush("s1", 5);
    await pass();
    server.push("s1");
    await pass();
    expect(ann.publishing).toEqual(["s1 PUBLISH_REQUESTING/0", "s1 PUBLISHING/0", "s1 NO_PUBLISH/0", "s1 PUBLISHING/0"]);
    // Forbidden by the operator: that is final.
    server.unpush("s1", 6, "r1", 1003025);
    await pass();
    expect(ann.publishing.slice(-1)).toEqual(["s1 NO_PUBLISH/1003025"]);
    expect(ann.engine.stopPublishingStream("s1")).toBe(false);
  });

  it("1103051 and then −1307: both are told, for pages start again on the second", async () => {
    await settle(ann.engine.startPublishingStream("s1"));
    ann.pusher("s1", 1002);
    server.push("s1");
    await pass();
    ann.clear();
    ann.pusher("s1", 3005);
    ann.pusher("s1", 1102);
    server.unpush("s1", 5, "r1", 1103051);
    await pass();
    ann.pusher("s1", -1307);
    await pass();
    expect(ann.publishing).toEqual(["s1 NO_PUBLISH/1103051", "s1 NO_PUBLISH/-1307"]);
    expect(server.asked("stopPublish")).toHaveLength(1);
    ann.pusher("s1", -1307);
    expect(ann.publishing).toHaveLength(2);
  });

  it("1103051 and then 1002: the pusher got through by itself", async () => {
    await settle(ann.engine.startPublishingStream("s1"));
    ann.pusher("s1", 1002);
    server.push("s1");
    await pass();
    server.unpush("s1", 5, "r1", 1103051);
    await pass(3000);
    ann.clear();
    server.push("s1");
    ann.pusher("s1", 1002);
    await pass();
    expect(ann.publishing).toEqual(["s1 PUBLISHING/0"]);
  });

  it("the end of an earlier connection does not end a start under way", async () => {
    await settle(ann.engine.startPublishingStream("s1"));
    server.push("s1");
    await pass();
    await settle(ann.engine.startPublishingStream("s1"));
    server.unpush("s1", 5);
    await pass();
    expect(ann.publishing.slice(-1)).toEqual(["s1 PUBLISH_REQUESTING/0"]);
  });

  it("getNextUrl rotates and never repeats a text", async () => {
    const { url } = (await settle(ann.engine.startPublishingStream("s1"))) as { url: string };
    const urls = [url, ...[1, 2, 3, 4].map(() => ann.engine.getNextUrl("s1"))];
    expect(new Set(urls).size).toBe(5);
    expect(urls[1]).toMatch(/^rtmp:\/\/b\.test/);
    expect(urls[2]).toMatch(/^rtmp:\/\/a\.test/);
    ann.pusher("s1", -1307);
    expect(ann.engine.getNextUrl("s1")).toBe("");
  });

  it("sourceType, streamParams and protocol are passed on", async () => {
    const r = (await settle(ann.engine.startPublishingStream("s1", { sourceType: "CDN", streamParams: "?a=b", protocol: "ws" }))) as { url: string };
    expect(r.url).toMatch(/^ws:.*a=b$/);
    expect(server.asked("publish")[0]).toMatchObject({ source: "CDN", params: "a=b" });
    expect(await settle(ann.engine.startPublishingStream("s1", { streamParams: 3 as never }))).toMatchObject({ code: 1100001 });
    expect(await settle(ann.engine.startPublishingStream("s1", { extraInfo: "x".repeat(129) }))).toMatchObject({ code: 1003051 });
  });
});

describe("the seed's small mistakes", () => {
  it("a pusher's state under a wrong or missing name reaches the only publisher", async () => {
    await settle(ann.engine.startPublishingStream("s1"));
    ann.pusher(undefined, 1002);
    await pass();
    expect(ann.publishing[1]).toBe("s1 PUBLISHING/0");
    ann.pusher("publishStreamID", -1307);
    expect(ann.publishing[2]).toBe("s1 NO_PUBLISH/-1307");
  });

  it("a pusher's netstatus under a wrong name too", async () => {
    await settle(ann.engine.startPublishingStream("s1"));
    ann.engine.updatePlayerNetStatus("other", { currentTarget: { id: "" }, detail: { info: { videoBitrate: 500 } } });
    await pass();
    expect(ann.publishing[1]).toBe("s1 PUBLISHING/0");
    expect(ann.events("publishQualityUpdate")[0]![0]).toBe("s1");
  });

  it("unknown ids otherwise: nothing, no throw", async () => {
    await settle(ann.engine.startPublishingStream("s1"));
    await settle(ann.engine.startPublishingStream("s2"));
    ann.clear();
    ann.pusher("nobody", -1307);
    ann.player("nobody", 2004);
    for (const event of [undefined, null, 3, "x", {}, { detail: null }, { detail: { code: "x" } }, { detail: { info: null } }]) {
      ann.engine.updatePlayerState("nobody", event);
      ann.engine.updatePlayerNetStatus("nobody", event);
      ann.engine.updateAudioVolumeNotify("nobody", event);
      ann.engine.updatePlayerState(undefined as never, event);
    }
    await pass();
    expect(ann.seen).toEqual([]);
  });

  it("the last words of an ended publish do not end another", async () => {
    await settle(ann.engine.startPublishingStream("s1"));
    ann.engine.stopPublishingStream("s1");
    await settle(ann.engine.startPublishingStream("s2"));
    ann.clear();
    ann.pusher("s1", -1307);
    await pass();
    expect(ann.publishing).toEqual([]);
  });

  it("one id in both tables: both are fed", async () => {
    await settle(ann.engine.startPublishingStream("s1"));
    await settle(ann.engine.startPlayingStream("s1"));
    ann.pusher("s1", 1002);
    ann.pusher("s1", 2004);
    await pass();
    expect(ann.publishing.slice(-1)).toEqual(["s1 PUBLISHING/0"]);
    expect(ann.playing.slice(-1)).toEqual(["s1 PLAYING/0"]);
  });
});
