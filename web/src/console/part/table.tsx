// A list that the server filters, sorts and pages. On a phone each row is a card.
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { useSession } from "../session.js";
import { useLive, type Live } from "../live.js";
import { Freshness, Loading } from "./notice.js";

export interface Column<T> {
  head: string;
  cell(row: T): ComponentChildren;
  /** The property that the server sorts by. */
  sort?: string;
  /** Figures stand at the right. */
  figure?: boolean;
  /** The row's name, its first column. */
  name?: boolean;
}

export interface Listed<T> {
  rows: T[];
  next?: string;
  missing?: string[] | null;
}

/** What a list asks the server for. */
export interface Wish {
  sort: string;
  after: string;
  limit: number;
}

const rowsOfPage = 50;

/** Asks for a page of a list; the rest of its state is where it stands. */
export function useList<T>(ask: (wish: Wish) => Promise<Listed<T>>, needs: unknown[], sorted = "", seconds = 3) {
  const [sort, setSort] = useState(sorted);
  // Where each page before this one began: the server knows only the way forward.
  const [begun, setBegun] = useState<{ of: string; after: string[] }>({ of: "", after: [""] });
  const of = JSON.stringify([needs, sort]);
  const after = begun.of === of ? begun.after : [""];
  const live = useLive(() => ask({ sort, after: after.at(-1)!, limit: rowsOfPage }), [of, after.length], seconds);
  return {
    live,
    sort,
    setSort,
    page: after.length,
    forward: live.data?.next ? () => setBegun({ of, after: [...after, live.data!.next!] }) : undefined,
    back: after.length > 1 ? () => setBegun({ of, after: after.slice(0, -1) }) : undefined,
  };
}

interface Props<T> {
  list: { live: Live<Listed<T>>; sort: string; setSort(to: string): void; page: number; forward?: () => void; back?: () => void };
  columns: Column<T>[];
  id(row: T): string;
  label: string;
  empty: ComponentChildren;
}

export function Table<T>({ list, columns, id, label, empty }: Props<T>) {
  const { words } = useSession();
  const { live, sort, setSort, page } = list;
  const rows = live.data?.rows;
  return (
    <>
      <Freshness live={live} missing={live.data?.missing} />
      {!rows && !live.failure && <Loading />}
      {rows?.length === 0 && empty}
      {rows && rows.length > 0 && <Rows rows={rows} columns={columns} id={id} label={label} sort={sort} setSort={setSort} />}
      {(list.forward || list.back) && (
        <nav class="pages" aria-label={words.pages}>
          <button disabled={!list.back} onClick={list.back}>
            ← {words.previous}
          </button>
          <span>{words.page(page)}</span>
          <button disabled={!list.forward} onClick={list.forward}>
            {words.next} →
          </button>
        </nav>
      )}
    </>
  );
}

interface RowsProps<T> {
  rows: T[];
  columns: Column<T>[];
  id(row: T): string;
  label: string;
  sort?: string;
  setSort?(to: string): void;
}

/** The roles are said because a card is no table to a browser any more. */
export function Rows<T>({ rows, columns, id, label, sort = "", setSort }: RowsProps<T>) {
  const { words } = useSession();
  const order = (column: Column<T>) => (sort === column.sort ? "ascending" : sort === `-${column.sort}` ? "descending" : "none");
  return (
    <div class="scroll">
      <table role="table" aria-label={label}>
        <thead role="rowgroup">
          <tr role="row">
            {columns.map((column) => (
              <th key={column.head} role="columnheader" scope="col" class={column.figure ? "figure" : undefined} aria-sort={column.sort && setSort ? order(column) : undefined}>
                {column.sort && setSort ? (
                  <button class="sort" onClick={() => setSort(sort === `-${column.sort}` ? column.sort! : sort === column.sort ? "" : `-${column.sort}`)}>
                    {column.head}
                    <span aria-hidden="true">{{ ascending: "↑", descending: "↓", none: "" }[order(column)]}</span>
                  </button>
                ) : (
                  column.head || <span class="visually-hidden">{words.actionsOf}</span>
                )}
              </th>
            ))}
          </tr>
        </thead>
        <tbody role="rowgroup">
          {rows.map((row) => (
            <tr key={id(row)} role="row">
              {columns.map((column) => (
                <td key={column.head} role="cell" data-head={column.head} class={column.figure ? "figure" : column.name ? "name" : undefined}>
                  {column.cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
