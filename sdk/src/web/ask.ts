// Asks the relay before a connection is made: a browser tells no script why a WebSocket was
// refused.
import type { WebPlayerReason } from "./type.js";

/** One track, as the relay tells it (`?probe=1`). */
export interface ProbeTrack {
  codec: string;
  width?: number;
  height?: number;
  clock: number;
  age_ms: number;
}

interface Answer {
  result: string;
  error?: string;
  now: number;
  stream?: { state: "missing" | "live" | "idle" | "waiting"; video?: ProbeTrack; audio?: ProbeTrack };
}

/** An answer, with where the server's clock is. */
export interface Probe extends Answer {
  /** The server's time less performance.now(), ms. */
  offset: number;
  roundTrip: number;
  /** When the answer came, by performance.now(). */
  at: number;
}

const patience = 10000; // ms

/** The two addresses of a stream, from either of them; throws a TypeError when it is none. */
export function addresses(url: string): { socket: URL; http: URL } {
  const http = new URL(url, location.href);
  http.protocol = { "ws:": "http:", "wss:": "https:" }[http.protocol] ?? http.protocol;
  if (!/^https?:$/.test(http.protocol) || !http.pathname.endsWith(".flv")) throw new TypeError(`${http.pathname} is not the address of a stream, …/{app}/{stream}.flv`);
  const socket = new URL(http.href);
  socket.protocol = http.protocol === "https:" ? "wss:" : "ws:";
  return { socket, http };
}

/** Asks; undefined when nobody answers or what answers is no relay. */
export async function probe(http: URL, signal?: AbortSignal, within = patience): Promise<Probe | undefined> {
  const url = new URL(http.href);
  url.searchParams.set("probe", "1");
  const give = new AbortController();
  const timer = setTimeout(() => give.abort(), within);
  const stop = (): void => give.abort();
  signal?.addEventListener("abort", stop);
  try {
    const begun = performance.now();
    const response = await fetch(url.href, { signal: give.signal, cache: "no-store", credentials: "omit" });
    const at = performance.now();
    const answer = (await response.json()) as Answer;
    if (response.status === 400) return { ...answer, result: "bad_request", now: 0, offset: 0, roundTrip: 0, at };
    if (typeof answer.result !== "string") return undefined;
    return { ...answer, offset: answer.now - (begun + at) / 2, roundTrip: at - begun, at };
  } catch {
    return undefined;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", stop);
  }
}

const asks = 4;
const near = 20; // ms there and back: half of it is the error

/** Asks until the server's time is known well, a few times at most. */
export async function probeClock(http: URL): Promise<Probe | undefined> {
  let best: Probe | undefined;
  for (let i = 0; i < asks && !(best && best.roundTrip < near); i++) {
    const answer = await probe(http);
    if (!answer) break;
    if (!best || answer.roundTrip < best.roundTrip) best = answer;
  }
  return best;
}

/**
 * Why a refused address was refused, as far as its token tells: the relay says the same of all of
 * them, for it owes a guesser no hint.
 */
export function refusal(http: URL, answer: Probe): WebPlayerReason {
  switch (answer.result) {
    case "denied":
    case "expired":
      return tokenFault(http, answer.now) ?? "denied";
    case "bad_request":
      return "address";
    case "limit":
      return "limit";
    case "kicked":
      return "kicked";
  }
  return "away";
}

function tokenFault(http: URL, now: number): WebPlayerReason | undefined {
  const query = http.searchParams;
  const token = query.get("token");
  if (query.get("txSecret")) return parseInt(query.get("txTime") ?? "", 16) * 1000 < now ? "token-expired" : undefined;
  if (!token) return "token-missing";
  let claims: { exp?: number; nbf?: number; app?: string; stream?: string; action?: string };
  try {
    // RFC 7519: the middle part is JSON that everybody can read.
    const [, middle = ""] = token.split(".");
    claims = JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(middle.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0)))) as typeof claims;
  } catch {
    return "token-malformed";
  }
  const [app, stream] = http.pathname.replace(/^\//, "").replace(/\.flv$/, "").split("/");
  if (claims.app !== app) return "token-app";
  if (claims.stream !== stream) return "token-stream";
  if (claims.action === "publish") return undefined; // it may play, too
  if ((claims.exp ?? 0) * 1000 < now) return "token-expired";
  if ((claims.nbf ?? 0) * 1000 > now) return "token-early";
  return undefined;
}
