import { useEffect, useState } from "preact/hooks";
import type { Language } from "../../common/language.js";
import { ask, clientOf, Failure, type Actor } from "../client.js";
import { Field } from "../part/form.js";
import { failureText } from "../part/notice.js";
import type { Words } from "../word/index.js";

interface Props {
  words: Words;
  language: Language;
  /** A token of this tab, shown before anybody is asked for one. */
  kept: string;
  refused: boolean;
  onEnter(token: string, who: Actor): void;
  onLanguage(): void;
}

export function SignIn({ words, language, kept, refused, onEnter, onLanguage }: Props) {
  const [token, setToken] = useState("");
  const [running, setRunning] = useState(kept !== "");
  const [text, setText] = useState(refused ? words.refusedLater : "");
  const enter = async (shown: string): Promise<void> => {
    setRunning(true);
    setText("");
    try {
      onEnter(shown, await ask(clientOf(shown).GET("/api/v1/me")));
    } catch (error) {
      setRunning(false);
      const failure = error instanceof Failure ? error : new Failure(0, "");
      setText(failure.status === 401 ? words.refused : failureText(failure, words));
    }
  };
  useEffect(() => {
    document.title = `${words.signIn} · ${words.console}`;
  }, [words]);
  useEffect(() => {
    if (kept) void enter(kept);
  }, []);
  return (
    <main class="signin">
      <form
        onSubmit={(e) => {
          e.preventDefault();
          void enter(token.trim());
        }}
      >
        <h1>
          liverelay <small>{words.console}</small>
        </h1>
        <Field label={words.token} hint={words.tokenHint} type="password" value={token} onInput={setToken} required autoFocus autocomplete="current-password" />
        <div role="alert">{text && <p class="banner bad">{text}</p>}</div>
        <button class="primary" disabled={running}>
          {running && <span class="wheel" aria-hidden="true" />} {words.signIn}
        </button>
        <button type="button" class="plain" lang={language === "en" ? "zh-CN" : "en"} onClick={onLanguage}>
          {words.language}
        </button>
      </form>
    </main>
  );
}
