import { ask, type Ban, type Forbidden } from "../client.js";
import { clock } from "../figure.js";
import { replaceQuery } from "../route.js";
import { may, useSession, type Session } from "../session.js";
import { useAct, type FormState } from "../part/act.js";
import { Field, FilterField, Filters, Select } from "../part/form.js";
import { BanFields, banFieldsOf, banText, useModerate } from "../part/moderate.js";
import { Empty } from "../part/notice.js";
import { Table, useList } from "../part/table.js";

const kinds = ["stream", "user", "room", "member", "ip", "grant", "session"] as const;

export function Bans({ query }: { query: URLSearchParams }) {
  const session = useSession();
  const { client, words, language, me } = session;
  const { act } = useAct();
  const filter = { app: query.get("app") ?? "", kind: (query.get("kind") ?? "") as Ban["kind"] | "", q: query.get("q") ?? "" };
  const list = useList<Ban>(
    async ({ sort, after, limit }) => {
      const { bans, next, missing } = await ask(
        client.GET("/api/v1/bans", { params: { query: { app: filter.app || undefined, kind: filter.kind || undefined, q: filter.q || undefined, sort: sort || undefined, after: after || undefined, limit } } }),
      );
      return { rows: bans, next, missing };
    },
    [client, filter],
  );
  const moderate = useModerate(list.live.refresh);
  const add = (): void => act({ ...adding(session), run: (values) => adding(session).run(values).finally(list.live.refresh) });
  return (
    <>
      {may(me, "operator") && (
        <div class="toolbar">
          <div class="actions">
            <button class="primary" onClick={add}>
              {words.forbidSomething}
            </button>
          </div>
        </div>
      )}
      <Filters>
        <FilterField label={words.name} value={filter.q} onChange={(q) => replaceQuery({ q })} />
        <FilterField label={words.app} value={filter.app} onChange={(app) => replaceQuery({ app })} />
        <Select label={words.kind} value={filter.kind} options={[["", words.allButRevoked], ...kinds.map((k): [string, string] => [k, words.kinds[k]])]} onChange={(kind) => replaceQuery({ kind })} />
      </Filters>
      <Table
        label={words.bans}
        list={list}
        id={(b) => b.id}
        empty={filter.app || filter.kind || filter.q ? <Empty title={words.noneMatch} icon="log" /> : <Empty title={words.noBans} icon="log">{words.noBansHint}</Empty>}
        columns={[
          { head: words.what, name: true, cell: (b) => banText(b, words) },
          { head: words.kind, sort: "kind", cell: (b) => words.kinds[b.kind] },
          { head: words.forbiddenActions, cell: (b) => actionsText(b, words) },
          { head: words.reason, cell: (b) => b.reason },
          { head: words.until, sort: "until", figure: true, cell: (b) => untilText(b, session) },
          {
            head: "",
            cell: (b) =>
              may(me, "operator", b.app ?? "") && (
                <span class="row-actions">
                  <button onClick={() => moderate.lift(b.id, banText(b, words))} aria-label={words.liftBan(banText(b, words))}>
                    {words.liftBanLabel}
                  </button>
                </span>
              ),
          },
        ]}
      />
    </>
  );

  function untilText(b: Ban, { language: l }: Session): string {
    const years = (Date.parse(b.until) - Date.now()) / (365 * 86_400_000);
    return years > 10 ? words.untilLifted : clock(b.until, l ?? language);
  }
}

function actionsText(b: Ban, words: Session["words"]): string {
  if (!b.action) return words.everything;
  return b.action
    .split("+")
    .map((a) => words.actions[a as "publish"] ?? a)
    .join(", ");
}

/** The fields that each kind of ban has beside its app. */
const fields: Record<string, ("stream" | "user" | "room" | "remote" | "grant" | "session")[]> = {
  stream: ["stream"],
  user: ["user"],
  room: ["room"],
  member: ["room", "user"],
  ip: ["remote"],
  grant: ["grant"],
  session: ["session"],
};

function adding({ client, words, me }: Session) {
  return {
    title: words.forbidSomething,
    text: words.forbidText,
    label: words.forbid,
    danger: true,
    reason: true,
    begin: { kind: "user", app: me.apps[0] ?? "", ttl: "24h", publish: "1", play: "1", login: "1" },
    fields: (form: FormState) => (
      <>
        <Select label={words.kind} value={form.values.kind!} options={kinds.map((k): [string, string] => [k, words.kinds[k]])} onChange={(v) => form.set("kind", v)} />
        <Field label={words.app} value={form.values.app ?? ""} onInput={(v) => form.set("app", v)} required={form.values.kind !== "ip"} hint={form.values.kind === "ip" ? words.allAppsHint : undefined} />
        {fields[form.values.kind!]!.map((name) => (
          <Field key={name} label={words.banFields[name]} value={form.values[name] ?? ""} onInput={(v) => form.set(name, v)} required />
        ))}
        <BanFields form={form} words={words} />
      </>
    ),
    run: async (values: Record<string, string>) => {
      const what: Forbidden = { app: values.app || undefined };
      for (const name of fields[values.kind!]!) what[name] = values[name];
      await ask(client.POST("/api/v1/bans", { body: { ...what, ...banFieldsOf(values) } }));
      return words.nowForbidden(banText(what, words));
    },
  };
}
