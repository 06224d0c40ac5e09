// Ann, Bob and the servers of one test, for the files about the room connection. Importing it sets
// them up for every test of the file.
import { afterEach, beforeEach, vi } from "vitest";
import { Client, pass, settle } from "./call.js";
import { FakeServer } from "./server.js";

export let server: FakeServer;
export let ann: Client;
export let bob: Client;
const clients: Client[] = [];

/** Another client, gone after the test. */
export function client(user: string, addresses?: string | string[]): Client {
  const c = new Client(server, user, addresses);
  clients.push(c);
  return c;
}

/** Ann publishes s1, its media flows. */
export async function publish(): Promise<void> {
  await settle(ann.engine.startPublishingStream("s1"));
  ann.pusher("s1", 1002);
  server.push("s1");
  await pass();
}

/** Ann publishes s1, plays x and is cut off, with no server to come back to. */
export async function loseAnn(): Promise<void> {
  await settle(ann.login());
  await publish();
  await settle(ann.engine.startPlayingStream("x"));
  ann.clear();
  server.host().mode = "refuse";
  server.cut("ann");
}

beforeEach(() => {
  vi.useFakeTimers();
  server = new FakeServer("a.test", "b.test", "c.test");
  ann = client("ann");
  bob = client("bob");
});
afterEach(() => {
  for (const c of clients.splice(0)) c.engine.destroyEngine();
  vi.useRealTimers();
});
