// Glass to glass: the call page sends its test card, whose strip is a clock, and the clock is read
// again from what the play page shows. Prints the delay that was read beside the one that the page
// reports, and where it is spent. npm run delay; [seconds] of each measurement, 15.
import { rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { arrival, spent, watch } from "./budget.mjs";
import { ages as cardAges, at, record, soundAhead } from "./card.mjs";
import { missing, openBrowser, Relay, statistics, visit } from "./helper.mjs";

/** A member of a room without a camera: sends the card with its tone. Returns its stream's name. */
async function member(relay, browser) {
  const page = await visit(browser, `${relay.origin}/call/#${new URLSearchParams({ app: "live", room: "delay", user: "clock", token: relay.login("clock", "delay") })}`);
  await page.getByRole("button", { name: "Join", exact: true }).click();
  await page.waitForSelector(".own[data-publishing=live]", { timeout: 60_000 });
  return "clock-web";
}

async function measure(relay, browser, stream, { way, sound, seconds, clock }) {
  const page = await visit(browser, "about:blank");
  try {
    await page.addInitScript(watch);
    await page.goto(relay.page(stream, `&stats&way=${way}`));
    await page.waitForSelector(".badge.live", { timeout: 60_000 });
    if (sound) await page.click("text=Turn sound on");
    // Players find their distance from the live edge.
    await new Promise((r) => setTimeout(r, 12_000));
    const reported = [];
    const timer = setInterval(() => void statistics(page).then((s) => reported.push(s), () => undefined), 500);
    const read = await page.evaluate(cardAges, { seconds });
    clearInterval(timer);
    const median = (term) => at(reported.map((s) => parseFloat(s[term])).filter(Number.isFinite), 0.5);
    const ages = read.map((r) => r.age);
    // Both at the same time: a delay that changes is no difference.
    const off = at(read.map((r) => r.told - r.age).filter(Number.isFinite), 0.5);
    return { player: reported.at(-1).Player, read: ages, off, ...(await spent(page, clock)), lipSync: median("Lip sync"), buffered: median("Buffered"), rate: reported.at(-1)["Frame rate"] };
  } finally {
    await page.context().close();
  }
}

const reason = missing();
if (reason) {
  console.error(`cannot measure: ${reason}`);
  process.exit(1);
}
const seconds = Number(process.argv[2] ?? 15);
const relay = await Relay.start();
const sender = await openBrowser(["--use-fake-ui-for-media-stream"]);
const browser = await openBrowser();
const stream = await member(relay, sender);
const address = `${relay.origin}/live/${stream}.flv?token=${relay.token(stream)}`;
const came = await arrival(address, 8);
console.log(`out of the relay a picture is ${came.video.toFixed(0)} ms old, the first sample of a piece of sound ${came.audio.toFixed(0)} ms`);
console.log("player        sound  p50  p90  p99 ms   reported is off by  lip sync  buffered  frames       decoded: picture, sound; then to the ear");
for (const way of ["webcodecs", "mse", "webrtc"]) {
  for (const sound of [false, true]) {
    const m = await measure(relay, browser, stream, { way, sound, seconds, clock: came.clock });
    const figures = [0.5, 0.9, 0.99].map((share) => String(at(m.read, share)).padStart(4)).join(" ");
    console.log(`${m.player.padEnd(13)} ${String(sound).padEnd(5)} ${figures}      ${String(m.off).padStart(4)} ms             ${m.lipSync ?? "–"}        ${m.buffered}      ${m.read.length} (${m.rate})    ${m.video?.toFixed(0) ?? "–"} ms, ${m.audio?.toFixed(0) ?? "–"} ms; ${m.latency?.toFixed(0) ?? "–"} ms`);
  }
}
const file = join(tmpdir(), `liverelay-delay-${process.pid}.flv`);
await record(address, file, 2 * seconds);
const { ahead, beeps, pictures } = soundAhead(file);
rmSync(file, { force: true });
console.log(`in the stream itself the sound is ${Math.round(ahead)} ms ahead of the picture: the middle of ${beeps} beeps and ${pictures} pictures`);
await browser.close();
await sender.close();
await relay.stop();
