import { ask, type Forbidden, type Standby, type Stream } from "../client.js";
import { ago, bytes, clock, count, rate } from "../figure.js";
import { useLive } from "../live.js";
import { link } from "../route.js";
import { useSession } from "../session.js";
import { useModerate } from "../part/moderate.js";
import { Badge, Empty, Facts, Freshness, Loading, Panel } from "../part/notice.js";
import { StreamState } from "../part/state.js";
import { Rows } from "../part/table.js";
import { BundleLink } from "./bundle.js";
import { PlayerTable } from "./players.js";
import { Preview } from "./preview.js";
import { pictureText } from "./streams.js";

export function StreamPage({ app, stream }: { app: string; stream: string }) {
  const { client, words } = useSession();
  const live = useLive(() => ask(client.GET("/api/v1/streams/{app}/{stream}", { params: { path: { app, stream } } })), [client, app, stream], 2);
  const moderate = useModerate(live.refresh);
  const gone = live.failure?.status === 404;
  if (!live.data && !gone) return live.failure ? <Freshness live={live} /> : <Loading />;
  const s = live.data;
  if (!s || gone) {
    return (
      <Empty title={words.streamGone}>
        <a href={link(["streams"])}>{words.allStreams}</a>
        {moderate.allowed(app) && (
          <>
            {" · "}
            <a href={link(["sign"], { app, stream })}>{words.signToPublish}</a>
          </>
        )}
      </Empty>
    );
  }
  const p = s.publisher;
  const offers: Forbidden[] = [{ app, stream }];
  if (p.user) offers.push({ app, user: p.user });
  if (p.remote) offers.push({ app, remote: p.remote });
  return (
    <>
      <Freshness live={live} missing={s.missing} />
      <div class="toolbar">
        <StreamState state={s.state} />
        {moderate.allowed(app) && (
          <div class="actions">
            <a class="button" href={link(["sign"], { app, stream })}>
              {words.signURL}
            </a>
            {p.protocol !== "whip" && <BundleLink connection={`${app}/${stream}`} node={s.node} name={stream} />}
            <button onClick={() => moderate.endPublisher(s)}>{words.endPublisherLabel}</button>
            <button class="danger" onClick={() => moderate.forbid(offers)}>
              {words.forbid}…
            </button>
          </div>
        )}
      </div>
      <div class="columns">
        <Preview app={app} stream={stream} />
        <div>
          <AlertPanel of={s} />
          <MediaPanel s={s} />
        </div>
      </div>
      <div class="columns">
        <PublisherPanel s={s} />
        <CarrierPanel s={s} />
      </div>
      {(s.standby?.length ?? 0) > 0 && <StandbyPanel of={s.standby!} />}
      <Panel id="stream-players" title={words.players}>
        <PlayerTable app={app} stream={stream} />
      </Panel>
    </>
  );
}

function AlertPanel({ of }: { of: Stream }) {
  const { words, language } = useSession();
  return (
    <Panel id="quality" title={words.quality}>
      {of.alerts.length === 0 ? (
        <p class="fine">{words.nothingWrong}</p>
      ) : (
        <ul class="alerts">
          {of.alerts.map((a) => (
            <li key={a.kind}>
              <Badge kind="bad">{words.alerts[a.kind]}</Badge> <small class="quiet">{ago(a.since, language)}</small>
              <p>{words.alertTexts[a.kind]}</p>
            </li>
          ))}
        </ul>
      )}
    </Panel>
  );
}

function MediaPanel({ s }: { s: Stream }) {
  const { words, language } = useSession();
  return (
    <Panel id="media" title={words.media}>
      <Facts
        label={words.media}
        rows={[
          [words.video, s.video && [s.video.codec, pictureText(s)].filter(Boolean).join(", ")],
          [words.audio, s.audio?.codec],
          [words.bitrate, rate(s.bitrate_kbps, language)],
          [words.gop, s.gop_ms === undefined ? "" : `${count(s.gop_ms, language)} ms`],
          [words.drift, `${count(s.drift_ms, language)} ms`],
          [words.viewers, protocolsText(s)],
          [words.received, bytes(s.bytes_in, language)],
          [words.sent, bytes(s.bytes_out, language)],
          [words.epoch, String(s.epoch)],
        ]}
      />
    </Panel>
  );
}

function protocolsText(s: Stream): string {
  const by = Object.entries(s.protocols).map(([protocol, n]) => `${n} ${protocol}`);
  return by.length > 0 ? `${s.viewers} (${by.join(", ")})` : String(s.viewers);
}

function PublisherPanel({ s }: { s: Stream }) {
  const { words, language } = useSession();
  const p = s.publisher;
  return (
    <Panel id="publisher" title={words.publisher}>
      <Facts
        label={words.publisher}
        rows={[
          [words.user, p.user],
          [words.room, p.room && <a href={link(["rooms", s.app, p.room])}>{p.room}</a>],
          [words.protocol, p.protocol],
          [words.address, p.remote],
          [words.program, p.user_agent],
          [words.since, `${clock(p.since, language)} (${ago(p.since, language)})`],
          [words.happened, <a href={link(["events"], { stream: s.stream, app: s.app })}>{words.itsEvents}</a>],
        ]}
      />
    </Panel>
  );
}

/** Who else publishes the stream, and goes on with it when the live one ends: in the order in which they are taken. */
function StandbyPanel({ of }: { of: Standby[] }) {
  const { words, language } = useSession();
  return (
    <Panel id="standby" title={words.standby}>
      <p class="quiet">{words.standbyText}</p>
      <Rows
        label={words.standby}
        rows={[...of].sort((a, b) => a.rank - b.rank || a.since.localeCompare(b.since))}
        id={(p) => `${p.node} ${p.remote} ${p.since}`}
        columns={[
          { head: words.rank, figure: true, cell: (p) => p.rank },
          {
            head: words.publisher,
            name: true,
            cell: (p) => (
              <>
                {p.user || <span class="quiet">{words.noName}</span>} <small class="under">{p.remote}</small>
              </>
            ),
          },
          { head: words.state, cell: (p) => <Badge kind={p.ready ? "good" : "warn"}>{p.ready ? words.standsBy : words.notReady}</Badge> },
          {
            head: words.protocol,
            cell: (p) => (
              <span>
                {p.protocol} {p.user_agent && <small class="under program">{p.user_agent}</small>}
              </span>
            ),
          },
          { head: words.since, figure: true, cell: (p) => ago(p.since, language) },
          { head: words.node, cell: (p) => p.node },
        ]}
      />
    </Panel>
  );
}

function CarrierPanel({ s }: { s: Stream }) {
  const { words, language } = useSession();
  return (
    <Panel id="carriers" title={words.carriers}>
      <Rows
        label={words.carriers}
        rows={s.carriers}
        id={(c) => c.node}
        columns={[
          {
            head: words.node,
            name: true,
            cell: (c) => (
              <>
                {c.node} {c.node === s.node && <Badge kind="quiet">{words.origin}</Badge>}
              </>
            ),
          },
          { head: words.since, figure: true, cell: (c) => ago(c.since, language) },
        ]}
      />
    </Panel>
  );
}
