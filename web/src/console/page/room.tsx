import { ask, type Member, type Report, type RoomStream } from "../client.js";
import { ago, clock, count } from "../figure.js";
import { useLive } from "../live.js";
import { link } from "../route.js";
import { useSession } from "../session.js";
import { useModerate } from "../part/moderate.js";
import { Badge, Empty, Facts, Freshness, Loading, Panel } from "../part/notice.js";
import { Rows } from "../part/table.js";
import { BundleLink } from "./bundle.js";

export function RoomPage({ app, room }: { app: string; room: string }) {
  const { client, words, language } = useSession();
  const live = useLive(() => ask(client.GET("/api/v1/rooms/{app}/{room}", { params: { path: { app, room } } })), [client, app, room], 2);
  const moderate = useModerate(live.refresh);
  const gone = live.failure?.status === 404;
  if (!live.data && !gone) return live.failure ? <Freshness live={live} /> : <Loading />;
  const r = live.data;
  if (!r || gone) {
    return (
      <Empty title={words.roomGone} icon="people">
        <a href={link(["rooms"])}>{words.allRooms}</a>
      </Empty>
    );
  }
  return (
    <>
      <Freshness live={live} missing={r.missing} />
      {moderate.allowed(app) && (
        <div class="toolbar">
          <div class="actions">
            <button onClick={() => moderate.message(app, room, [])}>{words.messageAllLabel}</button>
            <button onClick={() => moderate.forbid([{ app, room }])}>{words.forbid}…</button>
            <button class="danger" onClick={() => moderate.closeRoom(app, room)}>
              {words.closeRoomLabel}
            </button>
          </div>
        </div>
      )}
      <Facts
        label={words.room}
        rows={[
          [words.members, count(r.users, language)],
          [words.sessions, count(r.sessions, language)],
          [words.since, `${clock(r.since, language)} (${ago(r.since, language)})`],
          [words.happened, <a href={link(["events"], { app, room })}>{words.itsEvents}</a>],
        ]}
      />
      <Members app={app} room={room} members={r.members} moderate={moderate} />
      <RoomStreams app={app} streams={r.streams} />
      {r.extra_info.length > 0 && (
        <Panel id="extra" title={words.extraInfo}>
          <Rows
            label={words.extraInfo}
            rows={r.extra_info}
            id={(e) => e.key}
            columns={[
              { head: words.key, name: true, cell: (e) => e.key },
              { head: words.value, cell: (e) => e.value },
              { head: words.user, cell: (e) => e.user },
              { head: words.since, figure: true, cell: (e) => ago(e.since, language) },
            ]}
          />
        </Panel>
      )}
    </>
  );
}

interface MembersProps {
  app: string;
  room: string;
  members: Member[];
  moderate: ReturnType<typeof useModerate>;
}

function Members({ app, room, members, moderate }: MembersProps) {
  const { words, language } = useSession();
  return (
    <Panel id="members" title={words.members}>
      {members.length === 0 ? (
        <Empty title={words.nobodyThere} icon="people" />
      ) : (
        <Rows
          label={words.members}
          rows={members}
          id={(m) => m.user}
          columns={[
            {
              head: words.user,
              name: true,
              cell: (m) => (
                <>
                  {m.user} {m.name && m.name !== m.user && <small class="quiet">{m.name}</small>}
                </>
              ),
            },
            {
              head: words.state,
              cell: (m) => (m.device ? <Badge kind="quiet">{words.device}</Badge> : <Badge kind={m.connected ? "good" : "warn"}>{m.connected ? words.connected : words.lost}</Badge>),
            },
            { head: words.address, cell: (m) => m.remote },
            { head: words.node, cell: (m) => m.node },
            { head: words.since, figure: true, cell: (m) => m.since && ago(m.since, language) },
            { head: words.reports, cell: (m) => (m.reports?.length ? <Reports of={m.reports} /> : <span class="quiet">–</span>) },
            {
              head: "",
              cell: (m) =>
                moderate.allowed(app) && (
                  <span class="row-actions">
                    <button onClick={() => moderate.message(app, room, [m.user])} aria-label={words.messageTo(m.user)}>
                      {words.messageLabel}
                    </button>
                    <button onClick={() => moderate.throwOut(app, room, m)} aria-label={words.throwOut(m.user)}>
                      {words.throwOutLabel}
                    </button>
                    <button onClick={() => moderate.forbid([{ app, room, user: m.user }, { app, user: m.user }, ...(m.remote ? [{ app, remote: m.remote }] : [])])} aria-label={`${words.forbid}: ${m.user}`}>
                      {words.forbid}…
                    </button>
                    {m.connected && <BundleLink connection={`${app}/${room}/${m.user}`} node={m.node} name={m.user} />}
                  </span>
                ),
            },
          ]}
        />
      )}
    </Panel>
  );
}

/** What a member's client says of the streams that it publishes and plays. */
function Reports({ of }: { of: Report[] }) {
  const { words, language } = useSession();
  return (
    <ul class="reports">
      {of.map((r) => (
        <li key={`${r.action}${r.stream}`}>
          {r.action === "publish" ? "↑" : "↓"}
          <span class="visually-hidden">{words.actions[r.action]}</span> {r.stream} <small class="quiet">{[r.state, r.message, figuresOf(r.video), figuresOf(r.audio), figuresOf(r.net), r.delay_ms !== undefined && `${words.delay} ${Math.round(r.delay_ms)} ms`, ago(r.time, language)].filter(Boolean).join(" · ")}</small>
        </li>
      ))}
    </ul>
  );
}

/** A client's figures: whatever it says, by its own names. */
function figuresOf(value: unknown): string {
  if (typeof value !== "object" || value === null) return "";
  return Object.entries(value)
    .filter(([, v]) => typeof v === "number" || typeof v === "string")
    .map(([name, v]) => `${name} ${v}`)
    .join(", ");
}

function RoomStreams({ app, streams }: { app: string; streams: RoomStream[] }) {
  const { words, language } = useSession();
  return (
    <Panel id="room-streams" title={words.streams}>
      {streams.length === 0 ? (
        <Empty title={words.noStreamsHere} />
      ) : (
        <Rows
          label={words.streams}
          rows={streams}
          id={(s) => s.stream}
          columns={[
            { head: words.stream, name: true, cell: (s) => <a href={link(["streams", app, s.stream])}>{s.stream}</a> },
            { head: words.state, cell: (s) => <Badge kind={s.live ? "good" : "warn"}>{s.live ? words.streamStates.live : words.announced}</Badge> },
            { head: words.user, cell: (s) => s.user },
            { head: words.node, cell: (s) => s.node },
            { head: words.extraInfo, cell: (s) => s.extra_info },
            { head: words.since, figure: true, cell: (s) => ago(s.since, language) },
          ]}
        />
      )}
    </Panel>
  );
}
