// The console, as an operator uses it.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { after, afterEach, before, describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { missing, moves, openBrowser, Publisher, Relay, until, visit } from "./helper.mjs";

const reason = missing();
const pages = new URL("../dist/pages/", import.meta.url).pathname;
const axe = readFileSync(new URL("../node_modules/axe-core/axe.min.js", import.meta.url), "utf8");
const places = ["", "streams", "streams/live/hall", "players", "rooms", "bans", "events", "nodes", "usage", "audit", "sign"];

describe("console", { skip: reason || false, timeout: 900_000 }, () => {
  let relay;
  let browser;
  let base;
  /** To be undone after a test. */
  const undo = [];

  before(async () => {
    relay = await Relay.start(["web: {demo: true}", "relay: {resume_window: 2s}", "room: {grace: 3s}", "hooks: {usage_interval: 1s}"]);
    base = `http://127.0.0.1:${relay.adminPort}`;
    browser = await openBrowser(["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]);
  });
  afterEach(async () => {
    for (const f of undo.splice(0).reverse()) await f();
    for (const context of browser.contexts()) await context.close();
  });
  after(async () => {
    await browser?.close();
    await relay?.stop();
  });

  const publish = (stream, options) => {
    const p = new Publisher(relay, stream, options);
    undo.push(() => p.stop("SIGKILL"));
    return p;
  };
  /** A player that goes on until it is ended; gone resolves then. */
  const play = async (stream, user) => {
    const give = new AbortController();
    undo.push(() => give.abort());
    const response = await fetch(`${relay.origin}/live/${stream}.flv?token=${relay.token(stream, "play", 3600, { user })}`, { signal: give.signal });
    const gone = (async () => {
      try {
        for await (const _ of response.body);
      } catch {
        // Cut, as a kick does.
      }
    })();
    return { status: response.status, gone };
  };
  const list = async (path) => (await relay.admin("GET", path)).json();
  const live = (stream) => until(`${stream} is live`, async () => (await list("streams")).streams.some((s) => s.stream === stream && s.state === "live" && s.video));
  async function enter(token = "admin", place = "", options = {}, at = base) {
    const page = await visit(browser, `${at}/#/${place}`, { viewport: { width: 1400, height: 900 }, ...options });
    await page.fill("input", token);
    await page.keyboard.press("Enter");
    await page.waitForSelector("nav.side", { state: "attached", timeout: 60_000 });
    return page;
  }
  const go = async (page, place) => {
    await page.evaluate((to) => (location.hash = `#/${to}`), place);
    await page.waitForSelector("main h1");
  };
  const says = (page, text) => until(`the page says ${text}`, async () => text.test(await page.innerText("body")));
  const row = (page, text) => page.getByRole("row").filter({ hasText: text });
  /** Presses the button of the open dialog. */
  const confirm = async (page, why) => {
    const dialog = page.getByRole("dialog");
    if (why) await dialog.getByLabel("Reason").fill(why);
    await dialog.locator("button[type=submit]").click();
    await dialog.waitFor({ state: "detached", timeout: 60_000 });
  };

  test("who has no right token is told so; a right one stays in its tab until its user leaves", async () => {
    const page = await visit(browser, `${base}/#/bans`);
    await page.fill("input", "wrong");
    await page.keyboard.press("Enter");
    await says(page, /does not accept this token/);
    await page.fill("input", "admin");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "Bans", level: 1 }).waitFor();
    await page.reload();
    await page.getByRole("heading", { name: "Bans", level: 1 }).waitFor();
    assert.equal(await page.evaluate(() => localStorage.length && JSON.stringify(localStorage).includes("admin")), 0);
    const other = await page.context().newPage();
    await other.goto(`${base}/`);
    await other.getByLabel("Admin token").waitFor();
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByLabel("Admin token").waitFor();
    assert.equal(await page.evaluate(() => sessionStorage.length), 0);
    // The one refusal is in the browser's own log; nothing else is.
    assert.deepEqual(page.mistakes.filter((m) => !/401/.test(m)), []);
  });

  test("shows, kicks and bans what is there", async () => {
    publish("hall", { claims: { user: "alice" } });
    await live("hall");
    const [ann, bob] = [await play("hall", "ann"), await play("hall", "bob")];
    const page = await enter();
    const tile = (name) => until(`tile ${name}`, () => page.locator(".tiles > div").filter({ has: page.locator("dt", { hasText: new RegExp(`^${name}$`) }) }).locator("dd").innerText());
    await until("the tiles", async () => (await tile("Streams")).trim() === "1" && (await tile("Players")).trim() === "2");
    await page.locator(".chart canvas").first().waitFor({ timeout: 60_000 });
    assert.match(await page.getByRole("img", { name: /^Players and members/ }).getAttribute("aria-label"), /Players: now \d/);

    await page.getByRole("link", { name: "Streams", exact: true }).first().click();
    await page.getByRole("link", { name: /hall/ }).click();
    await page.getByRole("heading", { name: /hall/, level: 1 }).waitFor();
    await says(page, /320 × 180/);
    await says(page, /alice/);
    await page.getByRole("button", { name: "Show the picture" }).click();
    await moves(page);
    await page.getByRole("button", { name: "Stop" }).click();
    await until("the preview is gone", async () => (await list("players?user=console")).players.length === 0);

    await row(page, "ann").getByRole("button", { name: /^End/ }).click();
    await page.getByRole("dialog").waitFor(); // a key pressed before it is there goes to the page
    await page.keyboard.press("Escape");
    await until("Escape leaves it", async () => (await page.getByRole("dialog").count()) === 0);
    await row(page, "ann").getByRole("button", { name: /^End/ }).click();
    await confirm(page, "too loud");
    await says(page, /Player ann was ended/);
    await ann.gone;
    await until("ann is gone from the list", async () => (await row(page, "ann").count()) === 0);

    await row(page, "bob").getByRole("button", { name: /^Forbid/ }).click();
    await confirm(page, "spam");
    await bob.gone;
    assert.equal((await play("hall", "bob")).status, 403);
    await go(page, "bans");
    await row(page, "User bob").waitFor();
    await says(page, /spam/);
    await row(page, "User bob").getByRole("button", { name: /^Lift/ }).click();
    await confirm(page);
    await says(page, /Nothing is forbidden/);
    assert.equal((await play("hall", "bob")).status, 200);

    await go(page, "streams/live/hall");
    await page.getByRole("button", { name: "End the publisher" }).click();
    await confirm(page);
    await says(page, /This stream is not there/);

    await go(page, "audit");
    await row(page, "end a player").filter({ hasText: "too loud" }).waitFor();
    for (const what of ["end a publisher", "forbid", "lift a ban", "sign an address"]) await row(page, what).first().waitFor();
    assert.deepEqual(page.mistakes.filter((m) => !/404/.test(m)), []); // of the stream that ended
  });

  test("something is forbidden by hand, and a faulty wish has the server's words", async () => {
    const page = await enter("admin", "bans");
    await page.getByRole("button", { name: "Forbid something" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Kind").selectOption("ip");
    await dialog.getByLabel(/Address or prefix/).fill("nowhere");
    await dialog.locator("button[type=submit]").click();
    await dialog.getByRole("alert").filter({ hasText: /nowhere|address/ }).waitFor();
    await dialog.getByLabel(/Address or prefix/).fill("192.0.2.0/24");
    await dialog.getByLabel("publish").uncheck();
    await confirm(page);
    await row(page, "192.0.2.0/24").filter({ hasText: "log in to rooms, play" }).waitFor();
    const [ban] = (await list("bans")).bans;
    assert.equal(ban.action, "login+play");
    await row(page, "192.0.2.0/24").getByRole("button", { name: /^Lift/ }).click();
    await confirm(page);
  });

  test("a room: its members are told something, one is thrown out, then all", async () => {
    const guests = [];
    for (let i = 0; i < 2; i++) {
      const guest = await visit(browser, `${relay.origin}/call/`);
      await guest.getByRole("button", { name: "Join", exact: true }).click();
      await guest.waitForSelector(".own[data-publishing=live]", { timeout: 60_000 });
      guests.push(guest);
    }
    const page = await enter("admin", "rooms");
    await page.getByRole("link", { name: /demo/ }).click();
    await until("both members", async () => (await page.getByRole("table", { name: "Members" }).getByRole("row").count()) === 3);
    await until("both streams", async () => (await page.getByRole("table", { name: "Streams" }).getByRole("row").count()) === 3);
    await page.getByRole("button", { name: "Message to all" }).click();
    await page.getByRole("dialog").getByLabel("Message", { exact: true }).fill("five minutes left");
    await confirm(page);
    await says(page, /message was sent/);
    for (const guest of guests) {
      await guest.click("#tab-chat");
      await says(guest, /five minutes left/);
    }
    await page.getByRole("button", { name: /^Throw .* out/ }).first().click();
    await confirm(page, "quiet please");
    await until("one is out", async () => (await Promise.all(guests.map((g) => g.innerText("body")))).filter((t) => /removed from the room/.test(t)).length === 1);
    await page.getByRole("button", { name: "Close the room" }).click();
    await confirm(page);
    await until("all are out", async () => (await Promise.all(guests.map((g) => g.innerText("body")))).every((t) => /removed from the room|room was closed|Join/.test(t)));
    await says(page, /not in use/);
  });

  test("events come as they happen, also those of a time without a connection", async () => {
    const sockets = new Set();
    const port = relay.adminPort;
    let away = false;
    const line = createServer((from) => {
      if (away) return from.destroy();
      const to = connect(port, "127.0.0.1");
      for (const [a, b] of [
        [from, to],
        [to, from],
      ]) {
        sockets.add(a);
        a.on("error", () => undefined);
        a.on("close", () => b.destroy());
        a.pipe(b);
      }
    });
    await new Promise((r) => line.listen(0, "127.0.0.1", r));
    undo.push(() => {
      for (const s of sockets) s.destroy();
      line.close();
    });
    const page = await enter("admin", "events", {}, `http://127.0.0.1:${line.address().port}`);
    await page.locator(".badge", { hasText: "live" }).waitFor();
    const first = publish("first");
    await row(page, "publishing began").filter({ hasText: "live/first" }).waitFor({ timeout: 60_000 });
    away = true;
    for (const s of sockets) s.destroy();
    await says(page, /connection lost/);
    publish("second");
    await live("second");
    await first.stop();
    away = false;
    await row(page, "publishing began").filter({ hasText: "live/second" }).waitFor({ timeout: 60_000 });
    await row(page, "publishing ended").filter({ hasText: "live/first" }).waitFor({ timeout: 60_000 });
    assert.equal(await row(page, "publishing began").filter({ hasText: "live/first" }).count(), 1, "none comes twice");
    await page.getByLabel("Stream", { exact: true }).fill("second");
    await until("the filter", async () => (await row(page, "live/first").count()) === 0 && (await row(page, "live/second").count()) > 0);
  });

  test("an address is signed, works, and is revoked; a token is made", async () => {
    const page = await enter("admin", "sign?stream=signed");
    const form = page.locator("section", { has: page.getByRole("heading", { name: "Sign an address" }) });
    await form.getByRole("button", { name: "Sign an address" }).click();
    const url = await form.getByRole("textbox", { name: "Signed address" }).inputValue();
    const push = spawn("ffmpeg", ["-nostdin", "-v", "error", "-re", "-f", "lavfi", "-i", "testsrc2=size=160x90:rate=15", "-c:v", "libx264", "-preset", "ultrafast", "-g", "15", "-pix_fmt", "yuv420p", "-f", "flv", url], { stdio: "ignore" });
    undo.push(() => push.kill("SIGKILL"));
    await live("signed");
    await form.getByRole("button", { name: /Revoke/ }).click();
    await confirm(page);
    await until("the publisher is ended", async () => (await list("streams?state=live&q=signed")).streams.length === 0);
    const tokens = page.locator("section", { has: page.getByRole("heading", { name: "Make a token" }) });
    await tokens.getByLabel("User").fill("carol");
    await tokens.getByRole("button", { name: "Make a token" }).click();
    assert.match(await tokens.getByRole("textbox", { name: "Token04" }).inputValue(), /^04/);
    assert.deepEqual(page.mistakes, []);
  });

  test("a node is drained and taken back; a faulty configuration is refused by its key", async () => {
    const page = await enter("admin", "nodes");
    const state = (name) => page.locator(".badge", { hasText: name }).waitFor({ timeout: 60_000 });
    publish("rest");
    await live("rest");
    await state("ready");
    await page.getByRole("button", { name: /^Drain/ }).click();
    await confirm(page, "kernel");
    await state("draining");
    await says(page, /Still there: 1 stream/);
    await page.getByRole("button", { name: /^Undrain/ }).click();
    await confirm(page);
    await state("ready");
    const file = join(relay.dir, "config.yaml");
    const right = readFileSync(file, "utf8");
    undo.push(() => writeFileSync(file, right));
    writeFileSync(file, `${right}\nnonsense: 1\n`);
    await page.getByRole("button", { name: /^Reload/ }).click();
    await page.getByRole("dialog").locator("button[type=submit]").click();
    await page.getByRole("dialog").getByRole("alert").filter({ hasText: "nonsense" }).waitFor();
    writeFileSync(file, right);
    await confirm(page);
    await says(page, /configuration is as it was|In force now/);
  });

  test("who stands by is shown by rank, and its address is signed here", async () => {
    const page = await enter("admin", "sign?stream=main");
    await page.getByLabel("Rank among").selectOption("3");
    await page.getByRole("button", { name: "Sign an address" }).click();
    const url = await page.getByLabel("Signed address", { exact: true }).first().inputValue();
    assert.equal(JSON.parse(Buffer.from(new URL(url).searchParams.get("token").split(".")[1], "base64url")).rank, 3);
    publish("main");
    await live("main");
    for (const rank of [3, 2]) publish("main", { claims: { rank } });
    await go(page, "streams/live/main");
    const panel = page.getByRole("region", { name: "Standing by" });
    await until("both could go on, in their order", async () => {
      const rows = (await panel.getByRole("row").allInnerTexts()).slice(1);
      return rows.length === 2 && /^2\s/.test(rows[0]) && /^3\s/.test(rows[1]) && rows.every((r) => /\sready/.test(r) && !/not ready/.test(r));
    });
    assert.deepEqual(page.mistakes, []);
  });

  test("a support bundle is made, with what a connection carries, and taken along", async () => {
    publish("wired");
    await live("wired");
    const page = await enter("admin", "streams/live/wired");
    await page.getByRole("link", { name: "Bundle: wired" }).click();
    assert.equal(await page.getByLabel("With what one connection").inputValue(), "live/wired");
    const coming = page.waitForEvent("download", { timeout: 120_000 });
    await page.getByRole("button", { name: "Make a bundle" }).click();
    await page.getByRole("progressbar", { name: "The bundle is being made" }).waitFor();
    const file = await coming;
    const zip = readFileSync(await file.path());
    assert.match(file.suggestedFilename(), /^liverelay-.*\.zip$/);
    assert.ok(zip.length < 5 << 20 && zip.subarray(0, 2).toString() === "PK" && zip.includes("wire.txt"), `${zip.length} bytes`);
    await says(page, /Made, and taken along: liverelay-/);
    await page.getByLabel("With what one connection").fill("live/nobody");
    await page.getByRole("button", { name: "Make a bundle" }).click();
    await page.getByRole("alert").filter({ hasText: "there is none of that id" }).waitFor();
    await page.getByLabel("With what one connection").fill("live/wired");
    await page.getByLabel("Listen in for").selectOption("30");
    await page.getByRole("button", { name: "Make a bundle" }).click();
    await page.getByRole("button", { name: "Cancel" }).click();
    await page.getByRole("button", { name: "Make a bundle" }).waitFor();
    await go(page, "audit");
    await row(page, "make a support bundle").filter({ hasText: "live/wired" }).first().waitFor();
    assert.deepEqual(page.mistakes.filter((m) => !/404/.test(m)), []); // of nobody
  });

  test("a viewer sees everything and no button, and is refused nothing", async () => {
    publish("hall");
    await live("hall");
    await play("hall", "ann");
    const page = await enter("watch");
    const refused = [];
    page.on("response", (r) => r.status() >= 400 && refused.push(`${r.status()} ${r.url()}`));
    for (const place of places) {
      await go(page, place);
      await page.waitForTimeout(600);
      const buttons = await page.locator("main button:not(.sort, .pages *)").allInnerTexts();
      assert.deepEqual(buttons.filter((b) => b !== "Pause"), [], place);
    }
    await says(page, /sign in with an operator's token/);
    await go(page, "players");
    await row(page, "ann").waitFor();
    assert.deepEqual(refused, []);
    assert.deepEqual(page.mistakes, []);
    // An operator of one app moderates that app, and no node.
    const desk = await enter("moderate", "nodes");
    await desk.locator(".badge", { hasText: "ready" }).waitFor();
    assert.equal(await desk.locator("main button").count(), 0);
    await go(desk, "players");
    await row(desk, "ann").getByRole("button", { name: /^End/ }).waitFor();
    assert.deepEqual(desk.mistakes, []);
  });

  test("a server that goes away is said, and what was seen stays", async () => {
    const page = await enter("admin", "nodes");
    await page.locator(".badge", { hasText: "ready" }).waitFor();
    await page.context().setOffline(true);
    await says(page, /does not answer.*What you see is from/s);
    await page.context().setOffline(false);
    await until("the words are gone", async () => !/does not answer/.test(await page.innerText("body")));
    await page.locator(".badge", { hasText: "ready" }).waitFor();
  });

  test("axe finds nothing serious on any page, in both themes and languages; none is wider than a phone", async () => {
    publish("hall");
    await live("hall");
    await play("hall", "ann");
    for (const options of [
      { colorScheme: "light", locale: "en-US" },
      { colorScheme: "dark", locale: "zh-CN", viewport: { width: 390, height: 844 } },
    ]) {
      const page = await visit(browser, `${base}/`, options);
      const check = async (place) => {
        await page.evaluate(axe);
        const { violations } = await page.evaluate(() => globalThis.axe.run());
        const serious = violations.filter((v) => ["serious", "critical"].includes(v.impact)).map((v) => `${v.id}: ${v.nodes.map((n) => n.target).join(", ")}`);
        assert.deepEqual(serious, [], `${place} ${options.colorScheme}`);
        const wider = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert.ok(wider <= 0, `${place} is wider than the window by ${wider}`);
      };
      await check("sign in");
      await page.fill("input", "admin");
      await page.keyboard.press("Enter");
      await page.waitForSelector(".tiles", { timeout: 60_000 });
      for (const place of places) {
        await go(page, place);
        await page.waitForTimeout(800);
        await check(place);
      }
      await go(page, "players");
      await page.locator(".row-actions button").first().click();
      await check("dialog");
    }
  });

  test("by keyboard: to the content, to a page, into a dialog and out of it", async () => {
    const page = await enter("admin", "bans");
    await page.waitForSelector("main h1");
    await page.evaluate(() => document.activeElement.blur());
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to content");
    await page.keyboard.press("Enter");
    assert.equal(await page.evaluate(() => document.activeElement.tagName), "H1");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    await page.getByRole("dialog").waitFor();
    assert.ok(await page.evaluate(() => document.activeElement.closest("dialog") !== null), "the dialog has the focus");
    await page.keyboard.press("Escape");
    await until("the focus is back", () => page.evaluate(() => document.activeElement.textContent === "Forbid something"));
    await page.getByRole("link", { name: "Rooms", exact: true }).focus();
    await page.keyboard.press("Enter");
    await until("the heading has the focus", () => page.evaluate(() => document.activeElement.tagName === "H1" && document.title.startsWith("Rooms")));
    await page.getByRole("button", { name: "中文" }).click();
    await page.getByRole("heading", { name: "房间", level: 1 }).waitFor();
    assert.equal(await page.getAttribute("html", "lang"), "zh-CN");
  });

  test("the console loads no more than 250 KiB, compressed, with the player", () => {
    const html = readFileSync(join(pages, "console/index.html"), "utf8");
    const files = [...html.matchAll(/\/web\/(assets\/[^"]+)/g)].map((m) => m[1]);
    files.push(...readdirSync(join(pages, "assets")).map((f) => `assets/${f}`).filter((f) => /\/web-/.test(f)));
    const size = ["console/index.html", ...new Set(files)].reduce((sum, f) => sum + gzipSync(readFileSync(join(pages, f))).length, 0);
    assert.ok(size < 250 * 1024, `${size}`);
    assert.doesNotMatch(html, /<script>|<style|style=|\son\w+=/, "inline code");
  });
});
