import { ask, type Change } from "../client.js";
import { clock } from "../figure.js";
import { replaceQuery } from "../route.js";
import { useSession } from "../session.js";
import { FilterField, Filters } from "../part/form.js";
import { Badge, Empty } from "../part/notice.js";
import { Table, useList } from "../part/table.js";

export function Audit({ query }: { query: URLSearchParams }) {
  const { client, words, language } = useSession();
  const of = (name: string): string => query.get(name) ?? "";
  const filter = { who: of("who"), operation: of("operation"), app: of("app") };
  const list = useList<Change>(
    async ({ sort, after, limit }) => {
      const set = Object.fromEntries(Object.entries(filter).filter(([, v]) => v !== ""));
      const { audit, next, missing } = await ask(client.GET("/api/v1/audit", { params: { query: { ...set, sort: sort || undefined, after: after || undefined, limit } } }));
      return { rows: audit, next, missing };
    },
    [client, filter],
    "-time",
    5,
  );
  return (
    <>
      <Filters>
        <FilterField label={words.who} value={filter.who} onChange={(who) => replaceQuery({ who })} />
        <FilterField label={words.operation} value={filter.operation} onChange={(operation) => replaceQuery({ operation })} />
        <FilterField label={words.app} value={filter.app} onChange={(app) => replaceQuery({ app })} />
      </Filters>
      <Table
        label={words.audit}
        list={list}
        id={(c) => `${c.node} ${c.id} ${c.time}`}
        empty={Object.values(filter).some(Boolean) ? <Empty title={words.noneMatch} icon="log" /> : <Empty title={words.noAudit} icon="log">{words.noAuditHint}</Empty>}
        columns={[
          { head: words.time, sort: "time", cell: (c) => <time dateTime={c.time}>{clock(c.time, language)}</time> },
          {
            head: words.who,
            sort: "who",
            name: true,
            cell: (c) => (
              <>
                {c.who} <small class="quiet">{words.roles[c.role as "viewer"] ?? c.role}</small>
              </>
            ),
          },
          { head: words.operation, cell: (c) => words.operations[c.operation as "drain"] ?? c.operation },
          { head: words.what, cell: (c) => [c.app, c.what].filter(Boolean).join(": ") },
          { head: words.reason, cell: (c) => c.reason },
          { head: words.outcome, cell: (c) => <Badge kind={c.status < 300 ? "good" : "bad"}>{c.status < 300 ? words.done : `${words.refusedOutcome} (${c.status})`}</Badge> },
          { head: words.address, cell: (c) => c.remote },
          { head: words.node, cell: (c) => c.node },
        ]}
      />
    </>
  );
}
