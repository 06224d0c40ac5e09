import { ask, type Room } from "../client.js";
import { count } from "../figure.js";
import { link, replaceQuery } from "../route.js";
import { useSession } from "../session.js";
import { FilterField, Filters } from "../part/form.js";
import { Empty } from "../part/notice.js";
import { Table, useList } from "../part/table.js";

export function Rooms({ query }: { query: URLSearchParams }) {
  const { client, words, language } = useSession();
  const filter = { app: query.get("app") ?? "", q: query.get("q") ?? "" };
  const list = useList<Room>(
    async ({ sort, after, limit }) => {
      const { rooms, next, missing } = await ask(client.GET("/api/v1/rooms", { params: { query: { app: filter.app || undefined, q: filter.q || undefined, sort: sort || undefined, after: after || undefined, limit } } }));
      return { rows: rooms, next, missing };
    },
    [client, filter],
    "-users",
  );
  return (
    <>
      <Filters>
        <FilterField label={words.name} value={filter.q} onChange={(q) => replaceQuery({ q })} />
        <FilterField label={words.app} value={filter.app} onChange={(app) => replaceQuery({ app })} />
      </Filters>
      <Table
        label={words.rooms}
        list={list}
        id={(r) => `${r.app}/${r.room}`}
        empty={filter.app || filter.q ? <Empty title={words.noneMatch} /> : <Empty title={words.noRooms} icon="people">{words.noRoomsHint}</Empty>}
        columns={[
          {
            head: words.room,
            sort: "room",
            name: true,
            cell: (r) => (
              <a href={link(["rooms", r.app, r.room])}>
                <span class="quiet">{r.app} /</span> {r.room}
              </a>
            ),
          },
          { head: words.members, sort: "users", figure: true, cell: (r) => count(r.users, language) },
          { head: words.sessions, figure: true, cell: (r) => count(r.sessions, language) },
          { head: words.streams, sort: "streams", figure: true, cell: (r) => count(r.streams, language) },
        ]}
      />
    </>
  );
}
