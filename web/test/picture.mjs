// The picture of the console in the documentation, docs/image/console.png: npm run picture, after
// make web build. It takes three minutes, so that the charts have something to show.
import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { missing, openBrowser, Publisher, Relay, until, visit } from "./helper.mjs";

const target = new URL("../../docs/image/console.png", import.meta.url).pathname;
const reason = missing();
if (reason) throw new Error(reason);
const relay = await Relay.start(["web: {demo: true}"], "id: n1, advertise: 127.0.0.1");
const browser = await openBrowser(["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]);
const publishers = [];
const give = new AbortController();
const pause = (seconds) => new Promise((r) => setTimeout(r, seconds * 1000));

/** A viewer that takes all it is sent, until the end. */
async function play(stream, user) {
  const { body } = await fetch(`${relay.origin}/live/${stream}.flv?token=${relay.token(stream, "play", 3600, { user })}`, { signal: give.signal });
  void (async () => {
    try {
      for await (const _ of body);
    } catch {
      // The end.
    }
  })();
}

try {
  publishers.push(new Publisher(relay, "main-stage", { claims: { user: "alice" } }), new Publisher(relay, "side-stage", { size: "160x90", claims: { user: "bob" } }));
  await pause(20);
  for (let i = 0; i < 5; i++) {
    await play("main-stage", `viewer-${i}`);
    await pause(10);
  }
  publishers.push(new Publisher(relay, "back-yard", { size: "160x90", extra: ["-g", "300", "-keyint_min", "300"], claims: { user: "carol" } }));
  for (let i = 0; i < 2; i++) {
    const guest = await visit(browser, `${relay.origin}/call/`);
    await guest.getByRole("button", { name: "Join", exact: true }).click();
    await guest.waitForSelector(".own[data-publishing=live]", { timeout: 60_000 });
    await pause(10);
  }
  await play("side-stage", "viewer-5");
  await pause(60);
  const page = await visit(browser, `http://127.0.0.1:${relay.adminPort}/`, { viewport: { width: 1440, height: 900 } });
  await page.fill("input", "admin");
  await page.keyboard.press("Enter");
  await page.locator(".chart canvas").first().waitFor({ timeout: 60_000 });
  await page.getByLabel("Range").selectOption("15");
  await until("the alert", async () => /back-yard/.test(await page.innerText("main")));
  await pause(5);
  const file = join(relay.dir, "console.png");
  await page.screenshot({ path: file, fullPage: true });
  copyFileSync(file, target);
  console.log(target);
} finally {
  give.abort();
  for (const p of publishers) await p.stop("SIGKILL");
  await browser.close();
  await relay.stop();
}
