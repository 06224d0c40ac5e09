// How soon the pages of a call show that a member is gone. Prints the time from the event to the
// change on the page, ms, for the others and for the member itself. npm run notice; [times] each,
// 5; [event] only one whose name has this.
import { missing, Network, openBrowser, Relay, visit } from "./helper.mjs";

const devices = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"];

/** In the browser: when something is so, ms since 1970; looked at as often as a page can. */
async function when({ selector, text, gone }) {
  for (;;) {
    const element = document.querySelector(selector);
    if ((gone && !element) || (text && element && new RegExp(text).test(element.textContent + (element.dataset.publishing ?? "")))) return performance.timeOrigin + performance.now();
    await new Promise((r) => setTimeout(r, 10));
  }
}

const silent = "sends nothing|lost its connection";

/** What happens to a member, and what then shows it: to the others, and to the member. */
const events = {
  "leaves": {
    act: (member) => member.getByRole("button", { name: "Leave", exact: true }).click(),
    others: (id) => ({ selector: `[data-stream="${id}"]`, gone: true }),
  },
  "is kicked": {
    act: (member, { relay }) => relay.admin("DELETE", `rooms/live/demo/members/${member.streamID.replace(/-web$/, "")}`),
    others: (id) => ({ selector: `[data-stream="${id}"]`, gone: true }),
    own: { selector: "body", text: "removed from the room" },
  },
  "crashes": {
    act: (member) => void member.context().newCDPSession(member).then((session) => session.send("Page.crash")).catch(() => undefined),
    // Its browser may close what the tab had open, as if it had left.
    others: (id) => ({ selector: `[data-stream="${id}"]`, text: silent, gone: true }),
  },
  "loses the network": {
    act: (_, { network }) => network.cut(),
    others: (id) => ({ selector: `[data-stream="${id}"]`, text: silent }),
    own: { selector: ".own", text: "lost" },
  },
};

async function enter(browser, origin) {
  const page = await visit(browser, `${origin}/call/`);
  await page.getByRole("button", { name: "Join", exact: true }).click();
  await page.waitForSelector(".own[data-publishing=live]", { timeout: 60_000 });
  await page.waitForFunction(() => /-web$/.test(document.querySelector(".people li small").textContent));
  page.streamID = await page.textContent(".people li small");
  return page;
}

/** One event; the times at which both sides showed it. */
async function once(browser, relay, event) {
  const network = await Network.open(relay);
  const other = await openBrowser(devices); // a browser of its own: it may crash
  try {
    const witness = await enter(browser, relay.origin);
    const member = await enter(other, network.origin);
    await witness.waitForSelector(`[data-stream="${member.streamID}"][data-state=playing]`, { timeout: 60_000 });
    await new Promise((r) => setTimeout(r, 2000));
    const seen = witness.evaluate(when, event.others(member.streamID));
    const own = event.own ? member.evaluate(when, event.own) : undefined;
    const begin = Date.now();
    await event.act(member, { relay, network });
    return { others: (await seen) - begin, own: own && (await own) - begin };
  } finally {
    network.close();
    await other.close();
    for (const context of browser.contexts()) await context.close();
  }
}

const reason = missing();
if (reason) {
  console.error(`cannot measure: ${reason}`);
  process.exit(1);
}
const times = Number(process.argv[2] ?? 5);
const relay = await Relay.start(["web: {demo: true}"]);
const browser = await openBrowser(devices);
const list = (all) => (all.length ? `${all.map((n) => Math.round(n)).join(" ")} (most ${Math.round(Math.max(...all))})` : "–");
console.log("a member …          others see it after, ms; it sees it itself after, ms");
for (const [name, event] of Object.entries(events)) {
  if (!name.includes(process.argv[3] ?? "")) continue;
  const runs = [];
  for (let i = 0; i < times; i++) runs.push(await once(browser, relay, event));
  console.log(`${name.padEnd(18)}  ${list(runs.map((r) => r.others))}; ${list(runs.flatMap((r) => r.own ?? []))}`);
}
await browser.close();
await relay.stop();
