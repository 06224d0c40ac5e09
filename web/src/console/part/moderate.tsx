// What an operator does by hand to streams, players, rooms and members. Each page that shows them
// offers the same.
import { ask, type Forbidden, type Member, type Player, type Stream } from "../client.js";
import { may, useSession, type Session } from "../session.js";
import { useAct, type Act } from "./act.js";
import { Check, Field, Lasting, Select } from "./form.js";
import type { FormState } from "./act.js";

/** Asks, does it, and has what is shown asked for again. */
export function useModerate(refresh: () => void) {
  const session = useSession();
  const { act } = useAct();
  const { client, words } = session;
  const done = (what: Act): void => act({ ...what, run: (values) => what.run(values).finally(refresh) });
  return {
    /** Whether the buttons are shown at all. */
    allowed: (app: string) => may(session.me, "operator", app),

    endPublisher: (s: Pick<Stream, "app" | "stream">) =>
      done({
        title: words.endPublisher(`${s.app}/${s.stream}`),
        text: words.endPublisherText,
        label: words.end,
        danger: true,
        reason: true,
        run: async ({ reason }) => {
          await ask(client.DELETE("/api/v1/streams/{app}/{stream}/publisher", { params: { path: { app: s.app, stream: s.stream }, query: { reason: reason || undefined } } }));
          return words.publisherEnded(`${s.app}/${s.stream}`);
        },
      }),

    endPlayer: (p: Player) =>
      done({
        title: words.endPlayer(p.user ?? p.remote ?? p.id),
        text: words.endPlayerText,
        label: words.end,
        danger: true,
        reason: true,
        run: async ({ reason }) => {
          await ask(client.DELETE("/api/v1/players/{id}", { params: { path: { id: p.id }, query: { reason: reason || undefined } } }));
          return words.playerEnded(p.user ?? p.remote ?? p.id);
        },
      }),

    throwOut: (app: string, room: string, m: Member) =>
      done({
        title: words.throwOut(m.name || m.user),
        text: words.throwOutText,
        label: words.throwOutLabel,
        danger: true,
        reason: true,
        run: async ({ reason }) => {
          await ask(client.DELETE("/api/v1/rooms/{app}/{room}/members/{user}", { params: { path: { app, room, user: m.user }, query: { reason: reason || undefined } } }));
          return words.thrownOut(m.name || m.user);
        },
      }),

    closeRoom: (app: string, room: string) =>
      done({
        title: words.closeRoom(room),
        text: words.closeRoomText,
        label: words.closeRoomLabel,
        danger: true,
        reason: true,
        run: async ({ reason }) => {
          await ask(client.DELETE("/api/v1/rooms/{app}/{room}", { params: { path: { app, room }, query: { reason: reason || undefined } } }));
          return words.roomClosed(room);
        },
      }),

    message: (app: string, room: string, to: string[]) =>
      done({
        title: to.length > 0 ? words.messageTo(to.join(", ")) : words.messageAll(room),
        text: to.length > 0 ? words.messageToText : words.messageAllText,
        label: words.send,
        begin: { message: "", from: "admin" },
        fields: ({ values, set }) => (
          <>
            <Field label={words.message} value={values.message!} onInput={(v) => set("message", v)} required maxLength={1024} />
            <Field label={words.inWhoseName} value={values.from!} onInput={(v) => set("from", v)} required maxLength={64} />
          </>
        ),
        run: async ({ message, from }) => {
          const sent = await ask(client.POST("/api/v1/rooms/{app}/{room}/messages", { params: { path: { app, room } }, body: { message: message!, user: from!, ...(to.length > 0 ? { to } : {}) } }));
          return sent.failed && sent.failed.length > 0 ? words.messageFailed(sent.failed.join(", ")) : words.messageSent;
        },
      }),

    /** Forbids one of what is offered; the first is chosen at the beginning. */
    forbid: (offers: Forbidden[]) => done(forbidding(session, offers)),

    lift: (id: string, what: string) =>
      done({
        title: words.liftBan(what),
        label: words.liftBanLabel,
        reason: true,
        run: async ({ reason }) => {
          await ask(client.DELETE("/api/v1/bans/{id}", { params: { path: { id }, query: { reason: reason || undefined } } }));
          return words.banLifted(what);
        },
      }),
  };
}

/** What a ban is about, in words. */
export function banText(b: Forbidden, words: Session["words"]): string {
  const app = b.app ? ` (${b.app})` : "";
  if (b.room && b.user) return words.userInRoom(b.user, b.room) + app;
  if (b.stream) return `${words.stream} ${b.stream}${app}`;
  if (b.user) return `${words.user} ${b.user}${app}`;
  if (b.room) return `${words.room} ${b.room}${app}`;
  if (b.remote) return `${words.address} ${b.remote}${app}`;
  if (b.grant) return `${words.signedAddress} ${b.grant}${app}`;
  return `${words.session} ${b.session}${app}`;
}

export const banActions = ["publish", "play", "login"] as const;

function forbidding({ client, words }: Session, offers: Forbidden[]): Act {
  return {
    title: words.forbid,
    text: words.forbidText,
    label: words.forbid,
    danger: true,
    reason: true,
    begin: { which: "0", ttl: "24h", publish: "1", play: "1", login: "1" },
    fields: (form) => (
      <>
        <Select label={words.what} value={form.values.which!} options={offers.map((o, i) => [String(i), banText(o, words)])} onChange={(v) => form.set("which", v)} />
        <BanFields form={form} words={words} />
      </>
    ),
    run: async (values) => {
      const what = offers[Number(values.which)]!;
      await ask(client.POST("/api/v1/bans", { body: { ...what, ...banFieldsOf(values) } }));
      return words.nowForbidden(banText(what, words));
    },
  };
}

/** What is forbidden, and for how long. */
export function BanFields({ form: { values, set }, words }: { form: FormState; words: Session["words"] }) {
  return (
    <>
      <fieldset>
        <legend>{words.forbiddenActions}</legend>
        {banActions.map((a) => (
          <Check key={a} label={words.actions[a]} checked={values[a] === "1"} onChange={(on) => set(a, on ? "1" : "")} />
        ))}
      </fieldset>
      <Lasting label={words.forHowLong} value={values.ttl!} forever={words.untilLifted} onChange={(v) => set("ttl", v)} />
    </>
  );
}

export function banFieldsOf(values: Record<string, string>): Pick<Forbidden, "action" | "ttl" | "reason"> {
  const chosen = banActions.filter((a) => values[a] === "1");
  return {
    // All of them, or none, is everything.
    action: chosen.length > 0 && chosen.length < banActions.length ? chosen.join("+") : undefined,
    ttl: values.ttl || undefined,
    reason: values.reason || undefined,
  };
}
