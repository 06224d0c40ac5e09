// The play page, as somebody sees it who opens a link.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { after, afterEach, before, describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { missing, moves, openBrowser, Publisher, Relay, statistics, until, visit } from "./helper.mjs";

const reason = missing();
const pages = new URL("../dist/pages/", import.meta.url).pathname;
const axe = readFileSync(new URL("../node_modules/axe-core/axe.min.js", import.meta.url), "utf8");

describe("play page", { skip: reason || false, timeout: 600_000 }, () => {
  let relay;
  let browser;
  const publishers = [];
  const publish = (stream, options) => publishers[publishers.push(new Publisher(relay, stream, options)) - 1];

  before(async () => {
    relay = await Relay.start(["relay: {resume_window: 3s}"]);
    browser = await openBrowser();
  });
  afterEach(async () => {
    for (const p of publishers.splice(0)) await p.stop("SIGKILL");
    for (const context of browser.contexts()) await context.close();
  });
  after(async () => {
    await browser?.close();
    await relay?.stop();
  });

  const live = (page) => page.waitForSelector(".badge.live", { timeout: 60_000 });
  const words = (page, text) => until(`the page says ${text}`, async () => text.test(await page.textContent(".words")));
  const number = async (page, term) => parseFloat((await statistics(page))[term]);

  for (const way of ["webcodecs", "mse"]) {
    test(`${way}: the picture moves, sound is heard, the delay is told, nothing is wrong in the console`, async () => {
      publish("plain");
      const page = await visit(browser, relay.page("plain", `&stats&way=${way}`));
      await live(page);
      await moves(page);
      await until("a delay", async () => (await number(page, "Delay")) > 0);
      const told = await until("the operator is told", async () => (await (await relay.admin("GET", "players?stream=plain")).json()).players.find((p) => p.delay_ms > 0));
      assert.equal(told.delay_since, "ingest");
      await page.click("text=Turn sound on");
      await until("sound", async () => (await number(page, "Loudness")) > -50);
      await moves(page);
      const seen = await statistics(page);
      assert.equal(seen.Player, way === "mse" ? "Media Source" : "WebCodecs");
      assert.equal(seen.Size, "320 × 180");
      assert.equal(seen.Codecs, "H.264 + AAC");
      assert.deepEqual(page.mistakes, []);
    });

    test(`${way}: a publisher that comes later, restarts, and has another size then`, async () => {
      const page = await visit(browser, relay.page("again", `&stats&way=${way}`));
      await words(page, /Nobody is publishing/);
      const first = publish("again");
      await live(page);
      await moves(page);
      await first.stop("SIGKILL");
      await words(page, /publisher has lost its connection|Nobody is publishing/);
      const second = publish("again", { size: "256x144" });
      await until("the new size", async () => (await statistics(page)).Size === "256 × 144");
      await moves(page);
      await second.stop();
      await words(page, /Nobody is publishing/);
      publish("again", { size: "320x240", audio: false });
      await until("the third size", async () => (await statistics(page)).Size === "320 × 240");
      await moves(page);
      assert.deepEqual(page.mistakes, []);
    });

    test(`${way}: sound that begins late, ends, and comes back`, async () => {
      const silent = publish("late", { audio: false });
      const page = await visit(browser, relay.page("late", `&stats&way=${way}`));
      await live(page);
      await moves(page);
      await silent.stop("SIGKILL");
      const loud = publish("late");
      await page.click("text=Turn sound on");
      await until("sound", async () => (await number(page, "Loudness")) > -50);
      await moves(page);
      await loud.stop("SIGKILL");
      publish("late", { audio: false });
      await until("silence", async () => Number.isNaN(await number(page, "Loudness")) || (await number(page, "Loudness")) < -60);
      await moves(page);
      assert.deepEqual(page.mistakes, []);
    });
  }

  test("webrtc: the picture moves, sound is heard, and the switch goes there and back", async () => {
    publish("rtc");
    const page = await visit(browser, relay.page("rtc", "&stats&way=webrtc"));
    await live(page);
    await moves(page);
    await page.click("text=Turn sound on");
    await until("sound", async () => (await number(page, "Loudness")) > -50);
    const seen = await statistics(page);
    assert.equal(seen.Player, "WebRTC");
    assert.equal(seen.Size, "320 × 180");
    assert.equal(seen.Codecs, "H.264 + Opus");
    const players = async () => (await (await relay.admin("GET", "players?stream=rtc")).json()).players.map((p) => p.protocol);
    assert.deepEqual(await players(), ["whep"]);
    const toggle = page.getByRole("button", { name: "WebRTC" });
    assert.equal(await toggle.getAttribute("aria-pressed"), "true");
    await toggle.click();
    await until("FLV", async () => (await statistics(page)).Player === "WebCodecs");
    await moves(page);
    await until("only that", async () => (await players()).join() === "ws-flv");
    await toggle.click();
    await until("WebRTC again", async () => (await statistics(page)).Player === "WebRTC");
    await moves(page);
    assert.deepEqual(page.mistakes, []);
  });

  test("webrtc: a publisher that comes later, restarts, and has another size then", async () => {
    const page = await visit(browser, relay.page("rtcagain", "&stats&way=webrtc"));
    await words(page, /Nobody is publishing/);
    const first = publish("rtcagain");
    await live(page);
    await moves(page);
    await first.stop();
    await words(page, /Nobody is publishing/);
    publish("rtcagain", { size: "256x144" });
    await until("the new size", async () => (await statistics(page)).Size === "256 × 144");
    await moves(page);
    assert.equal((await statistics(page)).Player, "WebRTC");
  });

  test("webrtc: what it cannot play is played by FLV", async () => {
    publish("bframes", { extra: ["-tune", "film", "-bf", "2"] });
    const page = await visit(browser, relay.page("bframes", "&stats&way=webrtc"));
    await live(page);
    await moves(page);
    assert.equal((await statistics(page)).Player, "WebCodecs");
  });

  test("every link that is refused has its words, and nothing in the console", async () => {
    publish("door");
    const token = (...rest) => relay.token("door", ...rest);
    for (const [query, text] of [
      ["", /has no token/],
      ["?token=garbage", /damaged/],
      [`?token=${token("play", -60)}`, /has expired/],
      [`?token=${token("play", 3600, { nbf: Math.floor(Date.now() / 1000) + 600 })}`, /not valid yet/],
      [`?token=${token("play", 3600, { stream: "other" })}`, /for another stream/],
      [`?token=${token("play", 3600, { app: "other" })}`, /for another app/],
      [`?token=${token("play").slice(0, -4)}AAAA`, /does not accept this link/],
    ]) {
      const page = await visit(browser, `${relay.origin}/play/live/door${query}`);
      await words(page, text);
      assert.ok(await page.isVisible("text=Try again"), String(text));
      assert.deepEqual(page.mistakes, [], String(text));
      await page.context().close();
    }
  });

  test("a viewer who is kicked is told, and stays away until he asks", async () => {
    publish("kick");
    const page = await visit(browser, relay.page("kick"));
    await live(page);
    const { players } = await (await relay.admin("GET", "players?app=live&stream=kick")).json();
    assert.equal(players.length, 1);
    assert.equal((await relay.admin("DELETE", `players/${players[0].id}`)).ok, true);
    await words(page, /operator ended/);
    await page.click("text=Try again");
    await live(page);
  });

  test("a browser without WebCodecs and Media Source plays by WebRTC", async () => {
    publish("older");
    const context = await browser.newContext({ locale: "en-US" });
    await context.addInitScript(() => {
      for (const name of ["VideoDecoder", "MediaSource", "ManagedMediaSource"]) delete globalThis[name];
    });
    const page = await context.newPage();
    await page.goto(relay.page("older", "&stats"));
    await live(page);
    await moves(page);
    assert.equal((await statistics(page)).Player, "WebRTC");
  });

  test("a browser that has no way at all is told before anything fails", async () => {
    publish("old");
    const context = await browser.newContext({ locale: "zh-CN" });
    await context.addInitScript(() => {
      for (const name of ["VideoDecoder", "MediaSource", "ManagedMediaSource", "RTCPeerConnection"]) delete globalThis[name];
    });
    const page = await context.newPage();
    await page.goto(relay.page("old"));
    await words(page, /此浏览器不支持 WebCodecs/);
    assert.equal(await page.getAttribute("html", "lang"), "zh-CN");
  });

  test("a format that the browser lacks is named, before anything fails", async () => {
    publish("lacks");
    const context = await browser.newContext({ locale: "en-US" });
    // As a browser without H.264 answers.
    await context.addInitScript(() => {
      VideoDecoder.isConfigSupported = async (config) => ({ supported: false, config });
      MediaSource.isTypeSupported = () => false;
      RTCRtpReceiver.getCapabilities = () => ({ codecs: [], headerExtensions: [] });
    });
    const page = await context.newPage();
    await page.goto(relay.page("lacks"));
    await words(page, /cannot play the stream's video format/);
  });

  test("a tab in the background fetches nothing without sound, and goes on with it", async () => {
    publish("hidden");
    const page = await visit(browser, relay.page("hidden", "&stats"));
    // playwright keeps every page visible.
    const show = (hidden) =>
      page.evaluate((to) => {
        Object.defineProperty(document, "hidden", { value: to, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
      }, hidden);
    const players = async () => (await (await relay.admin("GET", "streams")).json()).streams.find((s) => s.stream === "hidden").viewers;
    await live(page);
    await show(true);
    await words(page, /Paused in the background/);
    await until("no viewer", async () => (await players()) === 0);
    await show(false);
    await live(page);
    await moves(page);
    await page.click("text=Turn sound on");
    await until("sound", async () => (await number(page, "Loudness")) > -50);
    await show(true);
    await new Promise((r) => setTimeout(r, 3000));
    assert.ok((await number(page, "Loudness")) > -50, "still heard");
    await show(false);
    await moves(page);
    assert.deepEqual(page.mistakes, []);
  });

  test("by keyboard alone: sound, volume, statistics", async () => {
    publish("keys");
    const page = await visit(browser, relay.page("keys"));
    await live(page);
    await page.keyboard.press("m");
    await page.waitForSelector('button[aria-label="Mute"]');
    await page.keyboard.press("i");
    await until("sound", async () => (await number(page, "Loudness")) > -50);
    await page.keyboard.press("ArrowDown");
    assert.equal(await page.inputValue('input[type="range"]'), "0.9");
    const names = [];
    for (let i = 0; i < 6; i++) {
      await page.keyboard.press("Tab");
      names.push(await page.evaluate(() => document.activeElement.getAttribute("aria-label") ?? document.activeElement.textContent));
    }
    assert.deepEqual(names, ["中文", "Mute", "Volume", "WebRTC", "Statistics", "Full screen"]);
  });

  test("embedded in another site: picture and controls alone", async () => {
    publish("embed");
    const site = createServer((_, response) => response.setHeader("Content-Type", "text/html").end(`<iframe width=640 height=400 src="${relay.page("embed", "&embed")}"></iframe>`));
    await new Promise((r) => site.listen(0, "127.0.0.1", r));
    const page = await visit(browser, `http://localhost:${site.address().port}/`);
    const frame = page.frameLocator("iframe");
    await frame.locator("text=Turn sound on").waitFor({ timeout: 60_000 });
    assert.equal(await frame.locator("header").count(), 0);
    site.closeAllConnections();
    site.close();
  });

  test("axe finds nothing serious, in both themes and languages, playing and failed", async () => {
    publish("axe");
    for (const [colorScheme, locale, url] of [
      ["light", "en-US", relay.page("axe", "&stats")],
      ["dark", "zh-CN", relay.page("axe", "&stats")],
      ["light", "zh-CN", `${relay.origin}/play/live/axe`],
      ["dark", "en-US", `${relay.origin}/play/live/axe`],
    ]) {
      const page = await visit(browser, url, { colorScheme, locale });
      await page.waitForSelector(".badge.live, .badge.failed", { timeout: 60_000 });
      await page.evaluate(axe);
      const { violations } = await page.evaluate(() => globalThis.axe.run());
      const serious = violations.filter((v) => ["serious", "critical"].includes(v.impact)).map((v) => `${v.id}: ${v.nodes.map((n) => n.target).join(", ")}`);
      assert.deepEqual(serious, [], `${colorScheme} ${locale}`);
      await page.context().close();
    }
  });

  test("a page loads no more than 250 KiB, compressed", () => {
    for (const name of ["play", "call"]) {
      const html = readFileSync(join(pages, name, "index.html"), "utf8");
      const files = [...html.matchAll(/\/web\/(assets\/[^"]+)/g)].map((m) => m[1]);
      if (name === "play") files.push(...readdirSync(join(pages, "assets")).map((f) => `assets/${f}`).filter((f) => /worklet/.test(f)));
      const size = [`${name}/index.html`, ...files].reduce((sum, f) => sum + gzipSync(readFileSync(join(pages, f))).length, 0);
      assert.ok(size < 250 * 1024, `${name}: ${size}`);
      assert.doesNotMatch(html, /<script>|<style|style=|\son\w+=/, "inline code");
    }
  });
});
