import { useMemo, useState } from "preact/hooks";
import { ask, type Sample } from "../client.js";
import { count, rate } from "../figure.js";
import { useLive } from "../live.js";
import { may, useSession } from "../session.js";
import { link } from "../route.js";
import { Chart } from "../part/chart.js";
import { Select } from "../part/form.js";
import { Empty, Freshness, Loading, Panel } from "../part/notice.js";
import { Rows } from "../part/table.js";
import { Alerts, NodeState } from "../part/state.js";

/** How far back the charts go, minutes; 90 to 360 points. */
const ranges = [15, 60, 360];

export function Overview() {
  const { client, words, language, me } = useSession();
  const [minutes, setMinutes] = useState(60);
  const [app, setApp] = useState("");
  const now = useLive(async () => {
    const [nodes, apps, alerted] = await Promise.all([
      ask(client.GET("/api/v1/nodes")),
      ask(client.GET("/api/v1/apps")),
      ask(client.GET("/api/v1/streams", { params: { query: { alert: true, limit: 20, sort: "-viewers" } } })),
    ]);
    return { nodes: nodes.nodes, apps: apps.apps, alerted: alerted.streams, missing: nodes.missing };
  }, [client]);
  const past = useLive(() => ask(client.GET("/api/v1/history", { params: { query: { minutes, points: 360, app: app || undefined } } })), [client, minutes, app], 10, true);
  if (!now.data) return now.failure ? <Freshness live={now} /> : <Loading />;
  const { nodes, apps, alerted, missing } = now.data;
  const sum = <T,>(of: T[], figure: (one: T) => number): number => of.reduce((total, one) => total + figure(one), 0);
  const streams = sum(apps, (a) => a.streams);
  const ready = nodes.filter((n) => n.state === "ready").length;
  const out = past.data?.history.at(-1)?.out_kbps;
  return (
    <>
      <Freshness live={now} missing={missing} />
      <dl class="tiles">
        <Tile term={words.nodes} to={link(["nodes"])} value={`${ready} / ${nodes.length}`} note={words.ready} />
        <Tile term={words.streams} to={link(["streams"])} value={count(streams, language)} />
        <Tile term={words.players} to={link(["players"])} value={count(sum(apps, (a) => a.players), language)} />
        <Tile term={words.rooms} to={link(["rooms"])} value={count(sum(apps, (a) => a.rooms), language)} note={words.memberCount(count(sum(nodes, (n) => n.members), language))} />
        <Tile term={words.fromPublishers} value={rate(sum(apps, (a) => a.bitrate_kbps), language)} />
        <Tile term={words.toPlayers} value={out === undefined ? "–" : rate(out, language)} />
      </dl>
      {streams === 0 && (
        <Empty title={words.nothingLive}>
          {may(me, "operator") ? <a href={link(["sign"])}>{words.signToPublish}</a> : words.askToPublish}
        </Empty>
      )}
      {alerted.length > 0 && (
        <Panel id="alerted" title={words.alertsNow}>
          <ul class="alerted">
            {alerted.map((s) => (
              <li key={`${s.app}/${s.stream}`}>
                <a href={link(["streams", s.app, s.stream])}>
                  <span class="quiet">{s.app} /</span> {s.stream}
                </a>
                <Alerts of={s.alerts} />
              </li>
            ))}
          </ul>
        </Panel>
      )}
      <Panel
        id="past"
        title={words.past}
        actions={
          <>
            {apps.length > 1 && <Select label={words.app} value={app} options={[["", words.all], ...apps.map((a): [string, string] => [a.app, a.app])]} onChange={setApp} />}
            <Select label={words.range} value={String(minutes)} options={ranges.map((m) => [String(m), m < 60 ? words.minutes(m) : words.hours(m / 60)])} onChange={(m) => setMinutes(Number(m))} />
          </>
        }
      >
        <Freshness live={past} />
        {past.data && <Charts samples={past.data.history} step={past.data.step} minutes={minutes} />}
      </Panel>
      <div class="columns">
        <Panel id="nodes" title={words.nodes}>
          <Rows
            label={words.nodes}
            rows={nodes}
            id={(n) => n.id}
            columns={[
              { head: words.node, name: true, cell: (n) => n.id },
              { head: words.state, cell: (n) => <NodeState node={n} /> },
              { head: words.streams, figure: true, cell: (n) => count(n.streams, language) },
              { head: words.players, figure: true, cell: (n) => count(n.players, language) },
              { head: words.bitrate, figure: true, cell: (n) => rate(n.bitrate_kbps, language) },
            ]}
          />
        </Panel>
        <Panel id="apps" title={words.apps}>
          <Rows
            label={words.apps}
            rows={apps}
            id={(a) => a.app}
            columns={[
              { head: words.app, name: true, cell: (a) => <a href={link(["streams"], { app: a.app })}>{a.app}</a> },
              { head: words.publishPolicy, cell: (a) => a.publish },
              { head: words.playPolicy, cell: (a) => a.play },
              { head: words.streams, figure: true, cell: (a) => count(a.streams, language) },
              { head: words.players, figure: true, cell: (a) => count(a.players, language) },
            ]}
          />
        </Panel>
      </div>
    </>
  );
}

function Tile({ term, value, note, to }: { term: string; value: string; note?: string; to?: string }) {
  return (
    <div>
      <dt>{to ? <a href={to}>{term}</a> : term}</dt>
      <dd>
        {value} {note && <small>{note}</small>}
      </dd>
    </div>
  );
}

function Charts({ samples, step, minutes }: { samples: Sample[]; step: number; minutes: number }) {
  const { words, language } = useSession();
  const { times, at } = useMemo(() => spread(samples, step, minutes), [samples, step, minutes]);
  const lines = useMemo(() => {
    const values = (of: (s: Sample) => number): number[] => at.map((s) => (s ? of(s) : (null as unknown as number)));
    return {
      people: [
        { label: words.players, values: values((s) => s.players) },
        { label: words.members, values: values((s) => s.members) },
      ],
      bitrate: [
        { label: words.toPlayers, values: values((s) => s.out_kbps) },
        { label: words.fromPublishers, values: values((s) => s.in_kbps) },
      ],
      streams: [{ label: words.streams, values: values((s) => s.streams) }],
    };
  }, [at, words]);
  if (samples.length === 0) return <Empty title={words.noPast} icon="statistics" />;
  const whole = (n: number): string => count(Math.round(n), language);
  return (
    <div class="charts">
      <Chart title={words.people} times={times} lines={lines.people} figure={whole} whole />
      <Chart title={words.bitrate} times={times} lines={lines.bitrate} figure={(n) => rate(Math.round(n), language)} />
      <Chart title={words.streams} times={times} lines={lines.streams} figure={whole} whole />
    </div>
  );
}

/**
 * Each step of the range with its sample: a time of which nothing is known is a gap in the line.
 */
function spread(samples: Sample[], step: number, minutes: number): { times: number[]; at: (Sample | undefined)[] } {
  const known = new Map(samples.map((s) => [Date.parse(s.time) / 1000, s]));
  const last = Date.parse(samples.at(-1)?.time ?? "") / 1000 || 0;
  const times: number[] = [];
  for (let t = last - minutes * 60 + step; t <= last; t += step) times.push(t);
  return { times, at: times.map((t) => known.get(t)) };
}
