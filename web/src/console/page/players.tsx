import { ask, type Forbidden, type Player } from "../client.js";
import { ago, bytes, count, rate } from "../figure.js";
import { link, replaceQuery } from "../route.js";
import { useSession } from "../session.js";
import { FilterField, Filters, Select } from "../part/form.js";
import { useModerate } from "../part/moderate.js";
import { Empty } from "../part/notice.js";
import { Table, useList, type Column } from "../part/table.js";
import { BundleLink } from "./bundle.js";

interface Filter {
  app?: string;
  stream?: string;
  user?: string;
  room?: string;
  protocol?: string;
}

const protocols = ["rtmp", "rtmps", "http-flv", "ws-flv", "whep", "node"];

export function Players({ query }: { query: URLSearchParams }) {
  const { words } = useSession();
  const of = (name: string): string => query.get(name) ?? "";
  const filter = { app: of("app"), stream: of("stream"), user: of("user"), room: of("room"), protocol: of("protocol") };
  return (
    <>
      <Filters>
        <FilterField label={words.app} value={filter.app} onChange={(app) => replaceQuery({ app })} />
        <FilterField label={words.stream} value={filter.stream} onChange={(stream) => replaceQuery({ stream })} />
        <FilterField label={words.user} value={filter.user} onChange={(user) => replaceQuery({ user })} />
        <FilterField label={words.room} value={filter.room} onChange={(room) => replaceQuery({ room })} />
        <Select label={words.protocol} value={filter.protocol} options={[["", words.all], ...protocols.map((p): [string, string] => [p, p])]} onChange={(protocol) => replaceQuery({ protocol })} />
      </Filters>
      <PlayerTable {...filter} everywhere />
    </>
  );
}

/** Players that a filter chooses; everywhere: of all streams, so each says of which. */
export function PlayerTable({ everywhere, ...filter }: Filter & { everywhere?: boolean }) {
  const { client, words, language } = useSession();
  const list = useList<Player>(
    async ({ sort, after, limit }) => {
      const set = Object.fromEntries(Object.entries(filter).filter(([, v]) => v));
      const { players, next, missing } = await ask(client.GET("/api/v1/players", { params: { query: { ...set, sort: sort || undefined, after: after || undefined, limit } } }));
      return { rows: players, next, missing };
    },
    [client, filter],
    "-since",
  );
  const moderate = useModerate(list.live.refresh);
  const offers = (p: Player): Forbidden[] => [...(p.user ? [{ app: p.app, user: p.user }] : []), ...(p.remote ? [{ app: p.app, remote: p.remote }] : [])];
  const columns: Column<Player>[] = [
    {
      head: words.user,
      sort: "user",
      name: true,
      cell: (p) => (
        <>
          {p.user || <span class="quiet">{words.noName}</span>} <small class="under">{p.remote}</small>
        </>
      ),
    },
    {
      head: words.protocol,
      cell: (p) => (
        <span>
          {p.protocol}{" "}
          {p.user_agent && (
            <small class="under program" title={p.user_agent}>
              {p.user_agent}
            </small>
          )}
        </span>
      ),
    },
    { head: words.backlog, sort: "backlog_ms", figure: true, cell: (p) => `${count(p.backlog_ms, language)} ms` },
    {
      head: words.delay,
      sort: "delay_ms",
      figure: true,
      cell: (p) => p.delay_ms !== undefined && <span title={p.delay_since && words.delays[p.delay_since]}>{count(Math.round(p.delay_ms), language)} ms</span>,
    },
    { head: words.dropped, sort: "dropped", figure: true, cell: (p) => droppedText(p, language) },
    {
      head: words.bitrate,
      sort: "bitrate_kbps",
      figure: true,
      cell: (p) => (
        <span>
          {rate(p.bitrate_kbps, language)} <small class="under">{bytes(p.bytes, language)}</small>
        </span>
      ),
    },
    { head: words.since, sort: "since", figure: true, cell: (p) => ago(p.since, language) },
    { head: words.node, cell: (p) => p.node },
    {
      head: "",
      cell: (p) =>
        moderate.allowed(p.app) && (
          <span class="row-actions">
            <button onClick={() => moderate.endPlayer(p)} aria-label={words.endPlayer(p.user ?? p.remote ?? p.id)}>
              {words.end}
            </button>
            {offers(p).length > 0 && (
              <button onClick={() => moderate.forbid(offers(p))} aria-label={`${words.forbid}: ${p.user ?? p.remote}`}>
                {words.forbid}…
              </button>
            )}
            {p.protocol !== "whep" && <BundleLink connection={p.id} node={p.node} name={p.user ?? p.remote ?? p.id} />}
          </span>
        ),
    },
  ];
  if (everywhere)
    columns.unshift({
      head: words.stream,
      name: true,
      cell: (p) => (
        <a href={link(["streams", p.app, p.stream])}>
          <span class="quiet">{p.app} /</span> {p.stream}
        </a>
      ),
    });
  const filtered = everywhere && Object.values(filter).some(Boolean);
  return <Table label={words.players} list={list} id={(p) => p.id} columns={columns} empty={<Empty title={filtered ? words.noneMatch : words.nobodyPlays} icon="people" />} />;
}

/** Messages that were not sent, by reason where there are any. */
function droppedText(p: Player, language: "en" | "zh"): string {
  const by = Object.entries(p.dropped).filter(([, n]) => n > 0);
  return by.length === 0 ? "0" : by.map(([reason, n]) => `${count(n, language)} ${reason}`).join(", ");
}
