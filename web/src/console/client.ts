// The admin API, typed by its own description: .generated/document.d.ts is made from it (npm run
// generate).
import createClient from "openapi-fetch";
import type { components, paths } from "./.generated/document.js";

type Schemas = components["schemas"];
export type Actor = Schemas["Actor"];
export type App = Schemas["App"];
export type Ban = Schemas["Ban"];
export type Change = Schemas["Change"];
export type Forbidden = Schemas["NewBanBody"];
export type HappenedEvent = Schemas["Event"];
export type MadeToken = Schemas["MadeToken"];
export type Member = Schemas["MemberDetail"];
export type Node = Schemas["Node"];
export type Player = Schemas["Player"];
export type Reloaded = Schemas["Reloaded"];
export type Report = Schemas["Report"];
export type Room = Schemas["Overview"];
export type RoomStream = Schemas["StreamDetail"];
export type Sample = Schemas["Sample"];
export type SignedURL = Schemas["SignedURL"];
export type Standby = Schemas["StandbyState"];
export type Stream = Schemas["Stream"];
export type Used = Schemas["Record"];

/** Why a question has no answer. */
export class Failure extends Error {
  /** status is that of HTTP; 0: nobody answered. */
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

export type Client = ReturnType<typeof createClient<paths>>;

/** A client that shows this token. */
export function clientOf(token: string): Client {
  return createClient<paths>({ baseUrl: location.origin, headers: { Authorization: `Bearer ${token}` }, cache: "no-store", credentials: "omit" });
}

/** What openapi-fetch answers: data, or a problem (RFC 9457). */
interface Answer<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** The answer, or a Failure with the server's words. */
export async function ask<T>(question: Promise<Answer<T>>): Promise<T> {
  let answer: Answer<T>;
  try {
    answer = await question;
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Failure(0, "");
  }
  if (answer.response.ok) return answer.data as T;
  throw new Failure(answer.response.status, wordsOf(answer.error) || answer.response.statusText);
}

/** What a problem says: its detail, and what is wrong with which field. */
function wordsOf(problem: unknown): string {
  if (typeof problem !== "object" || problem === null) return "";
  const { detail, errors } = problem as Schemas["ErrorModel"];
  const each = (errors ?? []).map((e) => [e.location?.replace(/^(body|query|path)\./, ""), e.message].filter(Boolean).join(": "));
  return each.length > 0 ? each.join("; ") : (detail ?? "");
}
