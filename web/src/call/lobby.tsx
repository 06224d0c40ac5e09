// Before the call: who, where, and how one looks.
import { useState } from "preact/hooks";
import { Icon } from "../common/icon.js";
import type { Call } from "./call.js";
import { Devices } from "./devices.js";
import { complete, type Login } from "./login.js";
import { OwnPicture } from "./own.js";
import type { Text } from "./view.js";
import { Level } from "./view.js";
import { problemKey, type Key } from "./words.js";

/** Where the login comes from. */
export type Source = "loading" | "demo" | "link" | "form" | "failed";

interface Props {
  call: Call;
  t: Text;
  source: Source;
  login: Login;
  name: string;
  onLogin(login: Login): void;
  onName(name: string): void;
  onJoin(): void;
  onReload(): void;
}

export function Lobby({ call, t, source, login, name, onLogin, onName, onJoin, onReload }: Props) {
  const [tried, setTried] = useState(false);
  const studio = call.studio;
  const busy = call.phase === "joining";
  const submit = (e: Event): void => {
    e.preventDefault();
    if (busy) return;
    setTried(true);
    if (complete(login)) return onJoin();
    const form = e.currentTarget as HTMLFormElement;
    form.querySelector("details")!.open = true;
    setTimeout(() => form.querySelector<HTMLInputElement>("input[aria-invalid=true]")?.focus());
  };
  return (
    <main class="lobby">
      <section class="card preview" aria-label={t("preview")}>
        <div class="frame">
          {studio.ready && !studio.unable ? (
            <OwnPicture studio={studio} label={t("preview")} />
          ) : (
            <div class="placeholder">
              <Icon name="camera" size={44} />
              <p>{studio.unable ? t(problemKey("picture", studio.unable)) : t("previewOff")}</p>
              {!studio.ready && (
                <button type="button" onClick={() => void studio.open(name || login.user || "liverelay")}>
                  {t("previewOpen")}
                </button>
              )}
            </div>
          )}
          {studio.ready && !studio.unable && <Level level={studio.stats?.level ?? 0} />}
        </div>
        {studio.ready && <Devices studio={studio} t={t} />}
      </section>
      <section class="card enter">
        <h1>{t("joinTitle")}</h1>
        {call.phase === "over" && call.ended && (
          <div class="notice bad" role="alert">
            <Icon name="warning" />
            <p>
              <strong>{t(call.ended.key)}</strong>
              {call.ended.detail && <small>{call.ended.detail}</small>}
            </p>
          </div>
        )}
        {source === "failed" ? (
          <>
            <div class="notice bad" role="alert">
              <Icon name="warning" />
              <p>{t("demoFailed")}</p>
            </div>
            <button type="button" class="primary big" onClick={onReload}>
              {t("tryAgain")}
            </button>
          </>
        ) : (
          <form onSubmit={submit} noValidate>
            <p class="quiet">{source === "demo" ? t("joinDemo") : source === "link" ? t("joinLink", login.room) : source === "form" ? t("joinForm") : " "}</p>
            <label>
              <span>{t("yourName")}</span>
              <input value={name} maxLength={60} autocomplete="nickname" placeholder={login.user} onInput={(e) => onName(e.currentTarget.value)} />
            </label>
            <details open={source === "form"}>
              <summary>{t("details")}</summary>
              {(
                [
                  ["app", "app"],
                  ["room", "roomField"],
                  ["user", "userField"],
                  ["token", "tokenField"],
                ] as [keyof Login, Key][]
              ).map(([field, key]) => {
                const wrong = tried && login[field] === "";
                return (
                  <label key={field}>
                    <span>{t(key)}</span>
                    <input
                      name={field}
                      value={login[field]}
                      spellcheck={false}
                      autocomplete="off"
                      aria-invalid={wrong}
                      aria-describedby={`${field}-help`}
                      onInput={(e) => onLogin({ ...login, [field]: e.currentTarget.value.trim() })}
                    />
                    <small id={`${field}-help`} class={wrong ? "problem" : "quiet"}>
                      {wrong ? t("missingField") : field === "token" ? t("tokenHelp") : ""}
                    </small>
                  </label>
                );
              })}
            </details>
            <button type="submit" class="primary big" disabled={busy || source === "loading"}>
              {busy ? t("joining") : t("join")}
            </button>
            {call.phase === "over" && call.demo && (
              <button type="button" class="big" onClick={onReload}>
                {t("joinGuest")}
              </button>
            )}
          </form>
        )}
        <p class="third-party">
          <a href="/web/licences.txt">{t("licences")}</a>
        </p>
      </section>
    </main>
  );
}
