import { ask, type Stream } from "../client.js";
import { ago, count, rate } from "../figure.js";
import { link, replaceQuery } from "../route.js";
import { may, useSession } from "../session.js";
import { Check, FilterField, Filters, Select } from "../part/form.js";
import { Empty } from "../part/notice.js";
import { Alerts, StreamState } from "../part/state.js";
import { Table, useList } from "../part/table.js";

export function Streams({ query }: { query: URLSearchParams }) {
  const { client, words, language, me } = useSession();
  const of = (name: string): string => query.get(name) ?? "";
  const filter = { app: of("app"), q: of("q"), user: of("user"), room: of("room"), state: of("state") as Stream["state"] | "", alert: of("alert") };
  const list = useList<Stream>(
    async ({ sort, after, limit }) => {
      const set = Object.fromEntries(Object.entries(filter).filter(([, v]) => v !== ""));
      const { streams, next, missing } = await ask(client.GET("/api/v1/streams", { params: { query: { ...set, alert: filter.alert === "true", sort: sort || undefined, after: after || undefined, limit } } }));
      return { rows: streams, next, missing };
    },
    [client, filter],
    "-viewers",
  );
  const filtered = Object.values(filter).some(Boolean);
  return (
    <>
      <Filters>
        <FilterField label={words.name} value={filter.q} onChange={(q) => replaceQuery({ q })} />
        <FilterField label={words.app} value={filter.app} onChange={(app) => replaceQuery({ app })} />
        <FilterField label={words.user} value={filter.user} onChange={(user) => replaceQuery({ user })} />
        <FilterField label={words.room} value={filter.room} onChange={(room) => replaceQuery({ room })} />
        <Select label={words.state} value={filter.state} options={[["", words.all], ...(["live", "idle", "waiting"] as const).map((s): [string, string] => [s, words.streamStates[s]])]} onChange={(state) => replaceQuery({ state })} />
        <Check label={words.withAlert} checked={filter.alert === "true"} onChange={(on) => replaceQuery({ alert: on ? "true" : "" })} />
      </Filters>
      <Table
        label={words.streams}
        list={list}
        id={(s) => `${s.app}/${s.stream}`}
        empty={
          filtered ? (
            <Empty title={words.noneMatch} />
          ) : (
            <Empty title={words.nothingLive}>{may(me, "operator") ? <a href={link(["sign"])}>{words.signToPublish}</a> : words.askToPublish}</Empty>
          )
        }
        columns={[
          {
            head: words.stream,
            sort: "stream",
            name: true,
            cell: (s) => (
              <a href={link(["streams", s.app, s.stream])}>
                <span class="quiet">{s.app} /</span> {s.stream}
              </a>
            ),
          },
          {
            head: words.state,
            cell: (s) => (
              <>
                <StreamState state={s.state} /> <Alerts of={s.alerts} />
              </>
            ),
          },
          { head: words.publisher, sort: "user", cell: (s) => s.publisher.user ?? s.publisher.remote },
          { head: words.picture, cell: (s) => pictureText(s) },
          { head: words.bitrate, sort: "bitrate_kbps", figure: true, cell: (s) => rate(s.bitrate_kbps, language) },
          { head: words.viewers, sort: "viewers", figure: true, cell: (s) => count(s.viewers, language) },
          { head: words.since, sort: "since", figure: true, cell: (s) => ago(s.publisher.since, language) },
          { head: words.origin, cell: (s) => s.node },
        ]}
      />
    </>
  );
}

/** Size and frame rate. */
export function pictureText({ video }: Stream): string {
  if (!video?.codec) return "";
  const size = video.width ? `${video.width} × ${video.height}` : video.codec;
  return video.frame_rate ? `${size}, ${Math.round(video.frame_rate)}/s` : size;
}
