// Nine streams on one call page, for long: prints what the page keeps in memory after a garbage
// collection, each minute. npm run soak; [minutes] 30, [webcodecs|mse]. Exit code 1: the heap grew,
// or a picture stood.
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { missing, openBrowser, Relay, until, visit } from "./helper.mjs";

export const streams = 9;

/** One encoder's picture and tone as so many streams of one user of a room. */
export function nine(relay, room, { size = "320x180", rate = 25 } = {}) {
  const url = (n) => `rtmp://127.0.0.1:${relay.rtmp}/live/s${n}?token=${relay.token(`s${n}`, "publish", 24 * 3600, { user: "nine", room })}`;
  const outputs = Array.from({ length: streams }, (_, n) => `[f=flv:onfail=ignore]${url(n).replace(/[|[\]\\]/g, "\\$&")}`).join("|");
  const input = ["-f", "lavfi", "-i", `testsrc2=size=${size}:rate=${rate}`, "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000"];
  const codec = ["-map", "0:v", "-map", "1:a", "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", String(rate), "-pix_fmt", "yuv420p", "-c:a", "aac", "-b:a", "64k", "-flags", "+global_header"];
  const child = spawn("ffmpeg", ["-nostdin", "-v", "error", "-re", ...input, ...codec, "-f", "tee", outputs], { stdio: ["ignore", "ignore", "inherit"] });
  const gone = new Promise((r) => child.once("exit", r));
  return async () => {
    child.kill("SIGKILL");
    await gone;
  };
}

/** Frames a second of each stream, as the page's figures tell it. */
export async function rates(page) {
  return page.$$eval("[data-figures]", (all) => all.map((one) => parseFloat(one.querySelectorAll("dd")[2]?.textContent ?? "0")));
}

const middle = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];

async function soak(minutes, way) {
  const relay = await Relay.start(["web: {demo: true}"]);
  const stop = nine(relay, "demo");
  const browser = await openBrowser(["--js-flags=--expose-gc"]);
  const page = await visit(browser, "about:blank");
  if (way === "mse") await page.addInitScript(() => delete globalThis.VideoDecoder);
  await page.goto(`${relay.origin}/call/`);
  await page.getByRole("button", { name: "Join", exact: true }).click();
  await page.waitForSelector(".room");
  await page.click("#tab-figures");
  await until("nine streams play", async () => (await page.locator(".tile[data-state=playing]").count()) === streams, 120);
  await until("all pictures move", async () => Math.min(...(await rates(page))) > 0, 120);
  const session = await page.context().newCDPSession(page);
  await session.send("Performance.enable");
  const whole = await browser.newBrowserCDPSession();
  const heaps = [];
  let stood = 0;
  console.log(`minute  heap MB  resident MB  DOM nodes  listeners  frames/s of ${streams} (least)`);
  for (let minute = 0; minute <= minutes; minute++) {
    // The first minute fills what is kept by design: figures, log, buffers.
    if (minute) await new Promise((r) => setTimeout(r, 60_000));
    const fps = await rates(page);
    stood += fps.filter((n) => !(n > 0)).length;
    for (let i = 0; i < 2; i++) await session.send("HeapProfiler.collectGarbage");
    const { metrics } = await session.send("Performance.getMetrics");
    const of = (name) => metrics.find((m) => m.name === name).value;
    const { processInfo } = await whole.send("SystemInfo.getProcessInfo");
    const resident = Math.max(...processInfo.filter((p) => p.type === "renderer").map((p) => (+readFileSync(`/proc/${p.id}/statm`, "utf8").split(" ")[1] * 4096) / 1e6));
    heaps.push(of("JSHeapUsedSize") / 1e6);
    console.log(`${String(minute).padStart(6)} ${heaps.at(-1).toFixed(2).padStart(8)} ${resident.toFixed(0).padStart(12)} ${String(of("Nodes")).padStart(10)} ${String(of("JSEventListeners")).padStart(10)}  ${fps.join(" ")} (${Math.min(...fps)})`);
  }
  const third = Math.max(1, Math.floor((heaps.length - 1) / 3));
  const [early, late] = [middle(heaps.slice(1, 1 + third)), middle(heaps.slice(-third))];
  const flat = late - early < Math.max(1, early * 0.1);
  console.log(`heap ${early.toFixed(2)} MB in the first third, ${late.toFixed(2)} MB in the last: ${flat ? "flat" : "it grows"}; pictures that stood: ${stood}; errors in the console: ${page.mistakes.length}`);
  await browser.close();
  await stop();
  await relay.stop();
  return flat && stood === 0;
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  const reason = missing();
  if (reason) {
    console.error(`cannot run: ${reason}`);
    process.exit(1);
  }
  process.exit((await soak(Number(process.argv[2] ?? 30), process.argv[3] ?? "webcodecs")) ? 0 : 1);
}
