import { useState } from "preact/hooks";
import { ask, type Node, type Reloaded } from "../client.js";
import { ago, clock, count, rate } from "../figure.js";
import { useLive } from "../live.js";
import { may, useSession } from "../session.js";
import { useAct } from "../part/act.js";
import { Badge, Facts, Freshness, Loading, Panel } from "../part/notice.js";
import { NodeState } from "../part/state.js";
import { Bundle } from "./bundle.js";

/** What is still on a node: it is drained when there is nothing. */
function load(n: Node): number {
  return n.streams + n.players + n.members;
}

export function Nodes({ query }: { query: URLSearchParams }) {
  const { client, words, me } = useSession();
  const { act } = useAct();
  const live = useLive(() => ask(client.GET("/api/v1/nodes")), [client], 2);
  // The most that each draining node had since it is watched: the whole of its progress.
  const [most, setMost] = useState<Record<string, number>>({});
  const nodes = live.data?.nodes;
  for (const n of nodes ?? []) {
    if (n.state === "draining" && (most[n.id] ?? -1) < load(n)) setMost({ ...most, [n.id]: load(n) });
    if (n.state !== "draining" && most[n.id] !== undefined) setMost(Object.fromEntries(Object.entries(most).filter(([id]) => id !== n.id)));
  }
  const order = (node: Node, drain: boolean): void =>
    act({
      title: drain ? words.drain(node.id) : words.undrain(node.id),
      text: drain ? words.drainText : words.undrainText,
      label: drain ? words.drainLabel : words.undrainLabel,
      danger: drain,
      reason: true,
      run: async ({ reason }) => {
        await ask(client.POST(drain ? "/api/v1/drain" : "/api/v1/undrain", { params: { query: { node: node.id, reason: reason || undefined } } }));
        live.refresh();
        return drain ? words.draining(node.id) : words.undrained(node.id);
      },
    });
  if (!nodes) return live.failure ? <Freshness live={live} /> : <Loading />;
  return (
    <>
      <Freshness live={live} missing={live.data?.missing} />
      <div class="nodes">
        {nodes.map((n) => (
          <NodePanel key={n.id} node={n} most={most[n.id]} order={may(me, "operator", "") ? order : undefined} />
        ))}
      </div>
      {may(me, "admin", "") && <Reload />}
      {may(me, "admin", "") && <Bundle key={query.get("connection")} connection={query.get("connection") ?? ""} />}
    </>
  );
}

function NodePanel({ node: n, most, order }: { node: Node; most?: number; order?: (node: Node, drain: boolean) => void }) {
  const { words, language, me } = useSession();
  const draining = n.state === "draining";
  return (
    <Panel
      id={`node-${n.id}`}
      title={n.id}
      actions={
        order && (
          <button onClick={() => order(n, !draining)} aria-label={draining ? words.undrain(n.id) : words.drain(n.id)}>
            {draining ? words.undrainLabel : `${words.drainLabel}…`}
          </button>
        )
      }
    >
      <p>
        <NodeState node={n} /> {n.id === me.node && <Badge kind="quiet">{words.thisNode}</Badge>}
      </p>
      {draining && most !== undefined && (
        <div class="progress">
          <progress aria-label={words.drainProgress} max={Math.max(1, most)} value={most === 0 ? 1 : most - load(n)} />
          <span>{load(n) === 0 ? words.drained : words.leftOver(n.streams, n.players, n.members)}</span>
        </div>
      )}
      <Facts
        label={n.id}
        rows={[
          [words.version, n.version],
          [words.since, `${clock(n.since, language)} (${ago(n.since, language)})`],
          [words.streams, count(n.streams, language)],
          [words.players, count(n.players, language)],
          [words.rooms, count(n.rooms, language)],
          [words.members, count(n.members, language)],
          [words.fromPublishers, rate(n.bitrate_kbps, language)],
        ]}
      />
    </Panel>
  );
}

function Reload() {
  const { client, words, me } = useSession();
  const { act } = useAct();
  const [result, setResult] = useState<Reloaded>();
  return (
    <Panel
      id="configuration"
      title={words.configuration}
      actions={
        <button
          onClick={() =>
            act({
              title: words.reload(me.node),
              text: words.reloadText,
              label: words.reloadLabel,
              reason: true,
              run: async ({ reason }) => {
                setResult(undefined);
                const reloaded = await ask(client.POST("/api/v1/reload", { params: { query: { reason: reason || undefined } } }));
                setResult(reloaded);
                return reloaded.changed.length + reloaded.restart_required.length === 0 ? words.nothingChanged : words.reloaded;
              },
            })
          }
        >
          {words.reloadLabel}…
        </button>
      }
    >
      <p class="quiet">{words.configurationText}</p>
      <div role="status">
        {result && (
          <Facts
            label={words.reloaded}
            rows={[
              [words.changedKeys, result.changed.join(", ") || words.none],
              [words.restartKeys, result.restart_required.join(", ") || words.none],
            ]}
          />
        )}
      </div>
    </Panel>
  );
}
