// The side panel: people, messages, figures, log.
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { Icon, type IconName } from "../common/icon.js";
import type { Call } from "./call.js";
import type { Message } from "./member.js";
import { Copy, initial, type Text } from "./view.js";

export const tabs = ["people", "chat", "figures", "log"] as const;
export type Tab = (typeof tabs)[number];
const icons: Record<Tab, IconName> = { people: "people", chat: "chat", figures: "statistics", log: "log" };

export function Panel({ call, t, tab, onTab, onClose }: { call: Call; t: Text; tab: Tab; onTab(tab: Tab): void; onClose(): void }) {
  const bar = useRef<HTMLDivElement>(null);
  // Arrow keys move between tabs (WAI-ARIA, Tabs pattern).
  const move = (e: KeyboardEvent): void => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[e.key];
    if (!step) return;
    const next = tabs[(tabs.indexOf(tab) + step + tabs.length) % tabs.length]!;
    onTab(next);
    bar.current!.querySelector<HTMLElement>(`#tab-${next}`)!.focus();
  };
  const body: Record<Tab, ComponentChildren> = { people: <People call={call} t={t} />, chat: <Chat call={call} t={t} />, figures: <Figures call={call} t={t} />, log: <Log call={call} t={t} /> };
  return (
    <aside class="panel" aria-label={t("panel")}>
      <div class="tabs">
        <div ref={bar} role="tablist" onKeyDown={move}>
          {tabs.map((name) => (
            <button key={name} type="button" role="tab" id={`tab-${name}`} aria-selected={name === tab} aria-controls="tab-body" tabIndex={name === tab ? 0 : -1} onClick={() => onTab(name)}>
              <Icon name={icons[name]} size={18} />
              <span>{t(name)}</span>
            </button>
          ))}
        </div>
        <button type="button" class="plain" aria-label={t("close")} onClick={onClose}>
          <Icon name="close" size={18} />
        </button>
      </div>
      <div class="tab-body" id="tab-body" role="tabpanel" aria-labelledby={`tab-${tab}`} tabIndex={0}>
        {body[tab]}
      </div>
    </aside>
  );
}

function People({ call, t }: { call: Call; t: Text }) {
  const streams = [...call.remotes.values()];
  const people = [{ userID: call.login.user, userName: call.userName, own: true }, ...[...call.members.values()].map((m) => ({ userID: m.userID, userName: m.userName || m.userID, own: false }))];
  return (
    <>
      <h2>{t("members", people.length)}</h2>
      <ul class="people">
        {people.map((p) => {
          const theirs = p.own ? (call.publishing === "off" || call.publishing === "refused" ? [] : [call.streamID]) : streams.filter((s) => s.user.userID === p.userID).map((s) => s.streamID);
          const away = streams.some((s) => s.user.userID === p.userID && (s.state.reason === "lost" || s.state.reason === "idle"));
          return (
            <li key={p.userID}>
              <span class="avatar" aria-hidden="true">
                {initial(p.userName)}
              </span>
              <span>
                <strong>{p.own ? t("youAre", p.userName) : p.userName}</strong>
                <small>{away ? t("memberAway") : theirs.length ? theirs.join(", ") : t("noStream")}</small>
              </span>
            </li>
          );
        })}
      </ul>
      {people.length === 1 && <p class="empty">{t("noMembers")}</p>}
      <RoomInfo call={call} t={t} />
    </>
  );
}

function RoomInfo({ call, t }: { call: Call; t: Text }) {
  const [key, setKey] = useState("");
  const [value, setValue] = useState("");
  const known = [...call.roomExtra][0];
  const submit = async (e: Event): Promise<void> => {
    e.preventDefault();
    if (await call.setRoomExtra(known?.[0] ?? key, value)) setValue("");
  };
  return (
    <section class="room-info">
      <h2>{t("roomInfo")}</h2>
      {known ? (
        <p class="pair">
          <code>{known[0]}</code> <span>{known[1]}</span>
        </p>
      ) : (
        <p class="quiet">{t("roomInfoHelp")}</p>
      )}
      <form class="row" onSubmit={submit}>
        {!known && <input aria-label={t("key")} placeholder={t("key")} size={6} maxLength={10} required value={key} onInput={(e) => setKey(e.currentTarget.value)} />}
        <input aria-label={t("value")} placeholder={t("value")} maxLength={128} required value={value} onInput={(e) => setValue(e.currentTarget.value)} />
        <button type="submit">{t("set")}</button>
      </form>
    </section>
  );
}

const kinds = { broadcast: "kindBroadcast", barrage: "kindBarrage", command: "kindCommand" } as const;

function Chat({ call, t }: { call: Call; t: Text }) {
  const [kind, setKind] = useState<Message["kind"]>("broadcast");
  const [to, setTo] = useState("");
  const [words, setWords] = useState("");
  const list = useRef<HTMLDivElement>(null);
  useEffect(() => {
    call.unread = 0;
    list.current?.scrollTo({ top: list.current.scrollHeight });
  }, [call, call.messages.at(-1)]); // not their number, which has a bound
  const submit = async (e: Event): Promise<void> => {
    e.preventDefault();
    const users = to ? [to] : [...call.members.keys()];
    if (await call.send(kind, words.trim(), users)) setWords("");
  };
  const clock = (at: number): string => new Date(at).toTimeString().slice(0, 5);
  return (
    <div class="chat">
      <div ref={list} class="scroll" role="log" aria-label={t("chat")} tabIndex={0}>
      <ol class="messages">
        {call.messages.map((m, i) => (
          <li key={i} class={m.own ? "own" : ""}>
            <small>
              {m.from} · {t(kinds[m.kind])} · {clock(m.at)}
            </small>
            <p>{m.text}</p>
          </li>
        ))}
        {call.messages.length === 0 && <li class="empty">{t("noMessages")}</li>}
      </ol>
      </div>
      <form onSubmit={submit}>
        <div class="row">
          <select aria-label={t("kind")} value={kind} onChange={(e) => setKind(e.currentTarget.value as Message["kind"])}>
            {Object.entries(kinds).map(([name, key]) => (
              <option key={name} value={name}>
                {t(key)}
              </option>
            ))}
          </select>
          {kind === "command" && (
            <select aria-label={t("to")} value={to} onChange={(e) => setTo(e.currentTarget.value)}>
              <option value="">{t("everybody")}</option>
              {[...call.members.values()].map((m) => (
                <option key={m.userID} value={m.userID}>
                  {m.userName || m.userID}
                </option>
              ))}
            </select>
          )}
        </div>
        <div class="row">
          <input aria-label={t("message")} placeholder={t("message")} maxLength={1000} value={words} onInput={(e) => setWords(e.currentTarget.value)} />
          <button type="submit" class="primary" aria-label={t("send")} disabled={words.trim() === "" || (kind === "command" && !to && call.members.size === 0)}>
            <Icon name="send" size={18} />
          </button>
        </div>
      </form>
    </div>
  );
}

function Figures({ call, t }: { call: Call; t: Text }) {
  const own = call.stats;
  const remotes = [...call.remotes.values()];
  const round = (n: number | undefined): string => (n === undefined ? "–" : String(Math.round(n)));
  return (
    <>
      <h2>{t("own")}</h2>
      {own ? (
        <dl id="own-figures">
          <Row term={t("stream")} value={call.streamID} />
          <Row term={t("picture")} value={`${own.width}×${own.height}`} />
          <Row term={t("frames")} value={own.fps.toFixed(1)} />
          <Row term={t("bitrate")} value={t("kbps", round(own.videoKbps + own.audioKbps))} />
          <Row term={t("target")} value={own.targetKbps === own.wantedKbps ? t("kbps", own.targetKbps) : `${own.targetKbps} / ${t("kbps", own.wantedKbps)}`} />
          <Row term={t("dropped")} value={String(own.dropped)} />
          <Row term={t("backlog")} value={t("ms", round(own.backlog))} />
        </dl>
      ) : (
        <p class="quiet">{t("publishStopped")}</p>
      )}
      <h2>{t("received")}</h2>
      {remotes.length === 0 && <p class="quiet">{t("noFigures")}</p>}
      {remotes.map(({ streamID, stats, state }) => (
        <dl key={streamID} data-figures={streamID}>
          <Row term={t("stream")} value={streamID} />
          {stats && state.state === "playing" ? (
            <>
              <Row term={t("picture")} value={`${stats.width}×${stats.height}`} />
              <Row term={t("frames")} value={stats.fps.toFixed(1)} />
              <Row term={t("bitrate")} value={t("kbps", round(stats.kbps))} />
              <Row term={t("dropped")} value={String(stats.dropped)} />
              <Row term={t("delay")} value={stats.delay === undefined ? "–" : t("ms", round(stats.delay)) + (stats.delaySince === "ingest" ? " *" : "")} />
              <Row term={t("way")} value={{ webcodecs: "WebCodecs", mse: "Media Source", webrtc: "WebRTC", "": "–" }[stats.way]} />
            </>
          ) : (
            <Row term={t("picture")} value={state.text || "–"} />
          )}
        </dl>
      ))}
      {remotes.length > 0 && <p class="quiet">{t("delayHelp")}</p>}
    </>
  );
}

function Row({ term, value }: { term: string; value: string }) {
  return (
    <div>
      <dt>{term}</dt>
      <dd>{value}</dd>
    </div>
  );
}

function Log({ call, t }: { call: Call; t: Text }) {
  const entries = call.journal.entries;
  return (
    <>
      <div class="log-head">
        <Copy text={call.journal.text()} t={t} label={t("copyLog")} />
      </div>
      {entries.length === 0 && <p class="empty">{t("noLog")}</p>}
      <ol class="log">
        {entries
          .slice(-200)
          .reverse()
          .map((e) => (
            <li key={`${e.at}${e.what}${e.detail}`}>
              <time>{new Date(e.at).toTimeString().slice(0, 8)}</time> <b>{e.what}</b> <span>{e.detail}</span>
            </li>
          ))}
      </ol>
    </>
  );
}
