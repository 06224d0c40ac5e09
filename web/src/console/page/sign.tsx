import { useState } from "preact/hooks";
import { ask, Failure, type MadeToken, type SignedURL } from "../client.js";
import { clock } from "../figure.js";
import { useLive } from "../live.js";
import { may, useSession } from "../session.js";
import { useAct } from "../part/act.js";
import { Check, Copyable, Field, Lasting, Select } from "../part/form.js";
import { failureText, Facts, Panel } from "../part/notice.js";

/** What each protocol can do. */
const protocols = {
  publish: ["rtmp", "ws", "whip"],
  play: ["rtmp", "flv", "ws", "whep"],
} as const;

const ranks = Array.from({ length: 10 }, (_, n) => n);

export function Sign({ query }: { query: URLSearchParams }) {
  const { words, client, me } = useSession();
  const apps = useLive(() => ask(client.GET("/api/v1/apps")), [client], 60);
  const names = apps.data?.apps.map((a) => a.app) ?? [];
  if (!may(me, "operator")) return <p class="banner warn">{words.signNeeds}</p>;
  const app = query.get("app") ?? names[0] ?? "";
  return (
    <div class="columns" key={app}>
      <URLPanel apps={names} app={app} stream={query.get("stream") ?? ""} />
      {may(me, "admin") && <TokenPanel apps={names} app={app} />}
    </div>
  );
}

/** A form that asks for something and shows what came. */
function useForm<T>(begin: Record<string, string>, ask_: (values: Record<string, string>) => Promise<T>) {
  const { words, leave } = useSession();
  const [values, setValues] = useState(begin);
  const [result, setResult] = useState<T>();
  const [failure, setFailure] = useState("");
  const [running, setRunning] = useState(false);
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    setRunning(true);
    setFailure("");
    setResult(undefined);
    try {
      setResult(await ask_(values));
    } catch (error) {
      if (error instanceof Failure && error.status === 401) return leave(true);
      setFailure(error instanceof Failure ? failureText(error, words) : String(error));
    }
    setRunning(false);
  };
  return { values, set: (name: string, value: string) => setValues((was) => ({ ...was, [name]: value })), result, failure, running, submit };
}

function AppField({ apps, value, onChange }: { apps: string[]; value: string; onChange(value: string): void }) {
  const { words } = useSession();
  return <Select label={words.app} value={value} options={apps.map((a): [string, string] => [a, a])} onChange={onChange} />;
}

function URLPanel({ apps, app, stream }: { apps: string[]; app: string; stream: string }) {
  const { words, client, language } = useSession();
  const { act } = useAct();
  const [revoked, setRevoked] = useState("");
  const form = useForm<SignedURL>({ app, stream, action: "publish", proto: "rtmp", user: "", room: "", rank: "0", ttl: "24h" }, (v) =>
    ask(
      client.POST("/api/v1/urls", {
        body: { app: v.app!, stream: v.stream!.trim(), action: v.action as "play", proto: v.proto as "rtmp", user: v.user || undefined, room: v.room || undefined, rank: v.action === "publish" ? Number(v.rank) : undefined, ttl: v.ttl },
      }),
    ),
  );
  const { values, set, result } = form;
  const choices = protocols[values.action as keyof typeof protocols];
  const revoke = (): void =>
    act({
      title: words.revoke,
      text: words.revokeText,
      label: words.revokeLabel,
      danger: true,
      reason: true,
      run: async ({ reason }) => {
        await ask(client.POST("/api/v1/bans", { body: { app: values.app, grant: result!.id, reason: reason || undefined } }));
        setRevoked(result!.id);
        return words.revoked;
      },
    });
  return (
    <Panel id="sign-url" title={words.signURL}>
      <form class="stack" onSubmit={form.submit}>
        <AppField apps={apps} value={values.app!} onChange={(v) => set("app", v)} />
        <Field label={words.stream} value={values.stream!} onInput={(v) => set("stream", v)} required maxLength={256} />
        <div class="pair">
          <Select
            label={words.action}
            value={values.action!}
            options={(["publish", "play"] as const).map((a) => [a, words.actions[a]])}
            onChange={(v) => {
              set("action", v);
              set("proto", "rtmp");
            }}
          />
          <Select label={words.protocol} value={values.proto!} options={choices.map((p): [string, string] => [p, words.protocols[p]])} onChange={(v) => set("proto", v)} />
        </div>
        <div class="pair">
          <Field label={`${words.user} ${words.optional}`} value={values.user!} onInput={(v) => set("user", v)} maxLength={64} />
          <Field label={`${words.room} ${words.optional}`} value={values.room!} onInput={(v) => set("room", v)} maxLength={128} />
        </div>
        {values.action === "publish" && <Select label={words.rankOf} value={values.rank!} options={ranks.map((n): [string, string] => [String(n), n === 0 ? words.rankFirst : String(n)])} onChange={(v) => set("rank", v)} />}
        <Lasting label={words.forHowLong} value={values.ttl!} onChange={(v) => set("ttl", v)} />
        <div role="alert">{form.failure && <p class="banner bad">{form.failure}</p>}</div>
        <button class="primary" disabled={form.running}>
          {words.signURL}
        </button>
      </form>
      {result && (
        <div class="result" role="status">
          <Copyable label={words.signedAddress} text={result.url} />
          <p class="quiet">{words.holdsCredential}</p>
          <Facts
            label={words.signedAddress}
            rows={[
              [words.until, clock(result.expires, language)],
              [words.id, result.id],
            ]}
          />
          <button class="danger" disabled={revoked === result.id} onClick={revoke}>
            {revoked === result.id ? words.revoked : `${words.revokeLabel}…`}
          </button>
        </div>
      )}
    </Panel>
  );
}

function TokenPanel({ apps, app }: { apps: string[]; app: string }) {
  const { words, client, language } = useSession();
  const form = useForm<MadeToken>({ app, user: "", room: "", publish: "1", streams: "", ttl: "1h" }, (v) => {
    const streams = v.streams!.split(/[\s,]+/).filter(Boolean);
    return ask(
      client.POST("/api/v1/tokens", {
        body: { app: v.app!, user: v.user!.trim(), room: v.room || undefined, publish: v.publish === "1", streams: streams.length > 0 ? streams : undefined, ttl: v.ttl },
      }),
    );
  });
  const { values, set, result } = form;
  return (
    <Panel id="make-token" title={words.makeToken}>
      <form class="stack" onSubmit={form.submit}>
        <AppField apps={apps} value={values.app!} onChange={(v) => set("app", v)} />
        <Field label={words.user} value={values.user!} onInput={(v) => set("user", v)} required maxLength={64} />
        <Field label={`${words.room} ${words.optional}`} hint={words.anyRoom} value={values.room!} onInput={(v) => set("room", v)} maxLength={128} />
        <Check label={words.mayPublish} checked={values.publish === "1"} onChange={(on) => set("publish", on ? "1" : "")} />
        {values.publish === "1" && <Field label={`${words.onlyStreams} ${words.optional}`} hint={words.onlyStreamsHint} value={values.streams!} onInput={(v) => set("streams", v)} />}
        <Lasting label={words.forHowLong} value={values.ttl!} onChange={(v) => set("ttl", v)} />
        <div role="alert">{form.failure && <p class="banner bad">{form.failure}</p>}</div>
        <button class="primary" disabled={form.running}>
          {words.makeToken}
        </button>
      </form>
      {result && (
        <div class="result" role="status">
          <Copyable label={words.token04} text={result.token} />
          <p class="quiet">{words.holdsCredential}</p>
          <Facts label={words.token04} rows={[[words.until, clock(result.expires, language)]]} />
        </div>
      )}
    </Panel>
  );
}
