// B1, the player's rows of the behaviour table; B4, quality.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Client, pass, settle } from "./fake/call.js";
import { FakeServer } from "./fake/server.js";

let server: FakeServer;
let ann: Client;

beforeEach(async () => {
  vi.useFakeTimers();
  server = new FakeServer();
  ann = new Client(server, "ann");
  await settle(ann.login());
  server.join("bob");
  server.publish("bob", "s1");
  await pass();
  ann.clear();
});
afterEach(() => {
  ann.engine.destroyEngine();
  vi.useRealTimers();
});

describe("B1: player", () => {
  it("emits PLAY_REQUESTING before the promise resolves", async () => {
    const promise = ann.engine.startPlayingStream("s1", { sourceType: "BGP" });
    expect(ann.playing).toEqual(["s1 PLAY_REQUESTING/0"]);
    expect(await settle(promise)).toMatchObject({ streamID: "s1", url: expect.stringMatching(/^rtmp:/) });
  });

  it("2004: PLAYING, once", async () => {
    await settle(ann.engine.startPlayingStream("s1"));
    for (const code of [2001, 2002, 2003, 2008, 2009, 2004, 2004]) ann.player("s1", code);
    expect(ann.playing.slice(1)).toEqual(["s1 PLAYING/0"]);
    await pass();
    expect(server.asked("playerState")).toMatchObject([{ stream: "s1", state: "PLAYING", code: 2004 }]);
  });

  it.each([-2301, -2302, 2101, 2102])("%i: NO_PLAY with the raw code; the entry stays", async (number) => {
    await settle(ann.engine.startPlayingStream("s1"));
    ann.player("s1", 2004);
    ann.clear();
    ann.player("s1", number);
    expect(ann.events("playerStateUpdate")).toEqual([[{ streamID: "s1", state: "NO_PLAY", errorCode: number, extendedData: "play fail" }]]);
    expect(ann.engine.getNextUrl("s1")).toMatch(/^rtmp:/);
    ann.player("s1", 2004);
    expect(ann.playing.slice(1)).toEqual(["s1 PLAYING/0"]);
    expect(server.asked("stopPlay")).toHaveLength(0);
  });

  it("-2301 twice is told twice, 2101 once", async () => {
    await settle(ann.engine.startPlayingStream("s1"));
    for (const code of [-2301, -2301, 2101, 2101]) ann.player("s1", code);
    expect(ann.playing.slice(1)).toEqual(["s1 NO_PLAY/-2301", "s1 NO_PLAY/-2301"]);
  });

  it.each([3001, 3002, 3003, 3005, 2005, 2006, 2007, 2103, 2104, 2105, 2106, 2107, 2108, 2012, -1307])("%i: nothing", async (number) => {
    await settle(ann.engine.startPlayingStream("s1"));
    ann.player("s1", 2004);
    ann.clear();
    ann.player("s1", number);
    await pass();
    expect(ann.playing).toEqual([]);
  });

  it("getNextUrl after the server was restarted: still what the start asked for", async () => {
    await settle(ann.engine.startPlayingStream("s1", { streamParams: "only=audio", protocol: "flv", sourceType: "CDN" }));
    await settle(ann.engine.startPublishingStream("p1", { streamParams: "a=b", protocol: "ws", sourceType: "CDN" }));
    server.restart();
    await pass(4000);
    expect(server.asked("play")).toMatchObject([{ source: "CDN", params: "only=audio" }, { source: "CDN", params: "only=audio" }]);
    expect(server.asked("publish")).toMatchObject([{ source: "CDN", params: "a=b" }, { source: "CDN", params: "a=b" }]);
    expect(ann.engine.getNextUrl("s1")).toMatch(/^http:.*only=audio/);
    expect(ann.engine.getNextUrl("p1")).toMatch(/^ws:.*a=b/);
  });

  it("stopPlayingStream and logout: NO_PLAY 0", async () => {
    await settle(ann.engine.startPlayingStream("s1"));
    await settle(ann.engine.startPlayingStream("s2"));
    ann.clear();
    ann.engine.stopPlayingStream("s1");
    ann.engine.stopPlayingStream("s1");
    ann.engine.stopPlayingStream("unknown");
    ann.engine.logoutRoom();
    await pass();
    expect(ann.playing).toEqual(["s1 NO_PLAY/0", "s2 NO_PLAY/0"]);
    expect(server.asked("stopPlay")).toHaveLength(1); // the logout ends the other
  });

  it("stopPlayingStream tells the server", async () => {
    await settle(ann.engine.startPlayingStream("s1"));
    ann.engine.stopPlayingStream("s1");
    await pass();
    expect(server.asked("stopPlay")).toHaveLength(1);
  });

  it("starting again without a stop gives a fresh URL (after -2301 and at any time)", async () => {
    const urls = new Set<string>();
    for (const code of [2004, -2301, 2004]) {
      urls.add(((await settle(ann.engine.startPlayingStream("s1"))) as { url: string }).url);
      ann.player("s1", code);
    }
    expect(urls.size).toBe(3);
    expect(ann.playing.slice(-2)).toEqual(["s1 PLAY_REQUESTING/0", "s1 PLAYING/0"]);
  });

  it("the server's word: PLAYING, interrupted, forbidden, as asked", async () => {
    await settle(ann.engine.startPlayingStream("s1"));
    const say = async (state: string, errorCode: number): Promise<void> => {
      server.tell("ann", { type: "playerState", streamID: "s1", state, errorCode });
      await pass();
    };
    await say("NO_PLAY", 1004020);
    await say("PLAYING", 0);
    await say("NO_PLAY", 0);
    await say("NO_PLAY", 1004020);
    await say("PLAYING", 0);
    await say("NO_PLAY", 1004025);
    await say("NO_PLAY", 1004025);
    expect(ann.playing).toEqual(["s1 PLAY_REQUESTING/0", "s1 PLAYING/0", "s1 PLAY_REQUESTING/1004020", "s1 PLAYING/0", "s1 NO_PLAY/1004025"]);
    server.tell("ann", { type: "playerState", streamID: "other", state: "PLAYING", errorCode: 0 });
    server.tell("ann", { type: "publisherState", streamID: "other", state: "PLAYING", errorCode: 0 });
    await pass();
    expect(ann.playing).toHaveLength(5);
    // A component that told of its success tells of its end too.
    ann.player("s1", 2004);
    await say("NO_PLAY", 1004020);
    expect(ann.playing.slice(5)).toEqual(["s1 PLAYING/0"]);
    ann.player("s1", -2301);
    expect(ann.playing.slice(6)).toEqual(["s1 NO_PLAY/-2301"]);
  });

  it("refused: NO_PLAY and a rejection with the code; stopped meanwhile", async () => {
    server.refuse.set("play", { code: 1004025, msg: "no" });
    expect(await settle(ann.engine.startPlayingStream("s1"))).toMatchObject({ code: 1004025, errorCode: 1004025, message: "no", extendedData: "" });
    expect(ann.playing).toEqual(["s1 PLAY_REQUESTING/0", "s1 NO_PLAY/1004025"]);
    server.refuse.clear();
    const promise = ann.engine.startPlayingStream("s1");
    ann.engine.stopPlayingStream("s1");
    expect(await settle(promise)).toMatchObject({ code: 1104039 });
    const a = ann.engine.startPlayingStream("s1");
    const b = ann.engine.startPlayingStream("s1");
    expect(((await settle(a)) as { url: string }).url).not.toBe(((await settle(b)) as { url: string }).url);
  });

  it("the seed passes an undefined name with the component's own id", async () => {
    await settle(ann.engine.startPlayingStream("s1"));
    ann.engine.updatePlayerNetStatus(undefined as never, { currentTarget: { id: "s1" }, detail: { info: { videoBitrate: 5 } } });
    ann.engine.updatePlayerState(undefined as never, { target: { id: "s1" }, detail: { code: 2004 } });
    expect(ann.playing.slice(-1)).toEqual(["s1 PLAYING/0"]);
    expect(ann.events("playQualityUpdate")[0]![0]).toBe("s1");
  });
});

describe("B4: quality", () => {
  const info = { videoBitrate: 800, audioBitrate: "48", videoFPS: "15", videoGOP: 2, netSpeed: 900, netJitter: 3, videoWidth: 360, videoHeight: "640" };
  const stats = { video: { videoBitrate: 800, videoFPS: 15, videoWidth: 360, videoHeight: 640 }, audio: { audioBitrate: 48 } };

  it("gives numbers, in one shape for both directions", async () => {
    await settle(ann.engine.startPublishingStream("p1"));
    await settle(ann.engine.startPlayingStream("s1"));
    ann.engine.updatePlayerNetStatus("p1", { detail: { info } });
    ann.engine.updatePlayerNetStatus("s1", { detail: { info } });
    ann.engine.updatePlayerNetStatus("s1", { detail: { info: { videoBitrate: "x", videoFPS: NaN, audioBitrate: null, videoWidth: "" } } });
    expect(ann.events("publishQualityUpdate")).toEqual([["p1", stats]]);
    expect(ann.events("playQualityUpdate")).toEqual([
      ["s1", stats],
      ["s1", { video: { videoBitrate: 0, videoFPS: 0, videoWidth: 0, videoHeight: 0 }, audio: { audioBitrate: 0 } }],
    ]);
    await pass();
    expect(server.asked("quality")).toHaveLength(2); // one a stream in 5 s
    expect(server.asked("quality")[0]).toMatchObject({ role: "publish", stream: "p1", ...stats, net: { netSpeed: 900, netJitter: 3, videoGOP: 2 } });
    await pass(6000);
    ann.engine.updatePlayerNetStatus("s1", { detail: { info } });
    await pass();
    expect(server.asked("quality")).toHaveLength(3);
    expect(server.asked("quality")[2]).not.toHaveProperty("delay");
  });

  it("a page that measures its delay tells it to the operators", async () => {
    await settle(ann.engine.startPlayingStream("s1"));
    ann.engine.updatePlayerNetStatus("s1", { detail: { info: { ...info, delay: 142.6, delaySince: "publisher" } } });
    await pass();
    expect(server.asked("quality")[0]).toMatchObject({ role: "play", delay: 143, delaySince: "publisher" });
  });

  it("volume comes back as an event", () => {
    ann.engine.updateAudioVolumeNotify("s1", { detail: { volume: 33 } });
    expect(ann.events("audioVolumeUpdate")).toEqual([["s1", 33]]);
  });
});
