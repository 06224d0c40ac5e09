// A real browser with the built SDK, a real relay, real media.
import { spawn } from "node:child_process";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { Browser, chromium, Site } from "./browser.js";
import { camera } from "./phone.js";
import { missing, Relay } from "./relay.js";

const reason = missing() || (chromium ? "" : "no chromium");
if (reason) console.warn(`browser skipped: ${reason}`);

describe.skipIf(reason !== "")("browser", () => {
  let site: Site;
  let relay: Relay;
  let browser: Browser | undefined;
  /** To be undone after a test, whatever became of it. */
  let undo: (() => unknown)[] = [];

  beforeAll(async () => {
    site = await Site.start();
    // The same site by its other name is another origin.
    relay = await Relay.start([site.origin()]);
  });
  afterEach(async (context) => {
    if (context.task.result?.state === "fail") {
      console.log(JSON.stringify(site.reports, null, 1));
      console.log([...relay.log, ...(browser?.log ?? [])].join("").split("\n").slice(-40).join("\n"));
    }
    for (const f of undo.splice(0).reverse()) await f();
  });
  afterAll(async () => {
    await relay?.stop();
    await site?.stop();
  });

  /** Two users of one page. */
  const visit = (room: string, host?: string): void => {
    const [publisher, viewer] = [`ann-${room}`, `bob-${room}`].map((user) => ({ user, token: relay.token(user, room), streamID: `${user}-camera` }));
    const config = JSON.stringify({ server: relay.address, room, publisher, viewer });
    const opened = (browser = new Browser(`${site.origin(host)}/?config=${encodeURIComponent(config)}`));
    undo.push(() => opened.stop());
  };

  it("one publishes by rtmp, the page plays it by ws, and hears that it stopped", async () => {
    visit("web");
    const push = await site.next("publish", 60);
    expect(push).toMatchObject({ streamID: "ann-web-camera", url: expect.stringMatching(`^rtmp://127\\.0\\.0\\.1:${relay.rtmp}/live/ann-web-camera\\?`) });
    const ffmpeg = spawn("ffmpeg", ["-v", "error", "-re", "-stream_loop", "-1", "-i", camera(), "-c", "copy", "-f", "flv", push.url], { stdio: "ignore" });
    const ended = new Promise((r) => ffmpeg.once("exit", r));
    undo.push(() => (ffmpeg.kill("SIGKILL"), ended));

    expect(await site.next("added")).toEqual(["ann-web-camera"]);
    const play = await site.next("play");
    // A browser's way to play when it asks for none.
    expect(play).toMatchObject({ streamID: "ann-web-camera", url: expect.stringMatching(`^ws://127\\.0\\.0\\.1:${relay.http}/live/ann-web-camera\\.flv\\?`) });
    expect(await site.next("header")).toEqual({ signature: "FLV", flags: 5 });
    const first = await site.next("media");
    const second = await site.next("media");
    expect(second.video).toBeGreaterThanOrEqual(first.video + 30);
    expect(second.audio).toBeGreaterThan(first.audio);
    expect(second.timestamp).toBeGreaterThan(first.timestamp);
    expect(second.wrong).toBe(0);

    // The relay ends the media of a publisher that said it stops.
    await ended;
    expect(await site.next("deleted")).toEqual(["ann-web-camera"]);
    expect(await site.next("ended")).toMatchObject({ code: 1000, rest: 0 });
    await site.next("done");
    const rooms = site.reports.filter((r) => r.name === "room").map((r) => r.detail);
    for (const user of ["ann-web", "bob-web"]) {
      expect(rooms.filter((r) => r.user === user).map((r) => `${r.reason}/${r.code}`)).toEqual(["LOGINING/0", "LOGINED/0", "LOGOUT/0"]);
    }
    expect(site.reports.filter((r) => r.name === "mistake")).toEqual([]);
  });

  it("a page of another origin is refused", async () => {
    visit("foreign", "localhost");
    expect(await site.next("mistake", 60)).toMatchObject({ code: 1102020 });
    expect(site.reports.filter((r) => r.name === "room").pop()!.detail).toMatchObject({ user: "ann-foreign", reason: "LOGIN_FAILED", code: 1102020 });
  });
});
