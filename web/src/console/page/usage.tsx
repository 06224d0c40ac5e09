import { ask, type Used } from "../client.js";
import { bytes, clock, span } from "../figure.js";
import { link, replaceQuery } from "../route.js";
import { useSession } from "../session.js";
import { FilterField, Filters, Select } from "../part/form.js";
import { Empty } from "../part/notice.js";
import { Table, useList } from "../part/table.js";

export function Usage({ query }: { query: URLSearchParams }) {
  const { client, words, language } = useSession();
  const of = (name: string): string => query.get(name) ?? "";
  const filter = { app: of("app"), stream: of("stream"), user: of("user"), room: of("room"), action: of("action") as Used["action"] | "" };
  const list = useList<Used>(
    async ({ sort, after, limit }) => {
      const set = Object.fromEntries(Object.entries(filter).filter(([, v]) => v !== ""));
      const { usage, next, missing } = await ask(client.GET("/api/v1/usage", { params: { query: { ...set, sort: sort || undefined, after: after || undefined, limit } } }));
      return { rows: usage, next, missing };
    },
    [client, filter],
    "-to",
    10,
  );
  return (
    <>
      <p class="quiet">{words.usageText}</p>
      <Filters>
        <FilterField label={words.app} value={filter.app} onChange={(app) => replaceQuery({ app })} />
        <FilterField label={words.stream} value={filter.stream} onChange={(stream) => replaceQuery({ stream })} />
        <FilterField label={words.user} value={filter.user} onChange={(user) => replaceQuery({ user })} />
        <FilterField label={words.room} value={filter.room} onChange={(room) => replaceQuery({ room })} />
        <Select label={words.action} value={filter.action} options={[["", words.all], ...(["publish", "play"] as const).map((a): [string, string] => [a, words.actions[a]])]} onChange={(action) => replaceQuery({ action })} />
      </Filters>
      <Table
        label={words.usage}
        list={list}
        id={(u) => [u.app, u.stream, u.user, u.room, u.action, u.to, u.node].join(" ")}
        empty={Object.values(filter).some(Boolean) ? <Empty title={words.noneMatch} icon="statistics" /> : <Empty title={words.noUsage} icon="statistics">{words.noUsageHint}</Empty>}
        columns={[
          { head: words.interval, sort: "to", cell: (u) => `${clock(u.from, language)} – ${clock(u.to, language)}` },
          {
            head: words.stream,
            name: true,
            cell: (u) => (
              <a href={link(["streams", u.app, u.stream])}>
                <span class="quiet">{u.app} /</span> {u.stream}
              </a>
            ),
          },
          { head: words.action, cell: (u) => words.actions[u.action] },
          { head: words.user, cell: (u) => u.user },
          { head: words.room, cell: (u) => u.room },
          { head: words.amount, sort: "bytes", figure: true, cell: (u) => bytes(u.bytes, language) },
          { head: words.duration, sort: "seconds", figure: true, cell: (u) => span(u.seconds, language) },
          { head: words.node, cell: (u) => u.node },
        ]}
      />
    </>
  );
}
