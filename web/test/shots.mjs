// The pictures of the README: npm run shots; [play|call] only those of one page. Look at them
// before they go in.
import { missing, openBrowser, Publisher, Relay, statistics, until, visit } from "./helper.mjs";

const docs = new URL("../../docs/", import.meta.url).pathname;
const steady = 400; // ms of delay: less, where the machine has the time
const button = (page, name) => page.getByRole("button", { name, exact: true });

/** Once a page shows what a fast machine would, or after a minute whatever it shows. */
async function settled(looks) {
  await until("a small delay", looks).catch((error) => console.error(String(error)));
}

async function play(relay, browser) {
  const stream = new Publisher(relay, "demo", { size: "1280x720" });
  const page = await visit(browser, relay.page("demo", "&stats"), { viewport: { width: 1000, height: 830 } });
  await page.waitForSelector(".badge.live", { timeout: 60_000 });
  await page.click("text=Turn sound on");
  await settled(async () => {
    const seen = await statistics(page);
    return parseFloat(seen.Delay) < steady && parseFloat(seen["Frame rate"]) > 25;
  });
  await page.screenshot({ path: `${docs}play.jpg`, type: "jpeg", quality: 85 });
  await page.context().close();
  await stream.stop("SIGKILL");
}

async function call(relay, browser) {
  const program = new Publisher(relay, "obs-stage", { size: "640x360", claims: { user: "obs", room: "demo" } });
  const members = [];
  for (const [name, join, options, hello] of [
    ["Ann", "Join", {}, "Hello everybody!"],
    ["李雷", "加入", { colorScheme: "dark", locale: "zh-CN" }, "你好！画面和声音都很清楚。"],
  ]) {
    const page = await visit(browser, `${relay.origin}/call/`, { viewport: { width: 1280, height: 800 }, ...options });
    await page.locator("form input").first().fill(name);
    await button(page, join).click();
    await page.waitForSelector(".own[data-publishing=live]", { timeout: 60_000 });
    members.push({ page, hello });
  }
  for (const { page, hello } of members) {
    // Without a camera the page says so.
    for (const notice of await page.locator(".notice .plain").all()) await notice.click().catch(() => undefined);
    await page.click("#tab-chat");
    await page.locator(".chat form input").fill(hello);
    await page.keyboard.press("Enter");
  }
  for (const [n, file] of ["call", "call.zh"].entries()) {
    const { page } = members[n];
    await settled(async () => {
      const delays = (await page.locator(".tile:not(.own) .figure").allInnerTexts()).map(parseFloat);
      return delays.length === 2 && Math.max(...delays) < steady;
    });
    await page.screenshot({ path: `${docs}image/${file}.png` });
  }
  for (const { page } of members) await page.context().close();
  await program.stop("SIGKILL");
}

const reason = missing();
if (reason) {
  console.error(`cannot take pictures: ${reason}`);
  process.exit(1);
}
const relay = await Relay.start(["web: {demo: true}"]);
const browser = await openBrowser();
for (const [name, take] of Object.entries({ play, call })) if (name.includes(process.argv[2] ?? "")) await take(relay, browser);
await browser.close();
await relay.stop();
