// Figures as people read them.
import { tag, type Language } from "../common/language.js";

export function count(n: number, language: Language): string {
  return new Intl.NumberFormat(tag(language)).format(n);
}

/** kbit/s as kbit/s, Mbit/s or Gbit/s. */
export function rate(kbps: number, language: Language): string {
  const [n, unit] = kbps >= 1e6 ? [kbps / 1e6, "Gbit/s"] : kbps >= 1000 ? [kbps / 1000, "Mbit/s"] : [kbps, "kbit/s"];
  return `${short(n, language)} ${unit}`;
}

export function bytes(n: number, language: Language): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let i = 0;
  for (; n >= 1024 && i < units.length - 1; i++) n /= 1024;
  return `${short(n, language)} ${units[i]}`;
}

function short(n: number, language: Language): string {
  return new Intl.NumberFormat(tag(language), { maximumFractionDigits: n < 100 && n % 1 !== 0 ? 1 : 0 }).format(n);
}

/** A time of day, with the date when it is another day's. */
export function clock(time: string | number, language: Language): string {
  const at = new Date(time);
  const today = at.toDateString() === new Date().toDateString();
  return new Intl.DateTimeFormat(tag(language), { ...(today ? {} : { dateStyle: "short" }), timeStyle: "medium", hourCycle: "h23" }).format(at);
}

/** Seconds as the two greatest units: 2 d 3 h, 5 min 10 s. */
export function span(seconds: number, language: Language): string {
  const [d, h, min, s] = language === "zh" ? ["天", "小时", "分", "秒"] : ["d", "h", "min", "s"];
  const whole = Math.max(0, Math.round(seconds));
  const parts: [number, string][] = [
    [Math.floor(whole / 86400), d!],
    [Math.floor((whole % 86400) / 3600), h!],
    [Math.floor((whole % 3600) / 60), min!],
    [whole % 60, s!],
  ];
  const first = parts.findIndex(([n]) => n > 0);
  if (first < 0) return `0 ${s}`;
  return parts
    .slice(first, first + 2)
    .filter(([n]) => n > 0)
    .map(([n, unit]) => `${n} ${unit}`)
    .join(" ");
}

/** How long ago. A clock that differs a little from the server's makes no negative time. */
export function ago(time: string, language: Language): string {
  return span((Date.now() - Date.parse(time)) / 1000, language);
}
