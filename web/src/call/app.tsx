// The page: its head, and the lobby or the call below it.
import { useEffect, useMemo, useReducer, useState } from "preact/hooks";
import { choose, language as chosen, tag, type Language } from "../common/language.js";
import { Call } from "./call.js";
import { Lobby, type Source } from "./lobby.js";
import { complete, demoLogin, fromLink, type Login } from "./login.js";
import { Room } from "./room.js";
import { text, type Key } from "./words.js";

const nameKey = "liverelay.name";

export function App() {
  const [language, setLanguage] = useState<Language>(chosen());
  const [, render] = useReducer((n: number, _: void) => n + 1, 0);
  const call = useMemo(() => {
    let waiting = false;
    // Many changes at once are drawn once; not by animation frames, which a hidden page has none
    // of.
    return new Call(chosen(), () => {
      if (waiting) return;
      waiting = true;
      setTimeout(() => {
        waiting = false;
        render();
      }, 30);
    });
  }, []);
  const t = (key: Key, ...values: (string | number)[]): string => text(language, key, ...values);
  const [source, setSource] = useState<Source>("loading");
  const [login, setLogin] = useState<Login>(fromLink(location.hash));
  const [name, setName] = useState(stored);

  const load = async (fresh: boolean): Promise<void> => {
    const link = fresh ? fromLink("") : fromLink(location.hash);
    setSource("loading");
    try {
      const demo = await demoLogin();
      call.demo = demo !== undefined;
      if (complete(link)) {
        setLogin(link);
        setSource("link");
      } else if (demo) {
        if (fresh) history.replaceState(undefined, "", location.pathname + location.search);
        setLogin(demo);
        setSource("demo");
      } else {
        setLogin(link);
        setSource("form");
      }
    } catch {
      setSource("failed");
    }
  };
  useEffect(() => {
    void load(false);
    const onHash = (): void => void load(false);
    const onGone = (): void => call.destroy();
    addEventListener("hashchange", onHash);
    // A page that comes back out of the browser's cache has left its call.
    const onBack = (e: PageTransitionEvent): void => void (e.persisted && location.reload());
    addEventListener("pagehide", onGone);
    addEventListener("pageshow", onBack);
    return () => {
      removeEventListener("hashchange", onHash);
      removeEventListener("pagehide", onGone);
      removeEventListener("pageshow", onBack);
      call.destroy();
    };
  }, [call]);
  useEffect(() => {
    document.documentElement.lang = tag(language);
    document.title = `${t("title")} · liverelay`;
    call.language = language;
  }, [language]);

  const inside = call.phase === "room";
  const other: Language = language === "zh" ? "en" : "zh";
  const quality = { good: "qualityGood", fair: "qualityFair", bad: "qualityBad", unknown: "qualityUnknown" } as const;
  return (
    <>
      <header class="bar">
        <svg class="brand" viewBox="0 0 32 32" aria-hidden="true">
          <rect width="32" height="32" rx="8" />
          <path d="M12.5 10.2v11.6a.8.8 0 0 0 1.2.7l9.2-5.8a.8.8 0 0 0 0-1.4l-9.2-5.8a.8.8 0 0 0-1.2.7Z" />
          <path class="stroke" d="M8.5 11v10" />
        </svg>
        <span class="where">
          <strong>liverelay</strong>
          {inside && <span>{call.login.room}</span>}
        </span>
        {inside && (
          <span class={`quality ${call.quality}`} role="status">
            <i aria-hidden="true" />
            <span>{call.room === "CONNECTED" ? t(quality[call.quality]) : t("connecting")}</span>
          </span>
        )}
        <button
          type="button"
          class="plain language"
          lang={tag(other)}
          aria-label={t("languageLabel")}
          onClick={() => {
            choose(other);
            setLanguage(other);
          }}
        >
          {t("language")}
        </button>
      </header>
      {inside ? (
        <Room call={call} t={t} />
      ) : (
        <Lobby
          call={call}
          t={t}
          source={source}
          login={login}
          name={name}
          onLogin={setLogin}
          onName={(to) => {
            setName(to);
            call.studio.name(to || login.user);
          }}
          onJoin={() => {
            store(name);
            void call.join(login, name.trim());
          }}
          onReload={() => void load(true)}
        />
      )}
    </>
  );
}

function stored(): string {
  try {
    return localStorage.getItem(nameKey) ?? "";
  } catch {
    return "";
  }
}

function store(name: string): void {
  try {
    localStorage.setItem(nameKey, name);
  } catch {
    // A page may have no storage.
  }
}
