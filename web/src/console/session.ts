// Who is signed in. The token is in this tab's storage alone, and is gone with the tab.
import { createContext } from "preact";
import { useContext } from "preact/hooks";
import type { Actor, Client } from "./client.js";
import type { Words } from "./word/index.js";
import type { Language } from "../common/language.js";

const key = "liverelay.console.token";

export function keptToken(): string {
  try {
    return sessionStorage.getItem(key) ?? "";
  } catch {
    return "";
  }
}

export function keepToken(token: string): void {
  try {
    if (token) sessionStorage.setItem(key, token);
    else sessionStorage.removeItem(key);
  } catch {
    // Without storage whoever reloads the page signs in again.
  }
}

/** What every part of the console knows. */
export interface Session {
  token: string;
  me: Actor;
  client: Client;
  words: Words;
  language: Language;
  /** Another token is wanted: this one was refused, or the user leaves. */
  leave(refused?: boolean): void;
}

export const SessionContext = createContext<Session>(undefined as never);

export function useSession(): Session {
  return useContext(SessionContext);
}

const roles = ["viewer", "operator", "admin"] as const;

/**
 * Whether the token may do what needs this role, to an app; "" is what belongs to no app, none is
 * any.
 */
export function may(me: Actor, role: (typeof roles)[number], app?: string): boolean {
  return roles.indexOf(me.role) >= roles.indexOf(role) && (app === undefined || me.apps.length === 0 || me.apps.includes(app));
}
