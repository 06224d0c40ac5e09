// What the Media Source player writes, read by ffmpeg; and what it makes of holes, repeats and
// damage.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { sources } from "./source.mjs";

let reason = "";
try {
  execFileSync("ffmpeg", ["-version"], { stdio: "ignore" });
} catch {
  reason = "no ffmpeg";
}

/** Keeps what is appended. */
class FakeBuffer extends EventTarget {
  parts = [];
  updating = false;
  appendBuffer(bytes) {
    this.parts.push(Uint8Array.from(bytes));
  }
}

class FakeSource {
  readyState = "open";
  buffers = [];
  addSourceBuffer(mime) {
    const buffer = new FakeBuffer();
    buffer.mime = mime;
    this.buffers.push(buffer);
    return buffer;
  }
}

describe("from FLV to MP4", { skip: reason || false }, () => {
  let vite;
  let flv;
  let reel;
  let size;
  let dir;

  before(async () => {
    vite = await sources();
    flv = await vite.load("../sdk/src/web/flv.ts");
    reel = await vite.load("../sdk/src/web/reel.ts");
    size = await vite.load("../sdk/src/web/size.ts");
    dir = mkdtempSync(join(tmpdir(), "liverelay-mp4-"));
  });
  after(async () => {
    await vite?.done();
    rmSync(dir, { recursive: true, force: true });
  });

  const make = (name, ...args) => {
    const file = join(dir, name);
    execFileSync("ffmpeg", ["-nostdin", "-v", "error", "-y", ...args, file]);
    return file;
  };
  const tags = (...args) => {
    const all = [];
    new flv.FlvReader((tag) => all.push(tag)).push(new Uint8Array(readFileSync(make("in.flv", ...args))));
    return all.filter((tag) => tag.kind !== "script" && tag.body.length);
  };
  /** The file that a browser gets of these tags. */
  const muxed = (all, kind) => {
    const source = new FakeSource();
    const broken = [];
    let one;
    for (const tag of all.filter((t) => t.kind === kind)) {
      if (!tag.header) one.push(tag);
      else if (one) one.configure(tag);
      else one = new reel.Reel(source, tag, -1000, () => broken.push(tag));
    }
    const [buffer] = source.buffers;
    const file = join(dir, `${kind}.mp4`);
    writeFileSync(file, Buffer.concat(buffer.parts));
    return { file, mime: buffer.mime, reel: one, broken, parts: buffer.parts };
  };
  const probe = (file, entries) => JSON.parse(execFileSync("ffprobe", ["-v", "error", "-show_entries", entries, "-of", "json", file]));
  const decoded = (file) => execFileSync("ffmpeg", ["-nostdin", "-v", "error", "-xerror", "-i", file, "-f", "framemd5", "-"]).toString().split("\n").filter((line) => /^\d/.test(line)).length;

  const picture = ["-f", "lavfi", "-i", "testsrc2=size=322x182:rate=25", "-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-pix_fmt", "yuv420p"];
  const tone = (rate, channels) => ["-f", "lavfi", "-i", `sine=frequency=440:sample_rate=${rate}`, "-c:a", "aac", "-ac", String(channels)];

  test("pictures keep their number, order, times and size, with B-frames, too", () => {
    for (const b of ["0", "2"]) {
      const all = tags(...picture, "-bf", b, "-t", "2");
      const { file, mime, reel: one } = muxed(all, "video");
      assert.match(mime, /^video\/mp4; codecs="avc1\.[0-9a-f]{6}"$/);
      const { streams, packets } = probe(file, "stream=codec_name,width,height:packet=pts_time,flags");
      assert.deepEqual([streams[0].codec_name, streams[0].width, streams[0].height], ["h264", 322, 182]);
      const frames = all.filter((t) => t.kind === "video" && !t.header);
      assert.deepEqual(packets.map((p) => Math.round(p.pts_time * 1000)), frames.map((t) => t.pts + 1000));
      assert.equal(packets.filter((p) => p.flags[0] === "K").length, frames.filter((t) => t.key).length);
      assert.equal(decoded(file), frames.length);
      assert.ok(Math.abs(one.end - (frames.at(-1).pts + 1040) / 1000) < 0.1, String(one.end));
    }
  });

  test("sound has its place by counting samples", () => {
    for (const [rate, channels] of [[48000, 2], [44100, 1]]) {
      const all = tags(...tone(rate, channels), "-t", "2");
      const { file, mime } = muxed(all, "audio");
      assert.equal(mime, 'audio/mp4; codecs="mp4a.40.2"');
      const { streams, packets } = probe(file, "stream=codec_name,sample_rate,channels:packet=pts,duration");
      assert.deepEqual(streams[0], { codec_name: "aac", sample_rate: String(rate), channels });
      packets.forEach((p, i) => assert.equal(p.pts, packets[0].pts + i * 1024));
      assert.equal(packets.length, all.filter((t) => !t.header).length);
    }
  });

  test("a hole in the sound is filled with silence, a longer one is left; what comes twice is left out", () => {
    const all = tags(...tone(48000, 2), "-t", "3");
    const holed = all.filter((t) => t.header || t.dts < 1000 || t.dts >= 1500);
    const filled = probe(muxed(holed, "audio").file, "packet=pts").packets;
    assert.ok(Math.abs(filled.length - all.length + 1) <= 1, `${filled.length} of ${all.length}`);
    filled.forEach((p, i) => assert.equal(p.pts, filled[0].pts + i * 1024));
    assert.ok(decoded(muxed(holed, "audio").file) > 100);

    const late = all.map((t) => (t.header || t.dts < 1000 ? t : { ...t, dts: t.dts + 5000, pts: t.pts + 5000 }));
    assert.equal(probe(muxed(late, "audio").file, "packet=pts").packets.length, all.length - 1);

    const again = all.flatMap((t) => (t.header ? [t, t] : [t, { ...t, dts: t.dts - 500, pts: t.pts - 500 }]));
    assert.equal(probe(muxed(again, "audio").file, "packet=pts").packets.length, all.length - 1);
    const video = tags(...picture, "-bf", "0", "-t", "1");
    assert.equal(probe(muxed(video.flatMap((t) => [t, t]), "video").file, "packet=pts").packets.length, video.length - 1);
  });

  test("another size is another head, the same header once more is none", () => {
    const first = tags(...picture, "-t", "1");
    const other = tags(...picture, "-vf", "scale=160:120", "-t", "1").map((t) => ({ ...t, dts: t.dts + 1000, pts: t.pts + 1000 }));
    const { parts, broken, reel: one } = muxed([...first, ...other], "video");
    const heads = parts.filter((part) => String.fromCharCode(...part.slice(4, 8)) === "ftyp");
    // libx264 gives both the same profile and level, so that the codec's name stays.
    assert.ok(heads.length === 2 || broken.length === 1);
    assert.ok(one.end > 1);
  });

  test("sizes are read from H.264 and HEVC", () => {
    const record = (file, name) => {
      const bytes = readFileSync(file);
      const at = bytes.indexOf(name);
      return new Uint8Array(bytes.subarray(at + 4, at + bytes.readUInt32BE(at - 4) - 4));
    };
    for (const [width, height] of [[320, 180], [322, 182], [1920, 1080], [18, 34]]) {
      for (const more of [[], ["-profile:v", "high444", "-pix_fmt", "yuv444p"], ["-flags", "+ildct+ilme"]]) {
        if (more.includes("+ildct+ilme") && height % 4) continue;
        const file = make("a.mp4", "-f", "lavfi", "-i", `testsrc2=size=${width}x${height}`, "-frames:v", "1", "-pix_fmt", "yuv420p", "-c:v", "libx264", ...more);
        assert.deepEqual(size.pictureSize("avc1", record(file, "avcC")), { width, height }, more.join(" "));
      }
      const file = make("h.mp4", "-f", "lavfi", "-i", `testsrc2=size=${width}x${height}`, "-frames:v", "1", "-pix_fmt", "yuv420p", "-c:v", "libx265", "-x265-params", "log-level=none", "-tag:v", "hvc1");
      if (width >= 32 && height >= 32) assert.deepEqual(size.pictureSize("hvc1", record(file, "hvcC")), { width, height });
    }
  });

  test("damaged headers throw an Error or give nothing, and end", () => {
    const { body } = tags(...picture, "-frames:v", "1").find((t) => t.header);
    let seed = 1;
    const random = (n) => (seed = (seed * 48271) % 2147483647) % n;
    for (let i = 0; i < 20000; i++) {
      const bytes = Uint8Array.from(body.subarray(0, 1 + random(body.length)));
      for (let n = random(6); n > 0; n--) bytes[random(bytes.length)] = random(256);
      for (const codec of ["avc1", "hvc1", "av01"]) {
        const found = size.pictureSize(codec, bytes);
        assert.ok(found === undefined || (Number.isFinite(found.width) && Number.isFinite(found.height)));
      }
    }
    assert.throws(() => reel.mimeOf({ kind: "video", codec: "avc1", body: new Uint8Array(3) }), /short AVC/);
    assert.throws(() => reel.mimeOf({ kind: "audio", codec: "", body: new Uint8Array(3) }), /unknown audio codec/);
  });

  test("a browser that takes nothing makes it end, not grow", () => {
    const all = tags(...tone(48000, 2), "-t", "1");
    const source = new FakeSource();
    let broken = 0;
    const one = new reel.Reel(source, all[0], -1000, () => broken++);
    source.buffers[0].updating = true;
    for (let i = 0; i < 800; i++) one.push({ ...all[1], dts: i * 21.333, pts: i * 21.333 });
    assert.ok(broken > 0);
  });
});
