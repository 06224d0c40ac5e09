// The console: who is signed in, where one is, and the frame around the pages.
import { useCallback, useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { ComponentChildren } from "preact";
import { choose, language as preferred, tag, type Language } from "../common/language.js";
import { Icon } from "../common/icon.js";
import { clientOf, type Actor } from "./client.js";
import { keepToken, keptToken, SessionContext, type Session } from "./session.js";
import { link, useRoute, type Route } from "./route.js";
import { wordsOf, type Words } from "./word/index.js";
import { ActProvider } from "./part/act.js";
import { SignIn } from "./page/signin.js";
import { Overview } from "./page/overview.js";
import { Streams } from "./page/streams.js";
import { StreamPage } from "./page/stream.js";
import { Players } from "./page/players.js";
import { Rooms } from "./page/rooms.js";
import { RoomPage } from "./page/room.js";
import { Bans } from "./page/bans.js";
import { Events } from "./page/events.js";
import { Nodes } from "./page/nodes.js";
import { Usage } from "./page/usage.js";
import { Audit } from "./page/audit.js";
import { Sign } from "./page/sign.js";

export function Console() {
  const [language, setLanguage] = useState<Language>(preferred);
  const [token, setToken] = useState(keptToken);
  const [me, setMe] = useState<Actor>();
  const [refused, setRefused] = useState(false);
  const words = wordsOf(language);
  useEffect(() => {
    document.documentElement.lang = tag(language);
  }, [language]);
  const leave = useCallback((was = false) => {
    keepToken("");
    setToken("");
    setMe(undefined);
    setRefused(was);
  }, []);
  const session = useMemo<Session | undefined>(() => me && { token, me, client: clientOf(token), words, language, leave }, [token, me, words, leave]);
  const switchLanguage = (): void => {
    const next = language === "en" ? "zh" : "en";
    choose(next);
    setLanguage(next);
  };
  if (!session) {
    const enter = (with_: string, who: Actor): void => {
      keepToken(with_);
      setToken(with_);
      setMe(who);
    };
    return <SignIn words={words} language={language} kept={token} refused={refused} onEnter={enter} onLanguage={switchLanguage} />;
  }
  return (
    <SessionContext.Provider value={session}>
      <ActProvider>
        <Frame session={session} onLanguage={switchLanguage} />
      </ActProvider>
    </SessionContext.Provider>
  );
}

/** Pages by the first part of the address; [in the menu, title, page]. */
function pages(words: Words): Record<string, [title: string, page: (route: Route) => ComponentChildren]> {
  return {
    "": [words.overview, () => <Overview />],
    streams: [words.streams, ({ path, query }) => (path.length === 3 ? <StreamPage key={path.join("/")} app={path[1]!} stream={path[2]!} /> : <Streams query={query} />)],
    players: [words.players, ({ query }) => <Players query={query} />],
    rooms: [words.rooms, ({ path, query }) => (path.length === 3 ? <RoomPage key={path.join("/")} app={path[1]!} room={path[2]!} /> : <Rooms query={query} />)],
    bans: [words.bans, ({ query }) => <Bans query={query} />],
    events: [words.events, ({ query }) => <Events query={query} />],
    nodes: [words.nodes, ({ query }) => <Nodes query={query} />],
    usage: [words.usage, ({ query }) => <Usage query={query} />],
    audit: [words.audit, ({ query }) => <Audit query={query} />],
    sign: [words.sign, ({ query }) => <Sign query={query} />],
  };
}

function Frame({ session, onLanguage }: { session: Session; onLanguage(): void }) {
  const { words, me, leave, language } = session;
  const route = useRoute();
  const [menu, setMenu] = useState(false);
  const heading = useRef<HTMLHeadingElement>(null);
  const all = pages(words);
  const section = route.path[0] ?? "";
  const [title, page] = all[section] ?? all[""]!;
  const named = route.path.length === 3 ? `${route.path[1]} / ${route.path[2]}` : title;
  const place = route.path.join("/");
  const first = useRef(true);
  useEffect(() => {
    document.title = `${named} · ${words.console}`;
    setMenu(false);
    // Who follows a link hears where he is; who opens the console begins at its top.
    if (!first.current) heading.current?.focus();
    first.current = false;
  }, [place, words]);
  return (
    <div class="frame">
      <a class="skip" href="#main" onClick={(e) => (e.preventDefault(), heading.current?.focus())}>
        {words.skip}
      </a>
      <header class="top">
        <a class="brand" href={link([])}>
          liverelay
        </a>
        <span class="where">
          {me.node} <small>{me.version}</small>
        </span>
        <span class="who">
          {me.name} <small>{words.roles[me.role]}{me.apps.length > 0 && ` · ${me.apps.join(", ")}`}</small>
        </span>
        <button class="plain" lang={language === "en" ? "zh-CN" : "en"} onClick={onLanguage}>
          {words.language}
        </button>
        <button class="plain leave" aria-label={words.signOut} onClick={() => leave()}>
          <Icon name="leave" size={20} /> <span>{words.signOut}</span>
        </button>
        <button class="plain menu" aria-expanded={menu} aria-controls="menu" onClick={() => setMenu(!menu)}>
          <Icon name={menu ? "close" : "menu"} /> <span class="visually-hidden">{words.menu}</span>
        </button>
      </header>
      <nav id="menu" class={menu ? "side open" : "side"} aria-label={words.menu}>
        <ul>
          {Object.entries(all).map(([name, [text]]) => (
            <li key={name}>
              <a href={link(name ? [name] : [])} aria-current={name === section ? "page" : undefined}>
                {text}
              </a>
            </li>
          ))}
          <li class="last">
            <a href="/web/licences.txt" target="_blank" rel="noopener">
              {words.licences}
            </a>
          </li>
        </ul>
      </nav>
      <main id="main">
        <h1 ref={heading} tabIndex={-1}>
          {route.path.length === 3 ? (
            <>
              <a href={link([section])}>{title}</a> <span aria-hidden="true">/</span> <small>{route.path[1]} /</small> {route.path[2]}
            </>
          ) : (
            title
          )}
        </h1>
        {page(route)}
      </main>
    </div>
  );
}
