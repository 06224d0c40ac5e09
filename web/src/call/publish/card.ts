// What is sent where there is no camera: a test card with a running clock. A flash and a beep come
// with every full second, so that anybody can see whether sound and picture belong together; the
// strip at the bottom is the clock for machines.

/** How long flash and beep last, ms. */
export const beat = 80;
/**
 * Bits of the strip: the moment in ms, modulo 2^24, the highest first, between a white and a black
 * cell.
 */
export const stripBits = 24;

type Context = OffscreenCanvasRenderingContext2D;

/** Draws the card. `moment` is in ms since 1970. */
export function drawCard(c: Context, moment: number, label: string): void {
  const { width: w, height: h } = c.canvas;
  const unit = Math.min(w, h);
  const ground = c.createLinearGradient(0, 0, w, h);
  ground.addColorStop(0, "#0b3b4a");
  ground.addColorStop(0.55, "#0f766e");
  ground.addColorStop(1, "#3f9c6c");
  c.fillStyle = ground;
  c.fillRect(0, 0, w, h);

  // A turning ring, so that a standing picture is seen as one.
  const turn = (moment / 1000) % 60;
  const [x, y, radius] = [w / 2, h * 0.44, unit * 0.26];
  c.lineCap = "round";
  c.lineWidth = unit * 0.022;
  c.strokeStyle = "rgba(255,255,255,.18)";
  c.beginPath();
  c.arc(x, y, radius, 0, 2 * Math.PI);
  c.stroke();
  const angle = turn * 2 * Math.PI - Math.PI / 2;
  c.strokeStyle = "#fff";
  c.beginPath();
  c.arc(x, y, radius, angle - 1.1, angle);
  c.stroke();
  if (moment % 1000 < beat) {
    c.fillStyle = "#fff";
    c.beginPath();
    c.arc(x, y, radius * 0.86, 0, 2 * Math.PI);
    c.fill();
  }

  const at = new Date(moment);
  const two = (n: number): string => String(n).padStart(2, "0");
  c.fillStyle = moment % 1000 < beat ? "#0f766e" : "#fff";
  c.textAlign = "center";
  c.textBaseline = "middle";
  c.font = `600 ${Math.round(unit * 0.088)}px system-ui, sans-serif`;
  c.fillText(`${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`, x, y - unit * 0.02);
  c.font = `${Math.round(unit * 0.055)}px system-ui, sans-serif`;
  c.fillText(`.${String(at.getMilliseconds()).padStart(3, "0")}`, x, y + unit * 0.075);
  c.fillStyle = "rgba(255,255,255,.92)";
  c.font = `500 ${Math.round(unit * 0.062)}px system-ui, "PingFang SC", "Noto Sans CJK SC", sans-serif`;
  c.fillText(label, x, h * 0.8, w * 0.9);
  drawStrip(c, moment);
}

/** Draws what stands for a camera that is off. */
export function drawOff(c: Context, _moment: number, label: string): void {
  const { width: w, height: h } = c.canvas;
  const unit = Math.min(w, h);
  c.fillStyle = "#1b222a";
  c.fillRect(0, 0, w, h);
  c.fillStyle = "#2c3742";
  c.beginPath();
  c.arc(w / 2, h * 0.46, unit * 0.22, 0, 2 * Math.PI);
  c.fill();
  c.fillStyle = "#dbe3ea";
  c.textAlign = "center";
  c.textBaseline = "middle";
  c.font = `600 ${Math.round(unit * 0.2)}px system-ui, "PingFang SC", "Noto Sans CJK SC", sans-serif`;
  c.fillText([...label][0]?.toUpperCase() ?? "?", w / 2, h * 0.47);
  c.font = `${Math.round(unit * 0.06)}px system-ui, "PingFang SC", "Noto Sans CJK SC", sans-serif`;
  c.fillStyle = "#9aa6b2";
  c.fillText(label, w / 2, h * 0.83, w * 0.9);
}

function drawStrip(c: Context, moment: number): void {
  const { width: w, height: h } = c.canvas;
  const cells = stripBits + 2;
  const high = Math.max(8, Math.round(h * 0.035));
  const value = Math.floor(moment) % 2 ** stripBits;
  for (let i = 0; i < cells; i++) {
    const on = i === 0 || (i < cells - 1 && (value >>> (stripBits - i)) & 1);
    c.fillStyle = on ? "#fff" : "#000";
    c.fillRect(Math.round((i * w) / cells), h - high, Math.ceil(w / cells), high);
  }
}

/**
 * The tone of the card from one sample to another (counted since 1970): hardly a hum, and a beep
 * each second.
 */
export function tone(from: number, length: number, rate: number): Float32Array {
  const out = new Float32Array(length);
  for (let i = 0; i < length; i++) {
    const seconds = (from + i) / rate;
    const beep = (seconds % 1) * 1000 < beat;
    out[i] = beep ? 0.12 * Math.sin(2 * Math.PI * 880 * (seconds % 1)) : 0.004 * Math.sin(2 * Math.PI * 220 * (seconds % 1));
  }
  return out;
}
