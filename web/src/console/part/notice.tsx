// Words over or in place of what a page shows.
import type { ComponentChildren } from "preact";
import { Icon, type IconName } from "../../common/icon.js";
import type { Live } from "../live.js";
import type { Failure } from "../client.js";
import { clock } from "../figure.js";
import { useSession } from "../session.js";
import type { Words } from "../word/index.js";

/** Nothing is there: what it is, and what to do about it. */
export function Empty({ title, children, icon = "antenna" }: { title: string; children?: ComponentChildren; icon?: IconName }) {
  return (
    <div class="empty">
      <Icon name={icon} size={34} />
      <p>
        <strong>{title}</strong>
      </p>
      {children && <div class="hint">{children}</div>}
    </div>
  );
}

/** What a failure means to who reads it. */
export function failureText(failure: Failure, words: Words): string {
  switch (failure.status) {
    case 0:
      return words.away;
    case 403:
      return `${words.forbidden} ${failure.message}`;
    case 429:
      return words.throttled;
  }
  return `${failure.message} (${failure.status})`;
}

/** How fresh what is shown is: nothing where all is well. */
export function Freshness({ live, missing }: { live: Live<unknown>; missing?: string[] | null }) {
  const { words, language } = useSession();
  return (
    <div role="status">
      {live.failure && (
        <p class="banner bad">
          <Icon name="warning" />
          <span>
            {failureText(live.failure, words)} {live.data !== undefined && words.shownFrom(clock(live.at, language))}
          </span>
        </p>
      )}
      {!live.failure && missing && missing.length > 0 && (
        <p class="banner warn">
          <Icon name="warning" />
          <span>{words.missing(missing.join(", "))}</span>
        </p>
      )}
    </div>
  );
}

/** Until the first answer. */
export function Loading() {
  const { words } = useSession();
  return (
    <p class="loading" role="status">
      <span class="wheel" aria-hidden="true" /> {words.loading}
    </p>
  );
}

export function Badge({ kind, children }: { kind: "good" | "warn" | "bad" | "quiet"; children: ComponentChildren }) {
  return <span class={`badge ${kind}`}>{children}</span>;
}

/** Terms and values. What has no value is left out. */
export function Facts({ rows, label }: { rows: [term: string, value: ComponentChildren][]; label: string }) {
  return (
    <dl class="facts" aria-label={label}>
      {rows
        .filter(([, value]) => value !== undefined && value !== "" && value !== null)
        .map(([term, value]) => (
          <div key={term}>
            <dt>{term}</dt>
            <dd>{value}</dd>
          </div>
        ))}
    </dl>
  );
}

/** A part of a page, with its heading and what can be done to it. */
export function Panel({ title, id, actions, children }: { title: string; id: string; actions?: ComponentChildren; children: ComponentChildren }) {
  return (
    <section class="panel" aria-labelledby={id}>
      <header>
        <h2 id={id}>{title}</h2>
        {actions && <div class="actions">{actions}</div>}
      </header>
      {children}
    </section>
  );
}
