// How old the picture is that a page shows.
import { describe, expect, it } from "vitest";
import type { Probe } from "../src/web/ask.js";
import { Delay } from "../src/web/delay.js";
import type { Tag } from "../src/web/flv.js";

/**
 * A stream whose newest picture, at 1000 on its clock, the relay had at 50000 of its time; the
 * server's time is known by `offset`.
 */
function watched(offset: number): Delay {
  const delay = new Delay();
  delay.came({ codec: "hvc1", pts: 1000, dts: 1000, body: new Uint8Array() } as unknown as Tag);
  const video = { codec: "hvc1", clock: 1000, age_ms: 20 };
  delay.learn({ result: "ok", now: 50020, stream: { state: "live", video }, offset, roundTrip: 40, at: 20 } as Probe);
  return delay;
}

describe("the delay of what is seen", () => {
  it("since the relay had it", () => {
    expect(watched(50000).of({ seen: { pts: 1000, at: 30 } })).toEqual({ delay: 30, since: "ingest" });
  });

  it("is never told below 0, however wrong the server's time is known", () => {
    expect(watched(49980).of({ seen: { pts: 1000, at: 10 } })).toEqual({ delay: 0, since: "ingest" });
  });
});
