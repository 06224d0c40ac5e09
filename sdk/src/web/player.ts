// Plays a stream into an element of a page, whatever the browser can and the network does.
import { choose, type Way } from "./ability.js";
import { addresses, probe, refusal, type Probe } from "./ask.js";
import { nalLength } from "./codec.js";
import { Delay } from "./delay.js";
import { Direct } from "./direct.js";
import { Feed, type Connection, type FeedEnd } from "./feed.js";
import type { Tag } from "./flv.js";
import { Mse } from "./mse.js";
import { Overlay } from "./overlay.js";
import type { Engine, EngineStats, WebPlayerEvent, WebPlayerOptions, WebPlayerReason, WebPlayerState, WebPlayerStats } from "./type.js";
import { Whep, whepAddress, type WhepEnd } from "./whep.js";
import { browserLanguage, wordOf } from "./word.js";

const pulse = 250; // ms between looks at how it is going
const noticed = 1000; // without media: ask why
const silence = 1750; // … and say so, whether there was an answer or not
const standing = 3000; // media come, and the picture stands
const answerWithin = 3000; // of the relay, when nothing comes
const lost = 8000; // without media although there are some: connect again
const asleep = 6000; // between two pulses: the machine slept
const hideAfter = 2000;
const look = 1500; // for a stream that is not there
const tries = [300, 1000, 2000, 4000, 8000]; // after connections that broke
const askAgain = 5000; // for the ingest's stamp
const askSeldom = 30000; // where the stream has stamps
const tellEach = 5000; // how old the picture is, to the relay
const none: EngineStats = { width: 0, height: 0, shown: 0, dropped: 0, level: 0, buffered: 0 };

/** A player on a page. */
export class WebPlayer {
  private readonly url: { socket: URL; http: URL };
  private readonly language: "en" | "zh";
  private readonly overlay?: Overlay;
  private readonly delay = new Delay();
  private engine?: Engine;
  private feed?: Connection;
  private event: WebPlayerEvent = { state: "connecting", text: "" };
  private round = 0; // of connecting; what belongs to an older one is void
  private abort = new AbortController();
  private timer?: ReturnType<typeof setTimeout>;
  private hideTimer?: ReturnType<typeof setTimeout>;
  private readonly pulseTimer: ReturnType<typeof setInterval>;
  private pulsed = performance.now();
  private asked = 0;
  private asking = false;
  private told = 0;
  private failures = 0;
  private connects = 0;
  private bytes = 0; // of earlier feeds
  private codecs = { video: "", audio: "" };
  private came = { video: 0, audio: 0 }; // when a tag of each came last, by FLV
  private isMuted: boolean;
  private loudness: number;
  private silent = false; // its sound cannot be played
  private readonly barred = new Set<Way>(); // they broke
  private fault?: WebPlayerReason; // of the first that did
  private starved = 0; // times that the relay had media and none came by FLV
  private last = { at: performance.now(), bytes: 0, shown: 0, kbps: 0, fps: 0 };
  private moved = { shown: 0, at: 0 };

  /** See {@link playInto}. */
  constructor(private readonly element: HTMLElement, url: string, private readonly options: WebPlayerOptions = {}) {
    this.url = addresses(url);
    this.language = options.language ?? browserLanguage();
    this.isMuted = options.muted ?? true;
    this.loudness = options.volume ?? 1;
    if (getComputedStyle(element).position === "static") element.style.position = "relative";
    if (options.controls !== false) {
      this.overlay = new Overlay(this.language, { unmute: () => (this.muted = false), retry: () => this.retry() });
      element.append(this.overlay.root);
    }
    document.addEventListener("visibilitychange", this.onVisible);
    addEventListener("online", this.onOnline);
    this.event.text = wordOf("connecting", undefined, this.language);
    this.overlay?.show(this.event, this.isMuted);
    this.pulseTimer = setInterval(() => this.pulse(), pulse);
    void this.connect();
  }

  get state(): WebPlayerState {
    return this.event.state;
  }

  /** Set it to false while the user does something, else the browser may keep silent. */
  get muted(): boolean {
    return this.isMuted;
  }

  set muted(muted: boolean) {
    this.isMuted = muted;
    this.engine?.setSound(muted || this.silent, this.loudness);
    this.overlay?.show(this.event, muted);
  }

  /** 0 to 1. */
  get volume(): number {
    return this.loudness;
  }

  set volume(volume: number) {
    this.loudness = Math.max(0, Math.min(1, volume));
    this.engine?.setSound(this.isMuted || this.silent, this.loudness);
  }

  /**
   * The canvas or video element; undefined before the first connection, another one after some
   * failures.
   */
  get picture(): HTMLCanvasElement | HTMLVideoElement | undefined {
    return this.engine?.picture;
  }

  /** Begins again, after "failed" or at any time. */
  retry(): void {
    this.failures = 0;
    this.barred.clear();
    this.fault = undefined;
    this.starved = 0;
    this.drop();
    this.say("connecting");
    void this.connect();
  }

  /** Ends it and takes it out of the page. */
  destroy(): void {
    this.stop();
    this.dropEngine();
    clearInterval(this.pulseTimer);
    clearTimeout(this.hideTimer);
    document.removeEventListener("visibilitychange", this.onVisible);
    removeEventListener("online", this.onOnline);
    this.overlay?.root.remove();
    this.say("closed");
  }

  /** How it is going. */
  stats(): WebPlayerStats {
    const m = this.engine?.measure() ?? none;
    const age = this.age(m);
    return {
      way: this.engine?.way ?? "",
      videoCodec: this.pictured ? this.codecs.video : "",
      audioCodec: this.codecs.audio,
      width: m.width,
      height: m.height,
      kbps: this.last.kbps,
      fps: this.last.fps,
      shown: m.shown,
      dropped: m.dropped,
      level: this.isMuted ? 0 : m.level,
      buffered: m.buffered,
      delay: age?.delay,
      delaySince: age?.since,
      roundTrip: this.delay.roundTrip,
      lipSync: m.lipSync,
      connects: this.connects,
    };
  }

  private say(state: WebPlayerState, reason?: WebPlayerReason): void {
    if (this.event.state === "closed" || (state === this.event.state && reason === this.event.reason)) return;
    this.event = { state, reason, text: wordOf(state, reason, this.language) };
    this.overlay?.show(this.event, this.isMuted);
    this.options.onState?.(this.event);
  }

  private fail(reason: WebPlayerReason): void {
    this.drop();
    this.say("failed", reason);
  }

  /** Closes the connection; nothing of it has an effect any more. */
  private stop(): void {
    this.round++;
    this.abort.abort();
    this.abort = new AbortController();
    clearTimeout(this.timer);
    if (this.feed) {
      this.bytes += this.feed.bytes;
      this.feed.close();
      this.feed = undefined;
    }
  }

  private drop(): void {
    this.stop();
    this.dropEngine();
  }

  private dropEngine(): void {
    this.engine?.picture.remove();
    this.engine?.destroy();
    this.engine = undefined;
    this.moved = { shown: 0, at: 0 };
    this.last.shown = 0;
  }

  private again(after: number): void {
    this.stop();
    const round = this.round;
    this.timer = setTimeout(() => round === this.round && void this.connect(), after);
  }

  private async connect(): Promise<void> {
    this.stop();
    const round = this.round;
    const answer = await probe(this.url.http, this.abort.signal);
    if (round !== this.round) return;
    if (!answer) return this.wait("away", this.pause());
    if (answer.result !== "ok") {
      const reason = refusal(this.url.http, answer);
      return reason === "away" || reason === "limit" ? this.wait(reason, this.pause()) : this.fail(reason);
    }
    this.delay.clear();
    this.learn(answer);
    const { state, video, audio } = answer.stream!;
    if (state === "missing") return this.wait("missing", look);
    if (state === "waiting") return this.wait("lost", look);
    const found = await choose(video?.codec ?? "", audio?.codec ?? "", this.ways());
    if (round !== this.round) return;
    if ("reason" in found) return this.fail(this.fault ?? found.reason);
    this.silent = found.silent;
    // WebRTC tells no codec by itself; a stream that has just begun may have none to tell yet.
    if (found.way === "webrtc" && !video && !audio) return this.again(look);
    const sound = audio?.codec ?? "";
    this.codecs = { video: video?.codec ?? "", audio: found.way !== "webrtc" ? sound : sound && !found.silent ? "Opus" : "" };
    this.prepare(found.way);
    this.open();
  }

  /** The ways to try, the best first. */
  private ways(): Way[] {
    const wanted = this.options.way ?? "auto";
    if (wanted === "webcodecs" || wanted === "mse") return [wanted];
    const ways: Way[] = wanted === "webrtc" || this.starved > 1 ? ["webrtc", "webcodecs", "mse"] : ["webcodecs", "mse", "webrtc"];
    return ways.filter((way) => !this.barred.has(way));
  }

  private pause(): number {
    return tries[Math.min(this.failures++, tries.length - 1)]!;
  }

  private wait(reason: WebPlayerReason, after: number): void {
    this.say("waiting", reason);
    this.again(after);
  }

  /** Makes the engine, or has the one that is there go on. */
  private prepare(way: Way): void {
    if (this.engine?.way === way && way !== "webrtc") {
      this.engine.begin();
      return this.engine.setSound(this.isMuted || this.silent, this.loudness);
    }
    this.dropEngine();
    const host = {
      restart: () => this.again(0),
      fail: (reason: WebPlayerReason) => this.broke(reason),
    };
    const engine: Engine = way === "mse" ? new Mse(host) : way === "webrtc" ? new Whep(host) : new Direct(host);
    const style = engine.picture.style;
    style.cssText = "display:block;width:100%;height:100%;background:#000";
    style.objectFit = this.options.fit ?? "contain";
    engine.picture.setAttribute("aria-hidden", "true");
    this.element.prepend(engine.picture);
    this.engine = engine;
    engine.setSound(this.isMuted || this.silent, this.loudness);
  }

  private broke(reason: WebPlayerReason): void {
    if (reason === "codec-audio") return void this.deaf();
    if (!this.engine || !this.bar(this.engine.way, reason)) this.fail(reason);
  }

  /** This way has no sound here: on by FLV's other one that has both, else without the sound. */
  private async deaf(): Promise<void> {
    const { round, engine } = this;
    const others = this.ways().filter((way) => way !== engine?.way && way !== "webrtc");
    const found = await choose(this.codecs.video, this.codecs.audio, others);
    if (!engine || engine !== this.engine || round !== this.round) return;
    if ("way" in found && !found.silent && this.bar(engine.way)) return;
    this.silent = true;
    engine.setSound(true, this.loudness);
    this.say(this.event.state, "codec-audio");
  }

  /** Another way may have it. False: there is none. */
  private bar(way: Way, reason?: WebPlayerReason): boolean {
    if (!this.ways().some((other) => other !== way)) return false;
    this.barred.add(way);
    this.fault ??= reason;
    this.drop();
    void this.connect();
    return true;
  }

  private open(): void {
    if (this.engine instanceof Whep) {
      this.connects++;
      this.feed = this.engine.open(whepAddress(this.url.http), (end) => this.left(end));
      return;
    }
    const socket = new URL(this.url.socket.href);
    if (!socket.searchParams.has("start")) socket.searchParams.set("start", "fast");
    this.connects++;
    this.came.video = this.came.audio = performance.now();
    this.feed = new Feed(
      socket,
      (bytes, tags) => {
        for (const tag of tags) this.note(tag);
        this.engine?.push(bytes, tags);
        if (performance.now() - this.pulsed > pulse) this.pulse(); // a hidden tab's timers are slow
      },
      (end) => this.ended(end),
    );
  }

  private note(tag: Tag): void {
    if (tag.kind === "script") return;
    this.codecs[tag.kind] = tag.codec;
    this.came[tag.kind] = performance.now();
    if (tag.kind !== "video") return;
    if (tag.header) this.delay.lengthSize = nalLength(tag.codec, tag.body) || 4;
    else this.delay.came(tag);
  }

  /** There are pictures: a publisher that is back may send sound alone. */
  private get pictured(): boolean {
    return this.codecs.video !== "" && this.came.audio - this.came.video < standing;
  }

  /** How old the picture is. */
  private age(measured: EngineStats = none): ReturnType<Delay["of"]> {
    return this.pictured || measured.ingest ? this.delay.of(measured) : undefined;
  }

  /** A WebRTC session ended; asked again, the relay says why. */
  private left(end: WhepEnd): void {
    if (end.why === "kicked") return this.fail("kicked");
    if (end.elsewhere && this.bar("webrtc", end.why && "codec-video")) return;
    if (end.why) return this.fail(this.fault ?? "codec-video");
    this.again(this.pause());
  }

  private ended(end: FeedEnd): void {
    if (end.code === 1000) return this.wait("missing", tries[0]!);
    if (end.code === 1008 && end.text === "ended by the server") return this.fail("kicked");
    // Asked again, the relay says why.
    if (end.opened) return this.again(this.pause());
    this.wait("refused", Math.max(2000, this.pause()));
  }

  /** Looks how it is going. */
  private pulse(): void {
    const now = performance.now();
    const slept = now - this.pulsed > asleep;
    this.pulsed = now;
    if (!this.feed || !this.engine) return;
    if (slept && !document.hidden) return this.again(0);
    this.engine.tick();
    if (!this.feed) return; // the engine wants another
    const { shown } = this.engine.measure();
    if (shown !== this.moved.shown || !this.pictured) {
      // The sound of a stream without picture is enough.
      this.moved = { shown, at: now };
    }
    if (now - this.last.at >= 1000) {
      const bytes = this.bytes + this.feed.bytes;
      const seconds = (now - this.last.at) / 1000;
      const rate = (n: number): number => Math.max(0, Math.round((n / seconds) * 10) / 10);
      this.last = { at: now, bytes, shown, kbps: rate(((bytes - this.last.bytes) * 8) / 1000), fps: rate(shown - this.last.shown) };
    }
    const quiet = now - this.feed.heard;
    if (quiet < silence && (document.hidden || now - this.moved.at < standing)) {
      if (this.moved.at && this.connects) {
        this.failures = 0;
        this.say("playing", this.silent ? "codec-audio" : undefined);
      }
    } else if (quiet >= silence && this.event.state === "playing") this.say("stalled");
    if (quiet >= noticed && !this.asking) void this.explain(quiet);
    if (now - this.told > tellEach && this.event.state === "playing") this.tell(now);
    if (now - this.asked > (this.delay.stamped ? askSeldom : askAgain) && !this.asking && !document.hidden) void this.ask();
  }

  private tell(now: number): void {
    const seen = this.age(this.engine?.measure());
    if (!seen) return;
    this.told = now;
    this.feed?.tell(seen.delay, seen.since);
  }

  private learn(answer: Probe): void {
    this.asked = answer.at;
    this.delay.learn(answer);
  }

  private async ask(within?: number): Promise<Probe | undefined> {
    this.asking = true;
    this.asked = performance.now();
    const answer = await probe(this.url.http, this.abort.signal, within);
    this.asking = false;
    if (answer?.result === "ok") this.learn(answer);
    return answer;
  }

  /** Nothing comes: why? */
  private async explain(quiet: number): Promise<void> {
    const round = this.round;
    const since = performance.now() - this.asked;
    if (since < 1000) return;
    const answer = await this.ask(answerWithin);
    if (round !== this.round || !this.feed) return;
    const still = performance.now() - this.feed.heard;
    if (still < noticed) return;
    const { state, video, audio } = answer?.stream ?? {};
    // The relay calls a publisher idle later; that its newest frame is as old as ours says so
    // already.
    const newest = Math.min(video?.age_ms ?? Infinity, audio?.age_ms ?? Infinity);
    if (!answer) this.say("stalled", "away");
    else if (state === "waiting") this.say("waiting", "lost");
    else if (state === "idle" || (state === "live" && newest >= noticed)) this.say("stalled", "idle");
    else if (still >= silence) {
      this.say("stalled");
      if (this.engine?.way !== "webrtc" && ++this.starved > 1 && this.ways()[0] === "webrtc") return this.again(0);
    }
    // A connection that nothing comes by is dead: after a sleep, or a change of networks.
    if (quiet > lost && (!answer || state === "live" || state === "missing")) this.again(0);
  }

  private readonly onOnline = (): void => {
    if (this.event.state !== "failed" && this.event.state !== "hidden" && this.event.state !== "closed") this.again(0);
  };

  private readonly onVisible = (): void => {
    clearTimeout(this.hideTimer);
    if (this.event.state === "failed" || this.event.state === "closed") return;
    if (!document.hidden) {
      if (this.event.state !== "hidden") return;
      this.say("connecting");
      void this.connect();
      return;
    }
    // What is heard goes on; a muted element would be paused by the browser while its buffer grows.
    if (!this.isMuted && !this.silent && this.codecs.audio) return;
    this.hideTimer = setTimeout(() => {
      if (!document.hidden || this.event.state === "failed") return;
      this.stop();
      if (this.engine?.way !== "webcodecs") this.dropEngine();
      this.say("hidden");
    }, hideAfter);
  };
}

/**
 * Plays a stream into an element: in the way with the least delay that the browser has, again and
 * again until it is destroyed. The element should have a size; the picture fills it.
 *
 * @param url …/{app}/{stream}.flv?token=…, http or ws, as `startPlayingStream` gives it; throws a TypeError for any other
 */
export function playInto(element: HTMLElement, url: string, options: WebPlayerOptions = {}): WebPlayer {
  return new WebPlayer(element, url, options);
}
