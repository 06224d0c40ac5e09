// A call with nine streams on one page.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { missing, openBrowser, Relay, until, visit } from "./helper.mjs";
import { nine, rates, streams } from "./soak.mjs";

const reason = missing();

describe("nine streams on one page", { skip: reason || false, timeout: 600_000 }, () => {
  let relay;
  let browser;
  let stop;

  before(async () => {
    relay = await Relay.start(["web: {demo: true}"]);
    browser = await openBrowser();
    // Small pictures: encoder, nine decoders and everything else share few cores.
    stop = nine(relay, "demo", { size: "160x120", rate: 10 });
  });
  after(async () => {
    await browser?.close();
    await stop?.();
    await relay?.stop();
  });

  for (const way of ["WebCodecs", "Media Source"]) {
    test(`${way}: all play, and each goes on`, async () => {
      const page = await visit(browser, "about:blank");
      if (way === "Media Source") await page.addInitScript(() => delete globalThis.VideoDecoder);
      await page.goto(`${relay.origin}/call/`);
      await page.getByRole("button", { name: "Join", exact: true }).click();
      await page.waitForSelector(".room", { timeout: 60_000 });
      await page.click("#tab-figures");
      await until("nine streams play", async () => (await page.locator(".tile[data-state=playing]").count()) === streams, 120);
      // Frames that were decoded and shown, second by second.
      const moved = new Array(streams).fill(0);
      await until(
        "each has shown pictures in ten of the looks",
        async () => {
          (await rates(page)).forEach((fps, n) => (moved[n] += fps > 0 ? 1 : 0));
          await new Promise((r) => setTimeout(r, 900));
          return moved.every((times) => times >= 10);
        },
        120,
      );
      const ways = await page.$$eval("[data-figures]", (all) => all.map((one) => one.querySelector(":scope > div:last-child dd").textContent));
      assert.deepEqual(ways, new Array(streams).fill(way));
      await page.context().close();
    });
  }
});
