// Small parts that several views use.
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { Icon, type IconName } from "../common/icon.js";
import type { Key } from "./words.js";

/** Gives the text of a key in the page's language. */
export type Text = (key: Key, ...values: (string | number)[]) => string;

/** A round button of the control bar. */
export function Round({ icon, label, pressed, off, badge, onClick }: { icon: IconName; label: string; pressed?: boolean; off?: boolean; badge?: number; onClick(): void }) {
  return (
    <button type="button" class={off ? "round off" : "round"} aria-label={label} title={label} aria-pressed={pressed} onClick={onClick}>
      <Icon name={icon} />
      {badge ? <span class="badge">{badge > 99 ? "99+" : badge}</span> : null}
    </button>
  );
}

/** Copies a text; says so for a moment. */
export function Copy({ text, t, label }: { text: string; t: Text; label?: string }) {
  const [done, setDone] = useState(false);
  const copy = async (): Promise<void> => {
    await copyText(text);
    setDone(true);
    setTimeout(() => setDone(false), 2000);
  };
  return (
    <button type="button" onClick={copy}>
      <Icon name="copy" size={18} />
      <span aria-live="polite">{done ? t("copied") : (label ?? t("copy"))}</span>
    </button>
  );
}

async function copyText(text: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Not from https: the old way.
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}

/** A dialog; Escape and the ground close it. */
export function Dialog({ title, t, onClose, children }: { title: string; t: Text; onClose(): void; children: ComponentChildren }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const element = dialog.current!;
    if (!element.open) element.showModal();
    return () => element.close();
  }, []);
  return (
    <dialog ref={dialog} aria-labelledby="dialog-title" onClose={onClose} onClick={(e) => e.target === dialog.current && onClose()}>
      <div class="dialog">
        <header>
          <h2 id="dialog-title">{title}</h2>
          <button type="button" class="plain" aria-label={t("close")} onClick={onClose}>
            <Icon name="close" />
          </button>
        </header>
        {children}
      </div>
    </dialog>
  );
}

/** A loudness, 0 to 1; quiet speech is about 0.02. */
export function Level({ level }: { level: number }) {
  const shown = level <= 0 ? 0 : Math.max(0, Math.min(1, 1 + Math.log10(level) / 2.5));
  const bars = Math.round(shown * 5);
  return (
    <span class="level" aria-hidden="true">
      {[1, 2, 3, 4, 5].map((i) => (
        <i key={i} class={i <= bars ? "on" : ""} />
      ))}
    </span>
  );
}

/** The first letter of a name, for where there is no picture. */
export function initial(name: string): string {
  return [...name][0]?.toUpperCase() ?? "?";
}
