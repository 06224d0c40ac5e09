// Words over the picture, and a button for sound, for pages that have none of their own.
import type { WebPlayerEvent } from "./type.js";
import { retryWord, soundWord } from "./word.js";

interface Wishes {
  unmute(): void;
  retry(): void;
}

const button = "display:none;min-height:40px;padding:0 16px;border:0;border-radius:10px;background:#fff;color:#111;font:600 15px system-ui,sans-serif;cursor:pointer";

export class Overlay {
  readonly root = document.createElement("div");
  private readonly text = document.createElement("p");
  private readonly sound = document.createElement("button");
  private readonly retry = document.createElement("button");

  constructor(language: "en" | "zh", wishes: Wishes) {
    // By the object model: a strict Content-Security-Policy has nothing against it.
    this.root.style.cssText = "position:absolute;inset:0;display:flex;flex-direction:column;gap:12px;align-items:center;justify-content:center;padding:16px;pointer-events:none";
    this.text.style.cssText = "display:none;margin:0;padding:8px 14px;border-radius:10px;background:rgba(0,0,0,.72);color:#fff;font:15px/1.45 system-ui,sans-serif;text-align:center;max-width:34em";
    this.text.setAttribute("role", "status");
    for (const [b, word, wish] of [[this.sound, soundWord, wishes.unmute], [this.retry, retryWord, wishes.retry]] as const) {
      b.type = "button";
      b.textContent = word[language];
      b.style.cssText = `${button};pointer-events:auto`;
      b.addEventListener("click", () => wish());
    }
    this.root.append(this.text, this.retry, this.sound);
  }

  show(event: WebPlayerEvent, muted: boolean): void {
    this.text.textContent = event.text;
    this.text.style.display = event.text ? "block" : "none";
    this.retry.style.display = event.state === "failed" ? "block" : "none";
    this.sound.style.display = event.state === "playing" && muted ? "block" : "none";
  }
}
