// The call page, as somebody sees it who opens it.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { record, soundAhead } from "./card.mjs";
import { missing, openBrowser, Publisher, Relay, until, visit } from "./helper.mjs";
import { noPhone, Phone } from "./member.mjs";

const reason = missing();
const pages = new URL("../dist/pages/", import.meta.url).pathname;
const axe = readFileSync(new URL("../node_modules/axe-core/axe.min.js", import.meta.url), "utf8");
const devices = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"];

describe("call page", { skip: reason || false, timeout: 900_000 }, () => {
  let relay;
  let browser; // has camera and microphone
  let bare; // has none
  /** To be undone after a test. */
  const undo = [];

  before(async () => {
    relay = await Relay.start(["web: {demo: true}", "relay: {resume_window: 3s}", "room: {grace: 3s, max_members: 6}"]);
    browser = await openBrowser(devices);
    bare = await openBrowser(["--use-fake-ui-for-media-stream"]);
  });
  afterEach(async () => {
    for (const f of undo.splice(0).reverse()) await f();
    for (const b of [browser, bare]) for (const context of b.contexts()) await context.close();
    // Whoever was closed without a word has left, too.
    await until("the rooms are empty", async () => (await (await relay.admin("GET", "rooms")).json()).rooms.length === 0);
  });
  after(async () => {
    await browser?.close();
    await bare?.close();
    await relay?.stop();
  });

  const open = (options, from = browser, address = "/call/") => visit(from, relay.origin + address, options);
  const live = (page) => page.waitForSelector(".own[data-publishing=live]", { timeout: 60_000 });
  const button = (page, name) => page.getByRole("button", { name, exact: true });
  /** Opens the page and joins by its one button; gives the page with its stream's name. */
  async function enter(options, from, address) {
    const page = await open(options, from, address);
    await button(page, "Join").click();
    await live(page);
    await page.click("#tab-people");
    page.streamID = await until("the own stream's name", async () => /-web$/.exec(await page.textContent(".people li small"))?.input);
    page.user = page.streamID.replace(/-web$/, "");
    return page;
  }
  const tile = (page, streamID) => page.locator(`.tile[data-stream="${streamID}"]`);
  const says = (page, text) => until(`the page says ${text}`, async () => text.test(await page.innerText("body")));

  /** A stream's picture changes, and it is heard. */
  async function seesAndHears(page, streamID) {
    const seen = new Set();
    await until(`${page.streamID} sees ${streamID}`, async () => {
      const value = await tile(page, streamID).evaluate((element) => {
        const from = element.querySelector("canvas, video");
        if (!from) return 0;
        const context = new OffscreenCanvas(32, 18).getContext("2d");
        context.drawImage(from, 0, 0, 32, 18);
        return context.getImageData(0, 0, 32, 18).data.reduce((sum, v, i) => (sum * 31 + v * (i % 7)) % 1000003, 7);
      });
      return seen.add(value).size > 5;
    });
    await until(`${page.streamID} hears ${streamID}`, () => tile(page, streamID).locator(".level i.on").count());
  }

  test("browsers, a program and a mini program in one room: all see each other move, and hear", async (t) => {
    const ann = await enter();
    const bob = await enter();
    const program = new Publisher(relay, "program", { claims: { user: "program", room: "demo" } });
    undo.push(() => program.stop("SIGKILL"));
    for (const page of [ann, bob]) {
      await seesAndHears(page, (page === ann ? bob : ann).streamID);
      await seesAndHears(page, "program");
    }
    const none = noPhone();
    if (none) t.diagnostic(`without the mini program: ${none}`);
    else {
      const phone = new Phone(relay, "phone", "demo");
      undo.push(() => phone.leave());
      await phone.join();
      for (const page of [ann, bob]) {
        await seesAndHears(page, phone.streamID);
        await until(`the phone sees ${page.streamID}`, () => phone.frames(page.streamID) > 20);
      }
      await until("the phone sees the program", () => phone.frames("program") > 20);
    }
    // What a program gets of a browser.
    const url = `${relay.origin}/live/${ann.streamID}.flv?token=${relay.token(ann.streamID)}`;
    const probe = JSON.parse(execFileSync("ffprobe", ["-v", "error", "-show_entries", "stream=codec_name,profile,has_b_frames,sample_rate", "-of", "json", url]).toString());
    assert.deepEqual(probe.streams.map((s) => s.codec_name).sort(), ["aac", "h264"]);
    assert.equal(probe.streams.find((s) => s.codec_name === "h264").profile, "Constrained Baseline");
    const { stderr } = await heard(url);
    assert.ok(parseFloat(stderr.match(/max_volume: (-?[\d.]+) dB/)[1]) > -50, stderr);
    // Figures, with a measured delay.
    await ann.click("#tab-figures");
    const delay = await until("a delay", async () => parseFloat((await ann.innerText(`[data-figures="${bob.streamID}"]`)).match(/Delay\s+([\d.]+) ms(?! \*)/)?.[1]));
    t.diagnostic(`camera to eye: ${delay} ms`);
    assert.ok(delay > 0);
    assert.deepEqual([...ann.mistakes, ...bob.mistakes], []);
  });

  const heard = async (url) => {
    const child = spawn("ffmpeg", ["-nostdin", "-i", url, "-t", "4", "-vn", "-af", "volumedetect", "-f", "null", "-"], { stdio: ["ignore", "ignore", "pipe"] });
    let stderr = "";
    child.stderr.on("data", (d) => (stderr += d));
    await new Promise((r) => child.once("exit", r));
    return { stderr };
  };

  test("one leaves, one closes the page, one crashes, one is thrown out: the others see it, and they themselves know why", async () => {
    const ann = await enter();
    const bob = await enter();
    await tile(ann, bob.streamID).waitFor();
    const gone = (who) => until(`${who.streamID} is gone`, async () => (await tile(ann, who.streamID).count()) === 0);
    await button(bob, "Leave").click();
    await gone(bob);
    await button(bob, "Join").waitFor();
    await bob.context().close();

    const cho = await enter();
    await tile(ann, cho.streamID).waitFor();
    await cho.close();
    await gone(cho);

    const other = await openBrowser(devices);
    undo.push(() => other.close());
    const dan = await enter({}, other);
    await tile(ann, dan.streamID).waitFor();
    const crash = await dan.context().newCDPSession(dan);
    void crash.send("Page.crash").catch(() => undefined);
    await gone(dan);

    const eve = await enter();
    await tile(ann, eve.streamID).waitFor();
    const answer = await relay.admin("DELETE", `rooms/live/demo/members/${eve.user}`);
    assert.ok(answer.ok, `${answer.status}`);
    await gone(eve);
    await says(eve, /removed from the room/);
    await button(eve, "Join as a new guest").waitFor();
    await button(eve, "Join").click();
    await live(eve);
    await tile(ann, eve.streamID).waitFor();
  });

  test("an operator ends a stream: its owner is told, and sends again by a button", async () => {
    const ann = await enter();
    await relay.admin("DELETE", `streams/live/${ann.streamID}/publisher`);
    await says(ann, /ended your stream/);
    await button(ann, "Send again").click();
    await live(ann);
  });

  test("three kinds of messages, extra info, and the switches of camera and microphone reach the others", async () => {
    const ann = await enter();
    const bob = await enter();
    await until("both are listed", async () => (await ann.locator(".people li").count()) === 2);
    for (const page of [ann, bob]) await page.click("#tab-chat");
    for (const [kind, text] of [["broadcast", "hello all"], ["barrage", "it flies"], ["command", "for you"]]) {
      await ann.getByRole("combobox", { name: "Kind of message" }).selectOption(kind);
      await ann.getByRole("textbox", { name: "Message" }).fill(text);
      await ann.keyboard.press("Enter");
      await until(`${kind} arrives`, async () => (await bob.innerText(".messages")).includes(text));
    }
    for (const page of [ann, bob]) await page.click("#tab-people");
    await ann.getByRole("textbox", { name: "Key" }).fill("topic");
    await ann.getByRole("textbox", { name: "Value" }).fill("weather");
    await button(ann, "Set").click();
    await until("the room's info arrives", async () => /topic\s+weather/.test(await bob.innerText(".room-info")));

    await tile(bob, ann.streamID).waitFor();
    await button(ann, "Mute microphone").click();
    await button(ann, "Turn camera off").click();
    await until("both switches are shown", async () => (await tile(bob, ann.streamID).locator("footer > svg").count()) === 2);
    await button(ann, "Turn camera on").click();
    await until("the camera is on", async () => (await tile(bob, ann.streamID).locator("footer > svg").count()) === 1);
    await bob.click("#tab-log");
    await button(bob, "Copy log").click();
    await button(bob, "Copied").waitFor();
    assert.ok(!(await bob.innerText("body")).includes("token=04"));
  });

  test("without a camera: a test picture and a tone are sent, words say so, and both belong together", async (t) => {
    const ann = await enter({}, bare);
    await says(ann, /No camera was found: a test picture is sent/);
    const file = join(tmpdir(), `liverelay-card-${process.pid}.flv`);
    undo.push(() => rmSync(file, { force: true }));
    const url = `${relay.origin}/live/${ann.streamID}.flv?token=${relay.token(ann.streamID)}`;
    await record(url, file, 10);
    const { ahead, beeps, pictures } = soundAhead(file);
    assert.ok(beeps >= 4 && pictures >= 20, `${beeps} beeps, ${pictures} pictures`);
    t.diagnostic(`sound ahead of the picture: ${Math.round(ahead)} ms, the middle of ${beeps} beeps and ${pictures} pictures`);
    assert.ok(Math.abs(ahead) <= 45 + 33, `${ahead} ms`);
  });

  test("a camera that is refused: words say so, and the call goes on", async () => {
    const strict = await openBrowser(["--deny-permission-prompts", "--use-fake-device-for-media-stream"]);
    undo.push(() => strict.close());
    const ann = await enter({}, strict);
    await says(ann, /The camera is not permitted/);
    await says(ann, /The microphone is not permitted/);
    await button(ann, "Settings").first().click();
    await ann.getByRole("combobox", { name: "Camera" }).selectOption("card");
    await until("the notice is gone", async () => !/The camera is not permitted/.test(await ann.innerText("body")));
  });

  const link = (user, room, token) => `/call/#${new URLSearchParams({ app: "live", room, user, token })}`;
  for (const [what, make, words] of [
    ["of another user", () => link("ann", "r1", relay.login("bob", "r1")), /The token is wrong/],
    ["that was cut off", () => link("ann", "r1", relay.login("ann", "r1").slice(0, 60)), /The token is wrong/],
    ["that expired", () => link("ann", "r1", relay.login("ann", "r1", -3600)), /The token has expired/],
    ["of another room", () => link("ann", "r1", relay.login("ann", "elsewhere")), /The token is wrong/],
    ["of another app", () => link("ann", "r1", relay.login("ann", "r1")).replace("app=live", "app=other"), /no such app/],
  ]) {
    test(`a token ${what}: words and a way on`, async () => {
      const page = await open({}, browser, make());
      await button(page, "Join").click();
      await says(page, words);
      assert.ok(await button(page, "Join").isEnabled());
    });
  }

  test("a token without the right to publish: one sees the others, and knows it", async () => {
    const ann = await enter();
    const page = await open({}, browser, link("bob", "demo", relay.login("bob", "demo", 3600, { 1: 1, 2: 0 })));
    await button(page, "Join").click();
    await says(page, /does not let you send a stream/);
    page.streamID = "bob";
    await seesAndHears(page, ann.streamID);
  });

  test("a room that is full", async () => {
    const links = ["a", "b", "c", "d", "e", "f", "g"].map((u) => link(u, "full", relay.login(u, "full", 3600, { 1: 1, 2: 0 })));
    const all = [];
    for (const l of links) {
      const page = await open({}, bare, l);
      await button(page, "Join").click();
      all.push(page);
      if (all.length < links.length) await page.waitForSelector(".room");
    }
    await says(all.at(-1), /room is full/);
  });

  test("the same user elsewhere: the first page says so", async () => {
    const l = link("twin", "r2", relay.login("twin", "r2"));
    const first = await open({}, browser, l);
    await button(first, "Join").click();
    await live(first);
    const second = await open({}, browser, l);
    await button(second, "Join").click();
    await says(first, /joined on another page/);
    await live(second);
  });

  test("the link of the share dialog lets another guest in", async () => {
    const ann = await enter();
    await button(ann, "Share").click();
    const address = await until("a link", () => ann.inputValue("#share-link"));
    const fields = new URLSearchParams(new URL(address).hash.slice(1));
    assert.deepEqual([...fields.keys()], ["app", "room", "user", "token"]);
    assert.notEqual(fields.get("user"), ann.user);
    assert.equal(await ann.getByRole("img", { name: "QR code of the link" }).count(), 1);
    await ann.keyboard.press("Escape");
    const bob = await enter({}, browser, address.slice(relay.origin.length));
    await tile(ann, bob.streamID).waitFor();
  });

  test("an empty form says what is missing", async () => {
    const page = await open({}, browser, "/call/#app=live");
    // In demo mode a link without everything is a guest's.
    await page.click("summary");
    await page.getByRole("textbox", { name: "Token" }).fill("");
    await button(page, "Join").click();
    await says(page, /Please fill this in/);
    assert.equal(await page.evaluate(() => document.activeElement.getAttribute("name")), "token");
  });

  test("a server that went away is named, and it is joined again when it is back", async () => {
    const page = await open();
    await page.route("**/call/demo", (route) => route.abort());
    await page.reload();
    await says(page, /The server does not answer/);
    await page.unroute("**/call/demo");
    await button(page, "Try again").click();
    await button(page, "Join").click();
    await live(page);
  });

  for (const colorScheme of ["light", "dark"]) {
    for (const [name, options] of [["desk", {}], ["phone", { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true }]]) {
      test(`axe finds nothing serious (${name}, ${colorScheme})`, async () => {
        const page = await open({ colorScheme, ...options });
        await button(page, "Join").waitFor();
        const check = async (what) => {
          await page.evaluate(axe);
          const { violations } = await page.evaluate(() => axe.run());
          assert.deepEqual(violations.filter((v) => ["serious", "critical"].includes(v.impact)).map((v) => [what, v.id, v.nodes.map((n) => n.html)]), []);
          assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${what}: wider than the screen`);
        };
        await check("lobby");
        await page.keyboard.press("Tab");
        await button(page, "Join").focus();
        await page.keyboard.press("Enter");
        await live(page);
        for (const tab of ["People", "Messages", "Figures"]) {
          if (!(await page.locator(".panel").count()) || (await page.locator(`#tab-${{ People: "people", Messages: "chat", Figures: "figures" }[tab]}[aria-selected=true]`).count()) === 0) await page.locator(".controls").getByRole("button", { name: tab, exact: true }).click();
          await check(tab);
        }
        await page.click("#tab-log");
        await check("log");
        await button(page, "Settings").click();
        await check("settings");
        await page.keyboard.press("Escape");
        await page.locator(".controls").getByRole("button", { name: "Share", exact: true }).click();
        await check("share");
        await page.keyboard.press("Escape");
        assert.deepEqual(page.mistakes, []);
      });
    }
  }

  test("Chinese: by the browser's language, and by the button", async () => {
    const page = await open({ locale: "zh-CN" });
    await button(page, "加入").waitFor();
    assert.equal(await page.evaluate(() => document.documentElement.lang), "zh-CN");
    await button(page, "Switch to English").click();
    await button(page, "Join").waitFor();
    await page.reload();
    await button(page, "Join").waitFor();
  });

  test("whatever is in the pages of others is named, with its licence", async () => {
    const text = await (await fetch(`${relay.origin}/web/licences.txt`)).text();
    const { dependencies } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
    for (const [name, version] of Object.entries(dependencies)) assert.match(text, new RegExp(`^${name.replace(/[./]/g, "\\$&")} ${version}, (MIT|MPL-2.0|Apache-2.0)`, "m"));
    assert.match(text, /FFmpeg .*\n?.*Lesser General Public License, version 2.1/s);
    const page = await open();
    assert.equal(await page.getByRole("link", { name: /^Licences/ }).getAttribute("href"), "/web/licences.txt");
  });

  test("what a first visit loads is small", () => {
    const html = readFileSync(`${pages}call/index.html`, "utf8");
    const first = [...html.matchAll(/\/web\/(assets\/[^"]+)/g)].map((m) => readFileSync(pages + m[1]));
    // The encoder is apart.
    const size = [Buffer.from(html), ...first].reduce((sum, file) => sum + gzipSync(file).length, 0);
    assert.ok(size <= 250 << 10, `${size} bytes`);
  });
});
