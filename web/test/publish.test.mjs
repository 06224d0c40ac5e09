// The parts of the publishing worker that decide: clocks, rate, bytes.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, before, describe, test } from "node:test";
import { sources } from "./source.mjs";

describe("publishing", () => {
  let from;
  let Rate;
  let TrackClock;
  let flv;
  let picture;
  before(async () => {
    from = await sources();
    ({ Rate } = await from.load("/src/call/publish/rate.ts"));
    ({ TrackClock } = await from.load("/src/call/publish/clock.ts"));
    flv = await from.load("/src/call/publish/flv.ts");
    picture = await from.load("/src/call/publish/picture.ts");
  });
  after(() => from?.done());

  /**
   * An uplink that carries so many kbit/s; the relay's word comes each 500 ms. Returns what was
   * under way, ms, and the pictures left out.
   */
  function uplink(rate, kbps, seconds, begin = 0) {
    const waiting = [];
    let arrived;
    const seen = { most: 0, last: 0, left: 0 };
    for (let t = begin; t < begin + seconds * 1000; t += 33) {
      if (rate.dropping) seen.left++;
      else {
        waiting.push({ dts: t, bits: rate.kbps * 33 });
        rate.send(t);
      }
      let carries = kbps * 33;
      while (waiting.length && carries > 0) {
        const taken = Math.min(carries, waiting[0].bits);
        waiting[0].bits -= taken;
        carries -= taken;
        if (waiting[0].bits <= 0) arrived = waiting.shift().dts;
      }
      if (Math.floor(t / 500) !== Math.floor((t - 33) / 500) && arrived !== undefined) rate.word({ video: arrived }, t);
      rate.judge(t, 0);
      seen.last = waiting.length ? t - waiting[0].dts : 0;
      seen.most = Math.max(seen.most, seen.last);
    }
    return seen;
  }

  test("an uplink that is wide enough leaves the bitrate alone", () => {
    const rate = new Rate(800, 0);
    const seen = uplink(rate, 2000, 60);
    assert.equal(rate.kbps, 800);
    assert.equal(seen.left, 0);
  });

  test("a narrow uplink: the bitrate falls, pictures are left out, the delay stays bounded", () => {
    const rate = new Rate(2200, 0);
    const first = uplink(rate, 500, 60);
    assert.ok(first.left > 0);
    const later = uplink(rate, 500, 60, 60_000);
    assert.ok(first.most < 10_000 && later.most < 5000, JSON.stringify([first, later]));
    assert.ok(rate.kbps < 900, `${rate.kbps} kbit/s`);
  });

  test("an uplink that recovers gets its bitrate back", () => {
    const rate = new Rate(1400, 0);
    uplink(rate, 300, 30);
    assert.ok(rate.kbps < 900, `${rate.kbps} kbit/s`);
    uplink(rate, 5000, 120, 30_000);
    assert.equal(rate.kbps, 1400);
    assert.equal(rate.dropping, false);
  });

  test("a relay without words: only the browser's own buffer counts", () => {
    const rate = new Rate(800, 0);
    rate.send(60_000);
    rate.judge(60_000, 0);
    assert.equal(rate.backlog, 0);
    rate.judge(62_000, 1 << 20);
    assert.equal(rate.dropping, true);
    assert.ok(rate.kbps < 800);
    rate.judge(63_000, 0);
    assert.equal(rate.dropping, false);
  });

  test("a camera's clock is found by the least delay, and found anew after sleep", () => {
    const clock = new TrackClock(false);
    const machine = 1_000_000; // the camera's clock is so far ahead
    const jitter = [18, 3, 9, 25, 1, 14, 7, 2];
    let time;
    for (let i = 0; i < 60; i++) time = clock.time(machine + i * 50, i * 50 + jitter[i % 8]);
    assert.ok(Math.abs(time - 59 * 50) <= 3, `${time - 59 * 50} ms off`);
    // The machine slept: the camera's clock stood meanwhile.
    for (let i = 60; i < 200; i++) time = clock.time(machine + i * 50, i * 50 + 30_000 + jitter[i % 8]);
    assert.ok(Math.abs(time - (199 * 50 + 30_000)) <= 3, `${time - 199 * 50 - 30_000} ms off`);
  });

  test("a microphone's first pieces on the page's clock are left out", () => {
    const clock = new TrackClock(true);
    for (let i = 0; i < 10; i++) assert.equal(clock.time(i * 10 + 4000, i * 10 + 12), undefined);
    assert.equal(clock.time(100, 112), 100);
  });

  test("times never go back", () => {
    const clock = new TrackClock(false);
    let last = -1;
    for (let i = 0; i < 200; i++) {
      const time = clock.time(i * 33, i * 33 + ((i * 7919) % 60));
      if (time === undefined) continue;
      assert.ok(time >= last);
      last = time;
    }
  });

  test("the size keeps the source's form, either way up, and is even", () => {
    const wanted = { width: 640, height: 360 };
    assert.deepEqual(picture.fit(1280, 720, wanted), { width: 640, height: 360 });
    assert.deepEqual(picture.fit(640, 480, wanted), { width: 480, height: 360 });
    assert.deepEqual(picture.fit(720, 1280, wanted), { width: 360, height: 640 });
    assert.deepEqual(picture.fit(320, 180, wanted), { width: 320, height: 180 });
    for (const [w, h] of [[333, 77], [1920, 1081], [3, 3]]) {
      const size = picture.fit(w, h, wanted);
      assert.equal((size.width % 2) + (size.height % 2), 0);
    }
  });

  test("an encoder that fails at a size: the owner is told, and a smaller one is sent", () => {
    const told = [];
    const made = [];
    const had = { VideoEncoder: globalThis.VideoEncoder, VideoFrame: globalThis.VideoFrame };
    globalThis.VideoEncoder = class {
      state = "unconfigured";
      encodeQueueSize = 0;
      configure({ width }) {
        if (width > 640) throw new Error("too large");
        this.state = "configured";
      }
      encode() {
        made.push(this.state);
      }
      close() {
        this.state = "closed";
      }
    };
    globalThis.VideoFrame = class {
      close() {}
    };
    try {
      const format = { width: 1920, height: 1080, fps: 30, kbps: 4000 };
      const encoder = new picture.PictureEncoder(format, { failed: () => told.push("failed") });
      const push = (time) => {
        for (let i = 0; i < 20; i++) encoder.push({ displayWidth: 1920, displayHeight: 1080, close() {} }, time + i * 40);
      };
      push(0);
      assert.deepEqual([told.length, made.length], [1, 0]);
      encoder.set({ ...format, width: 640, height: 360 });
      push(1000);
      assert.equal(made.length, 20);
      encoder.close();
      encoder.set({ ...format, width: 320, height: 180 });
      push(2000);
      assert.equal(made.length, 20, "closed");
    } finally {
      Object.assign(globalThis, had);
    }
  });

  test("the bytes are FLV, and a clock beyond 24 bits is written as players read it", (t) => {
    const meta = { width: 640, height: 360, framerate: 30, videodatarate: 800, audiosamplerate: 48000, stereo: true };
    const late = flv.audio(0x1234567, new Uint8Array(300));
    // Annex E: the timestamp's highest byte comes last.
    assert.deepEqual([...late.subarray(4, 8)], [0x23, 0x45, 0x67, 0x01]);
    const file = Buffer.concat([flv.fileHeader(), flv.metadata(meta), flv.audioHeader(0, Uint8Array.of(0x11, 0x90)), late]);
    let text;
    try {
      text = execFileSync("ffprobe", ["-v", "quiet", "-f", "flv", "-show_entries", "stream=codec_name:format_tags", "-of", "json", "-"], { input: file }).toString();
    } catch {
      return t.skip("no ffprobe");
    }
    assert.match(text, /liverelay call page/);
    assert.match(text, /"aac"/);
  });
});
