import { useEffect, useRef, useState } from "preact/hooks";
import { playInto, wordOf, type WebPlayer, type WebPlayerEvent, type WebPlayerStats } from "liverelay-sdk/web";
import { Icon } from "../common/icon.js";
import { choose, language as preferred, tag } from "../common/language.js";
import { Statistics } from "./statistics.js";
import { wordsOf } from "./word.js";

const [app = "", stream = ""] = location.pathname.replace(/^.*\/play\//, "").split("/");
const query = new URLSearchParams(location.search);
const embedded = query.has("embed");

/** The stream's address; what is about the page stays here. */
function address(): string {
  const url = new URL(`/${app}/${stream}.flv`, location.origin);
  for (const [key, value] of query) if (!["embed", "lang", "way", "stats", "fit"].includes(key)) url.searchParams.append(key, value);
  return url.href;
}

/** How the address wants it played. */
const wanted = (["webcodecs", "mse", "webrtc", "auto"] as const).find((way) => way === query.get("way")) ?? "auto";

export function Page() {
  const [language, setLanguage] = useState(preferred);
  const words = wordsOf(language);
  const stage = useRef<HTMLDivElement>(null);
  const frame = useRef<HTMLDivElement>(null);
  const player = useRef<WebPlayer>(undefined);
  const [event, setEvent] = useState<WebPlayerEvent>({ state: "connecting", text: "" });
  const [muted, setMuted] = useState(true);
  const [volume, setVolume] = useState(1);
  const [stats, setStats] = useState<WebPlayerStats>();
  const [open, setOpen] = useState(query.has("stats"));
  const [full, setFull] = useState(false);
  const [way, setWay] = useState<typeof wanted>(wanted);

  useEffect(() => {
    document.documentElement.lang = tag(language);
    document.title = `${stream} · liverelay`;
  }, [language]);

  useEffect(() => {
    const made = playInto(stage.current!, address(), {
      controls: false,
      way,
      muted,
      volume,
      fit: query.get("fit") === "cover" ? "cover" : "contain",
      onState: setEvent,
    });
    player.current = made;
    const timer = setInterval(() => setStats(made.stats()), 500);
    const onFull = (): void => setFull(document.fullscreenElement !== null);
    document.addEventListener("fullscreenchange", onFull);
    return () => {
      clearInterval(timer);
      document.removeEventListener("fullscreenchange", onFull);
      made.destroy();
    };
  }, [way]);

  const sound = (on: boolean): void => {
    player.current!.muted = !on;
    setMuted(!on);
  };
  const loudness = (to: number): void => {
    const next = Math.max(0, Math.min(1, to));
    player.current!.volume = next;
    setVolume(next);
  };
  const screen = (): void => {
    if (document.fullscreenElement) return void document.exitFullscreen();
    const whole = frame.current!.requestFullscreen?.();
    // iPhones only let a video element fill the screen.
    if (!whole) (player.current!.picture as { webkitEnterFullscreen?(): void } | undefined)?.webkitEnterFullscreen?.();
    void whole?.catch(() => undefined);
  };
  useKeys({ m: () => sound(muted), f: screen, i: () => setOpen(!open), ArrowUp: () => loudness(volume + 0.1), ArrowDown: () => loudness(volume - 0.1) });

  const playing = event.state === "playing";
  const hasSound = !stats || !stats.videoCodec || stats.audioCodec !== "";
  const text = wordOf(event.state, event.reason, language);
  const ratio = stats?.width ? `${stats.width} / ${stats.height}` : "16 / 9";

  return (
    <main class={embedded ? "page embedded" : "page"}>
      {!embedded && (
        <header>
          <h1>
            <span class="app">{app} /</span> {stream}
          </h1>
          <Badge state={event.state} words={words} />
          <button class="plain" lang={language === "en" ? "zh-CN" : "en"} onClick={() => (choose(language === "en" ? "zh" : "en"), setLanguage(language === "en" ? "zh" : "en"))}>
            {words.language}
          </button>
        </header>
      )}
      <section class="frame" ref={frame} aria-label={words.picture} style={{ "--ratio": ratio }}>
        <div class="stage" ref={stage} />
        <div class={playing && !event.reason ? "words quiet" : "words"}>
          <div role="status">
            {text && (
              <>
                {event.state === "failed" ? <Icon name="warning" size={36} /> : event.state === "waiting" ? <Icon name="antenna" size={36} /> : !playing && <span class="wheel" aria-hidden="true" />}
                <p>{text}</p>
              </>
            )}
          </div>
          {event.state === "failed" && (
            <button class="bright" onClick={() => player.current!.retry()}>
              <Icon name="retry" /> {words.retry}
            </button>
          )}
        </div>
        {playing && muted && hasSound && (
          <button class="bright over" onClick={() => sound(true)}>
            <Icon name="sound" /> {words.soundOn}
          </button>
        )}
        <div class="bar">
          <button class="plain" aria-pressed={!muted} title={words.keys} aria-label={hasSound ? (muted ? words.unmute : words.mute) : words.noSound} disabled={!hasSound} onClick={() => sound(muted)}>
            <Icon name={muted || !hasSound ? "muted" : "sound"} />
          </button>
          <input type="range" min="0" max="1" step="0.05" value={volume} aria-label={words.volume} disabled={!hasSound} onInput={(e) => loudness(e.currentTarget.valueAsNumber)} />
          <span class="gap" />
          {stats?.delay !== undefined && playing && <span class="delay">{Math.round(stats.delay)} ms</span>}
          <button class="plain way" aria-pressed={way === "webrtc"} title={words.webrtc} onClick={() => setWay(way !== "webrtc" ? "webrtc" : wanted === "webrtc" ? "auto" : wanted)}>
            WebRTC
          </button>
          <button class="plain" aria-expanded={open} aria-controls={open && stats ? "statistics" : undefined} aria-label={words.statistics} title={words.statistics} onClick={() => setOpen(!open)}>
            <Icon name="statistics" />
          </button>
          <button class="plain" aria-label={full ? words.leaveFullscreen : words.fullscreen} title={words.fullscreen} onClick={screen}>
            <Icon name={full ? "smaller" : "fullscreen"} />
          </button>
        </div>
        {open && embedded && stats && <Statistics stats={stats} words={words} over />}
      </section>
      {open && !embedded && stats && <Statistics stats={stats} words={words} />}
    </main>
  );
}

function Badge({ state, words }: { state: WebPlayerEvent["state"]; words: ReturnType<typeof wordsOf> }) {
  const kind = state === "playing" ? "live" : state === "failed" ? "failed" : "waiting";
  return <span class={`badge ${kind}`}>{words[kind]}</span>;
}

function useKeys(keys: Record<string, () => void>): void {
  const current = useRef(keys);
  current.current = keys;
  useEffect(() => {
    const onKey = (e: KeyboardEvent): void => {
      if (e.ctrlKey || e.altKey || e.metaKey || e.target instanceof HTMLInputElement) return;
      const act = current.current[e.key.length === 1 ? e.key.toLowerCase() : e.key];
      if (!act) return;
      e.preventDefault();
      act();
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);
}
