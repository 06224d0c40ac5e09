// What most tests need: an engine on the fake server that writes down its events.
import { LiveRelayEngine, type EventMap } from "../../src/index.js";
import type { FakeServer } from "./server.js";
import { vi } from "vitest";

export type Seen = [string, ...unknown[]];

const names: (keyof EventMap)[] = [
  "roomStateUpdate", "roomStateChanged", "roomUserUpdate", "roomOnlineUserCountUpdate", "roomStreamUpdate",
  "streamExtraInfoUpdate", "publisherStateUpdate", "playerStateUpdate", "publishQualityUpdate", "playQualityUpdate",
  "tokenWillExpire", "renewTokenFailed", "roomExtraInfoUpdate", "IMRecvBroadcastMessage", "IMRecvBarrageMessage", "IMRecvCustomCommand", "audioVolumeUpdate",
];

/** An engine and everything it said. */
export class Client {
  readonly seen: Seen[] = [];
  readonly engine: LiveRelayEngine;

  constructor(server: FakeServer, readonly userID: string, addresses: string | string[] = "ws://a.test", options: object = { WebSocket: server.WebSocket }) {
    this.engine = new LiveRelayEngine(1, addresses, options);
    this.engine.setLogConfig({ logLevel: "disable", remoteLogLevel: "disable" });
    for (const name of names) this.engine.on(name, (...args: unknown[]) => this.seen.push([name, ...args]));
  }

  login(room = "r1", config = { userUpdate: true }): Promise<boolean> {
    return this.engine.loginRoom(room, "04token", { userID: this.userID, userName: this.userID.toUpperCase() }, config);
  }

  /** Events of one name, their arguments. */
  events(name: string): unknown[][] {
    return this.seen.filter(([n]) => n === name).map(([, ...args]) => args);
  }

  /** The states of rooms, shortly: "CONNECTED/0". */
  get states(): string[] {
    return this.events("roomStateUpdate").map(([, state, number]) => `${state}/${number}`);
  }
  get reasons(): string[] {
    return this.events("roomStateChanged").map(([, reason, number]) => `${reason}/${number}`);
  }
  /** The states of publishers and players, shortly: "s1 PUBLISHING/0". */
  get publishing(): string[] {
    return this.events("publisherStateUpdate").map(([s]) => short(s));
  }
  get playing(): string[] {
    return this.events("playerStateUpdate").map(([s]) => short(s));
  }
  /** What the room said of streams and users: "ADD s1,s2". */
  get streams(): string[] {
    return this.events("roomStreamUpdate").map(([, type, list]) => `${type} ${(list as { streamID: string }[]).map((s) => s.streamID)}`);
  }
  get users(): string[] {
    return this.events("roomUserUpdate").map(([, type, list]) => `${type} ${(list as { userID: string }[]).map((s) => s.userID)}`);
  }

  clear(): void {
    this.seen.length = 0;
  }

  pusher(streamID: unknown, code: number, message = ""): void {
    this.engine.updatePlayerState(streamID as string, { type: "statechange", currentTarget: { id: "" }, detail: { code, message } });
  }
  player(streamID: string, code: number, message = ""): void {
    this.engine.updatePlayerState(streamID, { type: "statechange", currentTarget: { id: streamID }, detail: { code, message } });
  }
}

function short(s: unknown): string {
  const { streamID, state, errorCode } = s as { streamID: string; state: string; errorCode: number };
  return `${streamID} ${state}/${errorCode}`;
}

/** Lets so many (fake) ms pass. */
export async function pass(ms = 20): Promise<void> {
  await vi.advanceTimersByTimeAsync(ms);
}

/** Waits for a promise while fake time passes; gives its value or its error. */
export async function settle<T>(promise: Promise<T>, ms = 12000): Promise<T | { code: number; msg: string }> {
  let done: { value: T | { code: number; msg: string } } | undefined;
  promise.then(
    (value) => (done = { value }),
    (error) => (done = { value: error }),
  );
  for (let t = 0; t < ms && !done; t += 5) await pass(5);
  if (!done) throw new Error("not settled");
  return done.value;
}
