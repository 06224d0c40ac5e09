// States and alerts in words, with their colour.
import type { Node, Stream } from "../client.js";
import { ago } from "../figure.js";
import { useSession } from "../session.js";
import { Badge } from "./notice.js";

export function StreamState({ state }: { state: Stream["state"] }) {
  const { words } = useSession();
  return <Badge kind={state === "live" ? "good" : "warn"}>{words.streamStates[state]}</Badge>;
}

const nodeKinds = { ready: "good", degraded: "warn", not_ready: "bad", draining: "warn" } as const;

export function NodeState({ node }: { node: Node }) {
  const { words } = useSession();
  return (
    <>
      <Badge kind={nodeKinds[node.state]}>{words.nodeStates[node.state]}</Badge> {node.reason && <small class="quiet">{node.reason}</small>}
    </>
  );
}

/** What is wrong with a stream, shortly. */
export function Alerts({ of }: { of: Stream["alerts"] }) {
  const { words, language } = useSession();
  return (
    <>
      {of.map((a) => (
        <span key={a.kind} class="alert" title={words.alertTexts[a.kind]}>
          <Badge kind="bad">{words.alerts[a.kind] ?? a.kind}</Badge> <small class="quiet">{ago(a.since, language)}</small>
        </span>
      ))}
    </>
  );
}
