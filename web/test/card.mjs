// Reads the test card of the call page (src/call/publish/card.ts): the clock in its strip, and the
// beep of each second.
import { execFileSync, spawn } from "node:child_process";

const bits = 24; // of the moment in ms, the highest first, between a white and a black cell
const cells = bits + 2;

/**
 * In the browser: how old the card is that the page shows, ms, at each new picture, for some
 * seconds; and what the page's own statistics then say.
 */
export async function ages({ seconds }) {
  const [bits, cells] = [24, 26];
  const canvas = new OffscreenCanvas(cells * 4, 4);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const ages = [];
  const end = performance.now() + seconds * 1000;
  let last;
  while (performance.now() < end) {
    await new Promise((r) => requestAnimationFrame(r));
    const from = document.querySelector(".stage canvas, .stage video");
    const [width, height] = [from.videoWidth || from.width, from.videoHeight || from.height];
    const high = Math.max(8, Math.round(height * 0.035));
    context.drawImage(from, 0, height - high * 0.75, width, high / 2, 0, 0, cells * 4, 4);
    const { data } = context.getImageData(0, 0, cells * 4, 4);
    const on = (i) => data[(cells * 4 * 2 + i * 4 + 2) * 4] > 128;
    if (!on(0) || on(cells - 1)) continue; // no card
    let value = 0;
    for (let i = 1; i <= bits; i++) value = value * 2 + (on(i) ? 1 : 0);
    if (value === last) continue;
    last = value;
    const age = (Math.floor(performance.timeOrigin + performance.now()) - value + 2 ** bits) % 2 ** bits;
    const told = parseFloat([...document.querySelectorAll("#statistics dt")].find((term) => term.textContent === "Delay")?.nextSibling.textContent);
    if (age < 20000) ages.push({ age, told });
  }
  return ages;
}

/** Records a stream, as it is, for some seconds. */
export async function record(url, file, seconds) {
  const child = spawn("ffmpeg", ["-nostdin", "-v", "error", "-y", "-i", url, "-t", String(seconds), "-c", "copy", file], { stdio: "ignore" });
  await new Promise((r) => child.once("exit", r));
}

/**
 * How far the sound is ahead of the picture in a recording, ms: the middle over all beeps and all
 * pictures, and how many there were. Each picture tells its moment, and a beep begins with a full
 * second.
 */
export function soundAhead(file) {
  const read = (...args) => execFileSync("ffmpeg", ["-v", "error", "-copyts", "-i", file, ...args, "-"], { maxBuffer: 1 << 28, stdio: ["ignore", "pipe", "ignore"] });
  const times = (track) =>
    execFileSync("ffprobe", ["-v", "error", "-select_streams", track, "-show_entries", "packet=pts_time", "-of", "csv=p=0", file]).toString().split("\n").map(parseFloat).filter(Number.isFinite).map((s) => s * 1000);

  const strips = read("-an", "-vf", `crop=iw:4:0:ih-6,scale=${cells}:1:flags=area,format=gray`, "-fps_mode", "passthrough", "-f", "rawvideo");
  const pictures = times("v").flatMap((pts, n) => {
    const cell = (i) => strips[n * cells + i] > 128;
    if ((n + 1) * cells > strips.length || !cell(0) || cell(cells - 1)) return [];
    let moment = 0;
    for (let i = 1; i <= bits; i++) moment = moment * 2 + (cell(i) ? 1 : 0);
    // The strip has the moment modulo 2^24 ms, four hours; the recording is younger.
    const now = Date.now();
    return [pts - (now - ((now - moment) % 2 ** bits + 2 ** bits) % 2 ** bits)];
  });
  const clock = middle(pictures); // a picture's time in the stream less its moment

  const pcm = read("-vn", "-ac", "1", "-ar", "48000", "-f", "s16le");
  const [first = 0] = times("a");
  const beeps = [];
  for (let i = 0, quiet = 0; i < pcm.length / 2; i++) {
    if (Math.abs(pcm.readInt16LE(2 * i)) > 1500) {
      // Whole quiet before it, else it is the rest of one.
      if (quiet > 24000) beeps.push(first + i / 48);
      quiet = 0;
    } else quiet++;
  }
  // The nearest full second of the pictures' clock.
  const ahead = beeps.map((pts) => {
    const after = (pts - clock) % 1000;
    return after < 500 ? -after : 1000 - after;
  });
  return { ahead: middle(ahead), beeps: beeps.length, pictures: pictures.length };
}

export const at = (list, share) => [...list].sort((a, b) => a - b)[Math.min(list.length - 1, Math.floor(list.length * share))];
const middle = (list) => at(list, 0.5);
