// Glass to glass: a clock is drawn into the picture, and read again from what the play page shows. Prints the delay that was
// read beside the one that the page reports. npm run delay; [seconds] of each measurement, 15.
import { spawn } from "node:child_process";
import { openBrowser, missing, Relay, statistics, visit } from "./helper.mjs";

const seconds = Number(process.argv[2] ?? 15);
const [width, height, bits] = [640, 360, 24];

/** In the browser: pictures with a clock and the stamp of sdk/src/web/stamp.ts, by WebCodecs, as FLV over a WebSocket. */
async function source({ url, width, height, bits }) {
  const socket = new WebSocket(url);
  socket.binaryType = "arraybuffer";
  await new Promise((r) => (socket.onopen = r));
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  const now = () => performance.timeOrigin + performance.now();
  const begin = now();
  const tag = (type, dts, parts) => {
    const size = parts.reduce((n, p) => n + p.length, 0);
    const out = new Uint8Array(size + 15);
    const view = new DataView(out.buffer);
    view.setUint32(0, (type << 24) | size);
    view.setUint32(4, (dts << 8) | (dts >>> 24));
    let at = 11;
    for (const p of parts) {
      out.set(p, at);
      at += p.length;
    }
    view.setUint32(at, size + 11);
    return out;
  };
  const stamp = (ms) => {
    const micros = Math.round(ms * 1000);
    const plain = [...new TextEncoder().encode("liverelay.stamp1")];
    for (let i = 7; i >= 0; i--) plain.push(Math.floor(micros / 256 ** i) % 256);
    const nal = [6, 5, 24];
    let zeros = 0;
    for (const b of plain) {
      if (zeros === 2 && b <= 3) nal.push(3), (zeros = 0);
      nal.push(b);
      zeros = b ? 0 : zeros + 1;
    }
    nal.push(0x80);
    return Uint8Array.from([0, 0, 0, nal.length, ...nal]);
  };
  socket.send(Uint8Array.from([0x46, 0x4c, 0x56, 1, 1, 0, 0, 0, 9, 0, 0, 0, 0]));
  const drawn = new Map();
  const encoder = new VideoEncoder({
    output: (chunk, meta) => {
      const dts = Math.round(chunk.timestamp / 1000);
      const description = meta?.decoderConfig?.description;
      if (description) socket.send(tag(9, dts, [Uint8Array.from([0x17, 0, 0, 0, 0]), new Uint8Array(description)]));
      const body = new Uint8Array(chunk.byteLength);
      chunk.copyTo(body);
      socket.send(tag(9, dts, [Uint8Array.from([chunk.type === "key" ? 0x17 : 0x27, 1, 0, 0, 0]), stamp(drawn.get(chunk.timestamp)), body]));
      drawn.delete(chunk.timestamp);
    },
    error: (e) => console.error(e),
  });
  encoder.configure({ codec: "avc1.42001f", width, height, bitrate: 1_000_000, framerate: 30, latencyMode: "realtime", avc: { format: "avc" } });
  let count = 0;
  setInterval(() => {
    const t = now();
    const value = Math.floor(t) % 2 ** bits;
    context.fillStyle = "#888";
    context.fillRect(0, 0, width, height);
    for (let i = 0; i < bits; i++) {
      context.fillStyle = (value >> i) & 1 ? "#fff" : "#000";
      context.fillRect((i * width) / bits, 0, width / bits, 80);
    }
    const timestamp = Math.round((t - begin) * 1000);
    drawn.set(timestamp, t);
    const frame = new VideoFrame(canvas, { timestamp });
    encoder.encode(frame, { keyFrame: count++ % 30 === 0 });
    frame.close();
  }, 1000 / 30);
}

/** By ffmpeg, with a tone. */
function program(relay, stream) {
  const url = `rtmp://127.0.0.1:${relay.rtmp}/live/${stream}?token=${relay.token(stream, "publish")}`;
  const input = ["-probesize", "32", "-fflags", "nobuffer", "-f", "rawvideo", "-pix_fmt", "gray", "-s", `${width}x${height}`, "-r", "30", "-i", "pipe:0"];
  // Both tracks come from here, on one clock.
  const tone = ["-probesize", "32", "-fflags", "nobuffer", "-f", "s16le", "-ar", "48000", "-ac", "1", "-i", "pipe:3"];
  const output = ["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "30", "-pix_fmt", "yuv420p", "-c:a", "aac", "-max_interleave_delta", "1", "-flush_packets", "1", "-f", "flv", url];
  const child = spawn("ffmpeg", ["-v", "error", ...input, ...tone, ...output], { stdio: ["pipe", "ignore", "inherit", "pipe"] });
  for (const pipe of [child.stdin, child.stdio[3]]) pipe.on("error", () => undefined); // it ends before the timer
  let sent = 0;
  let samples = 0;
  const begin = Date.now();
  const timer = setInterval(() => {
    for (; sent < ((Date.now() - begin) * 30) / 1000; sent++) {
      const value = Date.now() % 2 ** bits;
      const row = Buffer.alloc(width);
      for (let x = 0; x < width; x++) row[x] = (value >> Math.floor((x * bits) / width)) & 1 ? 235 : 16;
      child.stdin.write(Buffer.concat([...Array(80).fill(row), Buffer.alloc(width * (height - 80), 128)]));
    }
    const due = Math.floor((Date.now() - begin) * 48);
    const sound = Buffer.alloc((due - samples) * 2);
    for (let i = 0; samples < due; samples++, i += 2) sound.writeInt16LE(Math.sin((samples / 48000) * 2 * Math.PI * 440) * 8000, i);
    child.stdio[3].write(sound);
  }, 5);
  return async () => {
    clearInterval(timer);
    const gone = new Promise((r) => child.once("exit", r));
    child.kill("SIGKILL");
    await gone;
  };
}

/** In the browser: what the picture says, against the clock, at each frame of the screen. */
async function read({ seconds, bits }) {
  const canvas = new OffscreenCanvas(bits * 4, 4);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const ages = [];
  const end = performance.now() + seconds * 1000;
  let last;
  while (performance.now() < end) {
    await new Promise((r) => requestAnimationFrame(r));
    const from = document.querySelector(".stage canvas, .stage video");
    const size = from.videoHeight || from.height;
    context.drawImage(from, 0, 0, from.videoWidth || from.width, (size * 60) / 360, 0, 0, bits * 4, 4);
    const { data } = context.getImageData(0, 0, bits * 4, 4);
    let value = 0;
    for (let i = 0; i < bits; i++) if (data[(bits * 4 * 2 + i * 4 + 2) * 4] > 128) value += 2 ** i;
    if (value === last) continue;
    last = value;
    const age = (Math.floor(performance.timeOrigin + performance.now()) - value + 2 ** bits) % 2 ** bits;
    if (age < 20000) ages.push(age);
  }
  return ages;
}

const at = (list, share) => [...list].sort((a, b) => a - b)[Math.floor(list.length * share)];

export async function measure(relay, browser, { way, sound, seconds }) {
  const stream = `clock-${way}-${sound ? "sound" : "picture"}`;
  const page = await visit(browser, relay.page(stream, `&stats&way=${way}`));
  let stop;
  if (sound) stop = program(relay, stream);
  else {
    const from = await visit(browser, `${relay.origin}/call/`);
    await from.evaluate(source, { url: `${relay.origin.replace("http", "ws")}/live/${stream}.flv?publish=1&token=${relay.token(stream, "publish")}`, width, height, bits });
    stop = () => from.context().close();
  }
  try {
    await page.waitForSelector(".badge.live", { timeout: 60_000 });
    if (sound) await page.click("text=Turn sound on");
    await new Promise((r) => setTimeout(r, 8000));
    const reported = [];
    const timer = setInterval(() => void statistics(page).then((s) => reported.push(s), () => undefined), 500);
    const ages = await page.evaluate(read, { seconds, bits });
    clearInterval(timer);
    const median = (term) => at(reported.map((s) => parseFloat(s[term])).filter(Number.isFinite), 0.5);
    const { Player, "Frame rate": rate } = reported.at(-1);
    return { way: Player, sound, frames: ages.length, rate, p50: at(ages, 0.5), p90: at(ages, 0.9), p99: at(ages, 0.99), reported: median("Delay"), lipSync: median("Lip sync"), since: sound ? "ingest" : "camera" };
  } finally {
    await stop();
    await page.context().close();
  }
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  const reason = missing();
  if (reason) {
    console.error(`cannot measure: ${reason}`);
    process.exit(1);
  }
  const relay = await Relay.start();
  const browser = await openBrowser();
  console.log("player        sound  p50  p90  p99 ms   reported (since)   lip sync   frames");
  for (const way of ["webcodecs", "mse"]) {
    for (const sound of [false, true]) {
      const m = await measure(relay, browser, { way, sound, seconds });
      console.log(`${m.way.padEnd(13)} ${String(sound).padEnd(5)} ${[m.p50, m.p90, m.p99].map((n) => String(n).padStart(4)).join(" ")}      ${m.reported} (${m.since})   ${m.lipSync ?? "–"}   ${m.frames} (${m.rate})`);
    }
  }
  await browser.close();
  await relay.stop();
}
