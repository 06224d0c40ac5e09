// Somebody who has just built it: what the server prints, opened in a browser.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { after, before, describe, test } from "node:test";
import { binary, missing, moves, openBrowser, statistics, until, visit } from "./helper.mjs";

const reason = missing();

describe("the first minutes", { skip: reason || false, timeout: 600_000 }, () => {
  let browser;
  before(async () => (browser = await openBrowser(["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"])));
  after(() => browser?.close());

  for (const [maker, options] of [["ffmpeg", []], ["the server itself", ["--builtin"]]]) {
    test(`liverelay demo, made by ${maker}: the printed addresses are a moving picture with sound, and a call of two tabs`, async (t) => {
      const begun = Date.now();
      const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("LIVERELAY_")));
      env.LIVERELAY_NODE_DRAIN_TIMEOUT = "100ms";
      for (const door of ["RTMP", "HTTP", "ADMIN", "WEBRTC"]) env[`LIVERELAY_${door}_LISTEN`] = "127.0.0.1:0";
      const server = spawn(binary, ["demo", ...options], { stdio: ["ignore", "pipe", "ignore"], env });
      const gone = new Promise((r) => server.once("exit", r));
      let printed = "";
      server.stdout.on("data", (d) => (printed += d));
      try {
        const address = (part) => until(`an address of ${part}`, () => printed.match(new RegExp(`^ *(http://\\S+/${part}/\\S*)$`, "m"))?.[1]);
        const page = await visit(browser, await address("play"));
        await page.waitForSelector(".badge.live", { timeout: 60_000 });
        await moves(page);
        await page.click("text=Turn sound on");
        await page.keyboard.press("i");
        await until("sound", async () => parseFloat((await statistics(page)).Loudness) > -50);
        t.diagnostic(`moving and heard ${((Date.now() - begun) / 1000).toFixed(1)} s after the start`);
        assert.deepEqual(page.mistakes, []);

        const call = await address("call");
        const tabs = [];
        for (let i = 0; i < 2; i++) {
          const tab = await page.context().newPage();
          await tab.goto(call);
          await tab.getByRole("button", { name: "Join", exact: true }).click();
          tabs.push(tab);
        }
        for (const tab of tabs) await tab.waitForSelector(".tile[data-state=playing]", { timeout: 60_000 });
      } finally {
        for (const context of browser.contexts()) await context.close();
        server.kill("SIGINT");
        await gone;
      }
    });
  }
});
