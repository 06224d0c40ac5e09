// Where the delay is spent: how old a frame is when it comes out of the relay, when it is decoded,
// and what waits after that.
import { at } from "./card.mjs";
import { sources } from "./source.mjs";

/**
 * Reads a stream as a player does: how old pictures and sound are then (ms, medians), and its
 * clock: moment less time in the stream.
 */
export async function arrival(url, seconds) {
  const { load, done } = await sources();
  const { FlvReader } = await load("../sdk/src/web/flv.ts");
  const { readStamp } = await load("../sdk/src/web/stamp.ts");
  const came = { audio: [], video: [] };
  const clocks = [];
  const reader = new FlvReader((tag) => {
    if (tag.kind === "script" || tag.header) return;
    const moment = tag.kind === "video" ? readStamp(tag.body) : undefined;
    if (moment !== undefined) clocks.push(moment - tag.pts);
    came[tag.kind].push(Date.now() - tag.pts);
  });
  const stop = new AbortController();
  const response = await fetch(url, { signal: stop.signal });
  const end = Date.now() + seconds * 1000;
  // What the relay has kept comes at once, and is older.
  const begin = Date.now() + 1000;
  for await (const chunk of response.body) {
    if (Date.now() < begin) came.audio.length = came.video.length = 0;
    reader.push(chunk);
    if (Date.now() > end) break;
  }
  stop.abort();
  await done();
  const clock = at(clocks, 0.5);
  return { clock, audio: at(came.audio.map((t) => t - clock), 0.5), video: at(came.video.map((t) => t - clock), 0.5) };
}

/**
 * In the browser, before the page: notes when frames are decoded, and the way to the loudspeaker.
 */
export function watch() {
  const seen = (globalThis.decoded = { audio: [], video: [], contexts: [] });
  for (const [kind, name] of [["audio", "AudioDecoder"], ["video", "VideoDecoder"]]) {
    const Native = globalThis[name];
    if (!Native) continue;
    globalThis[name] = class extends Native {
      constructor(init) {
        super({ ...init, output: (out) => (seen[kind].push(performance.timeOrigin + performance.now() - out.timestamp / 1000), init.output(out)) });
      }
    };
  }
  const Context = globalThis.AudioContext;
  globalThis.AudioContext = class extends Context {
    constructor(options) {
      super(options);
      seen.contexts.push(this);
    }
  };
}

/**
 * What `watch` saw: ages at the decoders' output (ms, medians, by the stream's clock) and the
 * output's latency.
 */
export async function spent(page, clock) {
  const { audio, video, latency } = await page.evaluate(() => {
    const [context] = globalThis.decoded.contexts;
    return { audio: decoded.audio.slice(-300), video: decoded.video.slice(-300), latency: context && (context.outputLatency || context.baseLatency) * 1000 };
  });
  const age = (list) => (list.length ? at(list.map((t) => t - clock), 0.5) : undefined);
  return { audio: age(audio), video: age(video), latency };
}
