// What it takes to enter a room: from the link, from the server in demo mode, or typed.

/** What it takes. */
export interface Login {
  /** The app's name or number. */
  app: string;
  room: string;
  user: string;
  token: string;
}

/** What the link behind # says; parts may be missing. */
export function fromLink(hash: string): Login {
  const fields = new URLSearchParams(hash.replace(/^#/, ""));
  const field = (name: string): string => fields.get(name) ?? "";
  return { app: field("app"), room: field("room"), user: field("user"), token: field("token") };
}

/** The link that leads here with a login; behind #, so that no server's log has it. */
export function toLink({ app, room, user, token }: Login): string {
  const fields = new URLSearchParams({ app, room });
  if (user) fields.set("user", user);
  if (token) fields.set("token", token);
  return `${location.origin}/call/#${fields.toString()}`;
}

/** A login as a new guest, where the server gives them away; undefined where it does not. */
export async function demoLogin(): Promise<Login | undefined> {
  const response = await fetch("/call/demo", { cache: "no-store" });
  if (response.status === 404) return undefined;
  if (!response.ok) throw new Error(`/call/demo: ${response.status}`);
  const { app, room, user, token } = (await response.json()) as Login;
  return { app, room, user, token };
}

/** Everything is there. */
export function complete(login: Login): boolean {
  return [login.app, login.room, login.user, login.token].every((field) => field !== "");
}
