import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { HappenedEvent } from "../client.js";
import { clock } from "../figure.js";
import { hear, type Hearing } from "../happen.js";
import { link, replaceQuery } from "../route.js";
import { useSession } from "../session.js";
import { FilterField, Filters, Select } from "../part/form.js";
import { Badge, Empty } from "../part/notice.js";
import { Rows } from "../part/table.js";

const mostKept = 2000;
const mostShown = 200;

interface Kept extends HappenedEvent {
  key: string;
}

export function Events({ query }: { query: URLSearchParams }) {
  const { token, words, language, leave } = useSession();
  const [events, setEvents] = useState<Kept[]>([]);
  const [state, setState] = useState<Hearing>("connecting");
  const [lost, setLost] = useState(0);
  const [missing, setMissing] = useState<string[]>([]);
  const [held, setHeld] = useState<Kept[]>();
  const of = (name: string): string => query.get(name) ?? "";
  const filter = { app: of("app"), stream: of("stream"), room: of("room"), user: of("user"), type: of("type") };
  const heard = useRef(0);

  useEffect(
    () =>
      hear(token, {
        after: "0",
        onState: (now) => {
          setState(now);
          if (now === "connecting") setMissing([]); // who is away is told anew
        },
        onMissing: setMissing,
        onRefused: () => leave(true),
        onLost: (n) => setLost((was) => was + n),
        onEvents: (list) => setEvents((was) => [...list.map((e) => ({ ...e, key: `${e.node} ${e.id} ${heard.current++}` })).reverse(), ...was].slice(0, mostKept)),
      }),
    [token],
  );

  const matching = useMemo(() => {
    const wants = (e: Kept): boolean => Object.entries(filter).every(([name, value]) => value === "" || e[name as keyof typeof filter] === value);
    return (held ?? events).filter(wants);
  }, [held, events, query]);
  const types = useMemo(() => [...new Set([...events.map((e) => e.type), ...(filter.type ? [filter.type] : [])])].sort(), [events, filter.type]);
  const waiting = held ? events.length - held.length : 0;
  return (
    <>
      <div class="toolbar">
        <span role="status">
          <Badge kind={state === "open" ? "good" : "warn"}>{words.hearing[state]}</Badge>
        </span>
        <div class="actions">
          <button aria-pressed={held !== undefined} onClick={() => setHeld(held ? undefined : events)}>
            {held ? words.goOn(waiting) : words.hold}
          </button>
        </div>
      </div>
      <Filters>
        <Select label={words.type} value={filter.type} options={[["", words.all], ...types.map((t): [string, string] => [t, words.eventTypes[t as "publish"] ?? t])]} onChange={(type) => replaceQuery({ type })} />
        <FilterField label={words.app} value={filter.app} onChange={(app) => replaceQuery({ app })} />
        <FilterField label={words.stream} value={filter.stream} onChange={(stream) => replaceQuery({ stream })} />
        <FilterField label={words.room} value={filter.room} onChange={(room) => replaceQuery({ room })} />
        <FilterField label={words.user} value={filter.user} onChange={(user) => replaceQuery({ user })} />
      </Filters>
      {missing.length > 0 && (
        <p class="banner warn" role="status">
          {words.missing(missing.join(", "))}
        </p>
      )}
      {lost > 0 && <p class="banner warn">{words.lostEvents(lost)}</p>}
      {matching.length === 0 ? (
        <Empty title={events.length > 0 ? words.noneMatch : words.noEvents} icon="log">
          {events.length === 0 && words.noEventsHint}
        </Empty>
      ) : (
        <Rows
          label={words.events}
          rows={matching.slice(0, mostShown)}
          id={(e) => e.key}
          columns={[
            { head: words.time, cell: (e) => <time dateTime={e.time}>{clock(e.time, language)}</time> },
            { head: words.type, name: true, cell: (e) => words.eventTypes[e.type as "publish"] ?? e.type },
            { head: words.stream, cell: (e) => e.stream && <a href={link(["streams", e.app ?? "", e.stream])}>{`${e.app}/${e.stream}`}</a> },
            { head: words.room, cell: (e) => e.room && <a href={link(["rooms", e.app ?? "", e.room])}>{e.room}</a> },
            { head: words.user, cell: (e) => e.user },
            { head: words.detail, cell: (e) => [words.alerts[e.detail as "av_drift"] ?? e.detail, e.protocol, e.remote].filter(Boolean).join(" · ") },
            { head: words.node, cell: (e) => e.node },
          ]}
        />
      )}
      {matching.length > mostShown && <p class="quiet">{words.newestOnly(mostShown, matching.length)}</p>}
    </>
  );
}
