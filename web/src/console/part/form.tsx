// Fields with their labels.
import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { Icon } from "../../common/icon.js";
import { useSession } from "../session.js";

interface Text {
  label: string;
  hint?: string;
  value: string;
  onInput(value: string): void;
  type?: "text" | "search" | "password";
  required?: boolean;
  maxLength?: number;
  autoFocus?: boolean;
  placeholder?: string;
  autocomplete?: string;
}

export function Field({ label, hint, value, onInput, type = "text", ...more }: Text) {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <input id={id} type={type as "text"} value={value} spellcheck={false} autocapitalize="off" autocomplete="off" aria-describedby={hint ? `${id}-hint` : undefined} {...more} onInput={(e) => onInput(e.currentTarget.value)} />
      {hint && <small id={`${id}-hint`}>{hint}</small>}
    </div>
  );
}

interface Choice {
  label: string;
  value: string;
  options: [value: string, label: string][];
  onChange(value: string): void;
}

export function Select({ label, value, options, onChange }: Choice) {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <select id={id} value={value} onChange={(e) => onChange(e.currentTarget.value)}>
        {options.map(([v, text]) => (
          <option key={v} value={v} selected={v === value}>
            {text}
          </option>
        ))}
      </select>
    </div>
  );
}

export function Check({ label, checked, onChange }: { label: string; checked: boolean; onChange(checked: boolean): void }) {
  return (
    <label class="check">
      <input type="checkbox" checked={checked} onChange={(e) => onChange(e.currentTarget.checked)} />
      {label}
    </label>
  );
}

/** Filters of a list: a field tells what it holds once nobody types any more. */
export function Filters({ children }: { children: ComponentChildren }) {
  const { words } = useSession();
  return (
    <form class="filters" role="search" aria-label={words.filters} onSubmit={(e) => e.preventDefault()}>
      {children}
    </form>
  );
}

const typing = 300;

export function FilterField({ label, value, onChange }: { label: string; value: string; onChange(value: string): void }) {
  const [text, setText] = useState(value);
  const timer = useRef(0);
  useEffect(() => setText(value), [value]);
  return (
    <Field
      label={label}
      type="search"
      value={text}
      onInput={(next) => {
        setText(next);
        clearTimeout(timer.current);
        timer.current = window.setTimeout(() => onChange(next.trim()), typing);
      }}
    />
  );
}

/** A credential or an address to take along. */
export function Copyable({ label, text }: { label: string; text: string }) {
  const { words } = useSession();
  const [copied, setCopied] = useState(false);
  const id = useId();
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // Where the page may not, the text is selected for Ctrl+C.
      (document.getElementById(id) as HTMLTextAreaElement).select();
      return;
    }
    setCopied(true);
    setTimeout(() => setCopied(false), 2000);
  };
  return (
    <div class="copyable">
      <label for={id}>{label}</label>
      <textarea id={id} readOnly rows={3} value={text} onFocus={(e) => e.currentTarget.select()} />
      <button type="button" onClick={copy}>
        <Icon name="copy" size={18} /> <span aria-live="polite">{copied ? words.copied : words.copy}</span>
      </button>
    </div>
  );
}

/** For how long: durations as the API takes them. "" is what the server takes without one. */
export function Lasting({ label, value, forever, onChange }: { label: string; value: string; forever?: string; onChange(value: string): void }) {
  const { words } = useSession();
  const options: [string, string][] = [
    ["10m", words.minutes(10)],
    ["1h", words.hours(1)],
    ["24h", words.hours(24)],
    ["168h", words.days(7)],
    ["720h", words.days(30)],
  ];
  if (forever) options.push(["", forever]);
  return <Select label={label} value={value} options={options} onChange={onChange} />;
}
