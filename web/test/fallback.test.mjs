// What players do when a part of the browser, the network or the server fails, and with streams of
// an unusual form.
import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { missing, moves, Network, openBrowser, Publisher, Relay, statistics, until, visit } from "./helper.mjs";
import { publishNew } from "./enhanced.mjs";

const reason = missing();

describe("what players fall back on", { skip: reason || false, timeout: 900_000 }, () => {
  let relay;
  let browser;
  const publishers = [];
  const publish = (stream, options) => publishers[publishers.push(new Publisher(relay, stream, options)) - 1];
  /** To be undone after a test. */
  const undo = [];

  before(async () => {
    relay = await Relay.start(["relay: {resume_window: 3s}"]);
    browser = await openBrowser();
  });
  afterEach(async () => {
    for (const f of undo.splice(0).reverse()) await f();
    for (const p of publishers.splice(0)) await p.stop("SIGKILL");
    for (const context of browser.contexts()) await context.close();
  });
  after(async () => {
    await browser?.close();
    await relay?.stop();
  });

  /** Opens the play page in a browser that was changed before. */
  async function open(stream, more = "", change = undefined) {
    const page = await visit(browser, "about:blank");
    if (change) await page.addInitScript(change);
    await page.goto(relay.page(stream, `&stats${more}`));
    return page;
  }
  const live = (page) => page.waitForSelector(".badge.live", { timeout: 60_000 });
  const words = (page, text) => until(`the page says ${text}`, async () => text.test(await page.textContent(".words")));
  const figure = async (page, term) => (await statistics(page))[term];
  const player = (page, name) => until(`played by ${name}`, async () => (await figure(page, "Player")) === name);
  const heard = (page) => until("sound", async () => parseFloat(await figure(page, "Loudness")) > -50);
  const loud = (page) => page.click("text=Turn sound on");

  for (const [what, change] of [
    ["does not take the configuration", () => {
      VideoDecoder.prototype.configure = () => {
        throw new DOMException("configuration", "NotSupportedError");
      };
    }],
    ["breaks at each picture", () => {
      const Native = VideoDecoder;
      globalThis.VideoDecoder = class extends Native {
        constructor(init) {
          super(init);
          this.init = init;
        }
        decode() {
          this.close();
          queueMicrotask(() => this.init.error(new DOMException("decode", "EncodingError")));
        }
      };
    }],
    ["takes no keyframe for one", () => {
      VideoDecoder.prototype.decode = () => {
        throw new DOMException("a key frame is required", "DataError");
      };
    }],
  ]) {
    test(`a decoder that ${what}: Media Source goes on`, async () => {
      publish("decoder");
      const page = await open("decoder", "", change);
      await player(page, "Media Source");
      await live(page);
      await moves(page);
      await loud(page);
      await heard(page);
      assert.deepEqual(page.mistakes, []);
    });
  }

  for (const [what, change] of [
    ["whose worklet does not load", () => (AudioWorklet.prototype.addModule = () => Promise.reject(new Error("blocked")))],
    ["whose decoder takes no AAC after all", () => {
      AudioDecoder.prototype.configure = () => {
        throw new DOMException("configuration", "NotSupportedError");
      };
    }],
  ]) {
    test(`an output ${what}: Media Source has the sound`, async () => {
      publish("worklet");
      const page = await open("worklet", "", change);
      await live(page);
      await loud(page);
      await player(page, "Media Source");
      await heard(page);
      await moves(page);
      assert.equal(await page.textContent(".words"), "");
      assert.deepEqual(page.mistakes, []);
    });
  }

  test("no output for sound: Media Source plays, and nothing is wrong in the console", async () => {
    publish("output");
    const page = await open("output", "", () => {
      globalThis.AudioContext = class {
        constructor() {
          throw new DOMException("no hardware", "NotSupportedError");
        }
      };
    });
    await live(page);
    await loud(page);
    await player(page, "Media Source");
    await moves(page);
    assert.deepEqual(page.mistakes, []);
  });

  test("sound that no way left can play: words say so, and the picture goes on", async () => {
    publish("deaf");
    const page = await open("deaf", "&way=webcodecs", () => (AudioWorklet.prototype.addModule = () => Promise.reject(new Error("blocked"))));
    await live(page);
    await loud(page);
    await words(page, /cannot play the stream's sound/);
    await moves(page);
    assert.equal(await figure(page, "Player"), "WebCodecs");
  });

  test("an output whose buffers are too small for the machine: the usual ones take over", async () => {
    publish("strain");
    const page = await open("strain", "&way=webcodecs", () => {
      globalThis.outputs = [];
      const Native = AudioContext;
      globalThis.AudioContext = class extends Native {
        constructor(options) {
          super(options);
          globalThis.outputs.push(options.latencyHint);
          this.strained = options.latencyHint === 0;
        }
        // One that runs dry falls behind the clock.
        get currentTime() {
          return super.currentTime * (this.strained ? 0.8 : 1);
        }
      };
    });
    await live(page);
    await loud(page);
    await until("another output", () => page.evaluate(() => globalThis.outputs.length > 1));
    await heard(page);
    await moves(page);
    assert.deepEqual(await page.evaluate(() => globalThis.outputs), [0, "interactive"]);
    assert.deepEqual(page.mistakes, []);
  });

  test("ManagedMediaSource alone, as on iPhones: it opens, obeys the end of streaming, and goes on at its start", async () => {
    publish("managed");
    const page = await open("managed", "", () => {
      const Native = MediaSource;
      globalThis.sources = [];
      globalThis.ManagedMediaSource = class extends Native {
        constructor() {
          super();
          globalThis.sources.push(this);
        }
      };
      delete globalThis.MediaSource;
      delete globalThis.VideoDecoder;
    });
    await live(page);
    await moves(page);
    assert.equal(await page.evaluate(() => document.querySelector(".stage video").disableRemotePlayback), true);
    const tell = (event) => page.evaluate((type) => globalThis.sources.at(-1).dispatchEvent(new Event(type)), event);
    const end = () => page.evaluate(() => Math.max(...[...globalThis.sources.at(-1).sourceBuffers].map((b) => b.buffered.end(0))));
    await tell("endstreaming");
    // What was being appended is still taken.
    let before = -1;
    await until("nothing more is appended", async () => {
      const now = await end();
      const same = now === before;
      before = now;
      await new Promise((r) => setTimeout(r, 1000));
      return same && (await end()) === now;
    });
    await tell("startstreaming");
    await until("another source", () => page.evaluate(() => globalThis.sources.length > 1));
    await moves(page);
    assert.deepEqual(page.mistakes, []);
  });

  test("a connection that holds back what the server has: WebRTC takes over", async () => {
    const network = await Network.open(relay);
    undo.push(() => network.close());
    publish("held");
    const page = await visit(browser, relay.page("held", "&stats").replace(relay.origin, network.origin));
    await live(page);
    await moves(page);
    const held = [...network.pairs].filter((pair) => /upgrade: websocket/i.test(pair.opening));
    assert.equal(held.length, 1);
    held[0].far.pause();
    await player(page, "WebRTC");
    await live(page);
    await moves(page);
  });

  test("a browser with WebRTC alone, and a stream that WebRTC cannot play: words, and an end", async () => {
    publish("none", { extra: ["-tune", "film", "-bf", "2"] });
    const page = await open("none", "", () => {
      for (const name of ["VideoDecoder", "MediaSource", "ManagedMediaSource"]) delete globalThis[name];
    });
    await words(page, /cannot play the stream's video format/);
    assert.ok(await page.isVisible("text=Try again"));
  });

  for (const way of ["webcodecs", "mse"]) {
    test(`${way}: B-frames are shown in their order`, async () => {
      publish("order", { extra: ["-tune", "film", "-bf", "3"] });
      const page = await open("order", `&way=${way}`, () => {
        const shown = (globalThis.shown = []);
        const draw = CanvasRenderingContext2D.prototype.drawImage;
        CanvasRenderingContext2D.prototype.drawImage = function (from, ...rest) {
          if (from instanceof VideoFrame) shown.push(from.timestamp);
          return draw.call(this, from, ...rest);
        };
        const ask = HTMLVideoElement.prototype.requestVideoFrameCallback;
        HTMLVideoElement.prototype.requestVideoFrameCallback = function (f) {
          return ask.call(this, (now, frame) => (shown.push(frame.mediaTime), f(now, frame)));
        };
      });
      await live(page);
      await moves(page);
      const times = await until("ninety pictures", () => page.evaluate(() => globalThis.shown.length > 90 && globalThis.shown));
      // A player that begins again may go back.
      const back = times.filter((time, n) => time < times[n - 1]).length;
      assert.ok(back <= 2, `${back} of ${times.length} pictures before the one they follow`);
      assert.deepEqual(page.mistakes, []);
    });

    test(`${way}: sound alone, then a picture, then sound alone again`, async () => {
      const first = publish("alone", { picture: false });
      const page = await open("alone", `&way=${way}`);
      await live(page);
      await loud(page);
      await heard(page);
      assert.equal(await figure(page, "Codecs"), "AAC");
      await first.stop("SIGKILL");
      const second = publish("alone");
      await until("a picture", async () => (await figure(page, "Codecs")) === "H.264 + AAC");
      await live(page);
      await moves(page);
      await second.stop("SIGKILL");
      publish("alone", { picture: false });
      await until("sound alone", async () => (await figure(page, "Codecs")) === "AAC");
      await live(page);
      await heard(page);
      assert.deepEqual(page.mistakes, []);
    });

    test(`${way}: a downlink too narrow for the stream: pictures go on, and afterwards the delay is small again`, async () => {
      const network = await Network.open(relay);
      undo.push(() => network.close());
      publish("narrow", { size: "640x360", extra: ["-b:v", "2500k", "-minrate", "2500k", "-maxrate", "2500k", "-bufsize", "500k", "-x264-params", "nal-hrd=cbr"] });
      const page = await visit(browser, relay.page("narrow", `&stats&way=${way}`).replace(relay.origin, network.origin));
      await live(page);
      network.downlink(800);
      await moves(page, 10);
      network.downlink(0);
      await until("a small delay", async () => parseFloat(await figure(page, "Delay")) < 3000);
      await live(page);
      await moves(page);
      assert.deepEqual(page.mistakes, []);
    });

    for (const [picture, name] of [["vp09.00.10.08", "VP9"], ["av01.0.04M.08", "AV1"]]) {
      test(`${way}: ${name} with Opus`, async (t) => {
        const from = await visit(browser, `${relay.origin}/call/`);
        const lacks = await from.evaluate(publishNew, { url: `${relay.origin.replace("http", "ws")}/live/new.flv?publish=1&token=${relay.token("new", "publish")}`, picture });
        if (lacks) return t.skip(lacks);
        const page = await open("new", `&tracks=all&way=${way}`);
        await live(page);
        await moves(page);
        await loud(page);
        await heard(page);
        assert.equal(await figure(page, "Codecs"), `${name} + Opus`);
        assert.deepEqual(page.mistakes, []);
      });
    }
  }

  for (const way of ["webcodecs", "mse", "webrtc"]) {
    test(`${way}: a server that freezes is named, and all goes on when it thaws`, async () => {
      publish("frozen");
      const page = await open("frozen", `&way=${way}`);
      await live(page);
      await moves(page);
      relay.child.kill("SIGSTOP");
      undo.push(() => relay.child.kill("SIGCONT"));
      await words(page, /server cannot be reached/);
      relay.child.kill("SIGCONT");
      await live(page);
      await moves(page);
    });
  }

  test("a server that is killed, and comes back", async () => {
    const own = await Relay.start();
    const network = await Network.open(own);
    undo.push(() => network.close());
    const first = new Publisher(own, "killed");
    const page = await visit(browser, own.page("killed", "&stats").replace(own.origin, network.origin));
    await live(page);
    await moves(page);
    own.child.kill("SIGKILL");
    await words(page, /server cannot be reached/);
    await first.stop("SIGKILL");
    await own.stop();
    network.relay = await Relay.start();
    undo.push(() => network.relay.stop());
    const second = new Publisher(network.relay, "killed", { size: "256x144" });
    undo.push(() => second.stop("SIGKILL"));
    await until("the new size", async () => (await figure(page, "Size")) === "256 × 144");
    await live(page);
    await moves(page);
  });
});

describe("what the call page falls back on", { skip: reason || false, timeout: 900_000 }, () => {
  let relay;
  let network;
  let browser;

  before(async () => {
    relay = await Relay.start(["web: {demo: true}", "relay: {resume_window: 3s}", "room: {grace: 3s}"]);
    network = await Network.open(relay);
    browser = await openBrowser(["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]);
  });
  afterEach(async () => {
    network.change = undefined;
    for (const context of browser.contexts()) await context.close();
  });
  after(async () => {
    await browser?.close();
    network?.close();
    await relay?.stop();
  });

  const button = (page, name) => page.getByRole("button", { name, exact: true });
  const publishing = (page, state) => page.waitForSelector(`.own[data-publishing=${state}]`, { timeout: 60_000 });
  const says = (page, text) => until(`the page says ${text}`, async () => text.test(await page.innerText("body")));
  async function enter(change, origin = relay.origin) {
    const page = await visit(browser, "about:blank");
    if (change) await page.addInitScript(change);
    await page.goto(`${origin}/call/`);
    await button(page, "Join").click();
    return page;
  }

  test("a server that does not say that anything arrives: it is tried again", async () => {
    network.change = ['"type":"arrived"', '"type":"nothing"'];
    const page = await enter(undefined, network.origin);
    await publishing(page, "connecting");
    await publishing(page, "lost");
    network.change = undefined;
    await publishing(page, "live");
  });

  test("a camera that gives no picture: words, and a test picture instead", async () => {
    const page = await enter(() => {
      MediaDevices.prototype.getUserMedia = async () => new MediaStream([new MediaStreamTrackGenerator({ kind: "video" })]);
    });
    await says(page, /The camera does not start/);
    await publishing(page, "live");
  });

  test("sound that a member's browser cannot play: the tile says so", async () => {
    const ann = await enter();
    await publishing(ann, "live");
    const page = await enter(() => {
      AudioWorklet.prototype.addModule = () => Promise.reject(new Error("blocked"));
      delete globalThis.MediaSource;
    });
    await until("the tile says so", async () => /cannot play the stream's sound/.test(await page.innerText(".tile[data-state=playing]")));
  });

  test("more messages than are kept: the newest is in sight", async () => {
    const ann = await enter();
    await publishing(ann, "live");
    await ann.click("#tab-chat");
    await ann.getByRole("combobox", { name: "Kind of message" }).selectOption("barrage");
    const field = ann.getByRole("textbox", { name: "Message" });
    for (let n = 0; n < 203; n++) {
      await field.fill(`message ${n}`);
      // Of more than twenty a second one may be refused.
      await until("it is sent", async () => {
        await field.press("Enter");
        await new Promise((r) => setTimeout(r, 50));
        return (await field.inputValue()) === "";
      });
    }
    await until("the last is in sight", () =>
      ann.evaluate(() => {
        const list = document.querySelector(".messages").parentElement;
        return /message 202/.test(list.textContent) && list.scrollTop + list.clientHeight >= list.scrollHeight - 40;
      }),
    );
  });

  test("size and bitrate that are chosen reach the others", async () => {
    const ann = await enter();
    await publishing(ann, "live");
    const bob = await enter();
    await publishing(bob, "live");
    await bob.click("#tab-figures");
    await button(ann, "Settings").first().click();
    await ann.getByRole("combobox", { name: "Resolution" }).selectOption("320");
    await ann.getByRole("combobox", { name: "Bitrate" }).selectOption("150");
    await until("the size arrives", async () => /(240|320)×180/.test(await bob.innerText("[data-figures]")));
    await ann.keyboard.press("Escape");
    await ann.click("#tab-figures");
    await until("the target is known", async () => /Target\s+150 kbit\/s/.test(await ann.innerText("#own-figures")));
    const told = async () => (await (await relay.admin("GET", "players")).json()).players;
    await until("operators know the delay from the camera on", async () => (await told()).some((p) => p.delay_ms > 0 && p.delay_since === "publisher"));
    assert.deepEqual([...ann.mistakes, ...bob.mistakes], []);
  });
});
