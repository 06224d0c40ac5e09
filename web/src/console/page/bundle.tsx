// A support bundle of the node that answers: made, watched and taken along.
import { useEffect, useRef, useState } from "preact/hooks";
import { ask, Failure } from "../client.js";
import { bytes } from "../figure.js";
import { link } from "../route.js";
import { may, useSession } from "../session.js";
import { Field, Select } from "../part/form.js";
import { failureText, Panel } from "../part/notice.js";

/** What a node needs beside the time for which a connection is listened in to, in seconds: for the bar alone. */
const making = 2;
/** Of a connection, at most. */
const keptBytes = 1 << 20;
const listenFor = ["5", "10", "30"];

interface Made {
  name: string;
  size: number;
  url: string;
}

export function Bundle({ connection: begin }: { connection: string }) {
  const { client, words, me, language, leave } = useSession();
  const [connection, setConnection] = useState(begin);
  const [seconds, setSeconds] = useState(listenFor[0]!);
  const [running, setRunning] = useState<{ since: number; give: AbortController }>();
  const [made, setMade] = useState<Made>();
  const [failure, setFailure] = useState("");
  const form = useRef<HTMLFormElement>(null);
  useEffect(() => {
    if (begin) form.current?.scrollIntoView({ block: "center" });
  }, []);
  useEffect(() => () => running?.give.abort(), [running]);
  useEffect(() => () => URL.revokeObjectURL(made?.url ?? ""), [made]);
  const wire = connection.trim();
  const make = async (event: Event): Promise<void> => {
    event.preventDefault();
    const give = new AbortController();
    setRunning({ since: Date.now(), give });
    setMade(undefined);
    setFailure("");
    try {
      const file = (await ask(client.POST("/api/v1/bundle", { body: { connection: wire || undefined, seconds: Number(seconds), bytes: keptBytes }, parseAs: "blob", signal: give.signal }))) as unknown as Blob;
      const name = `liverelay-${me.node}-${new Date().toISOString().slice(0, 19).replaceAll(":", "")}.zip`;
      const url = URL.createObjectURL(file);
      setMade({ name, size: file.size, url });
      Object.assign(document.createElement("a"), { href: url, download: name }).click();
    } catch (error) {
      if (error instanceof Failure && error.status === 401) return leave(true);
      if (error instanceof Failure) setFailure(failureText(error, words)); // else it was cancelled
    }
    setRunning(undefined);
  };
  return (
    <Panel id="bundle" title={words.bundle}>
      <p class="quiet">{words.bundleText(me.node)}</p>
      <form class="stack" onSubmit={make} ref={form}>
        <Field label={`${words.connection} ${words.optional}`} hint={words.connectionHint} value={connection} onInput={setConnection} maxLength={520} />
        {wire && <Select label={words.listenFor} value={seconds} options={listenFor.map((s): [string, string] => [s, words.seconds(Number(s))])} onChange={setSeconds} />}
        <div role="alert">{failure && <p class="banner bad">{failure}</p>}</div>
        {running ? (
          <div class="progress">
            <Running label={words.bundleProgress} since={running.since} seconds={(wire ? Number(seconds) : 0) + making} />
            <button type="button" onClick={() => running.give.abort()}>
              {words.cancel}
            </button>
          </div>
        ) : (
          <button class="primary">{words.makeBundle}</button>
        )}
      </form>
      <div role="status">
        {made && (
          <p>
            {words.bundleMade}{" "}
            <a href={made.url} download={made.name}>
              {made.name}
            </a>{" "}
            ({bytes(made.size, language)})
          </p>
        )}
      </div>
    </Panel>
  );
}

/** How far something is that takes about so many seconds. It waits near its end. */
function Running({ label, since, seconds }: { label: string; since: number; seconds: number }) {
  const { words } = useSession();
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 250);
    return () => clearInterval(timer);
  }, []);
  const gone = (now - since) / 1000;
  return (
    <>
      <progress aria-label={label} max={1} value={Math.min(0.95, gone / seconds)} />
      <span>{words.seconds(Math.floor(gone))}</span>
    </>
  );
}

/** A way to a bundle with what a connection carries, for who may and where the node that answers has it. */
export function BundleLink({ connection, node, name }: { connection: string; node?: string; name: string }) {
  const { words, me } = useSession();
  if (!may(me, "admin", "") || node !== me.node) return null;
  return (
    <a class="button" href={link(["nodes"], { connection })} aria-label={`${words.bundleLabel}: ${name}`}>
      {words.bundleLabel}…
    </a>
  );
}
