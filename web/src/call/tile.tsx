// One picture of the call.
import { useEffect, useRef } from "preact/hooks";
import { Icon } from "../common/icon.js";
import type { Call } from "./call.js";
import type { Remote } from "./member.js";
import { OwnPicture } from "./own.js";
import { Level, type Text } from "./view.js";

/** The own picture, with how it is sent. */
export function OwnTile({ call, t }: { call: Call; t: Text }) {
  const { studio, publishing } = call;
  const stats = call.stats;
  const word = publishing === "connecting" ? t("publishConnecting") : publishing === "lost" ? t("publishLost") : publishing === "live" ? "" : t("publishStopped");
  return (
    <article class="tile own" data-publishing={publishing} aria-label={t("youAre", call.userName)}>
      {studio.unable ? <div class="stand-in">{t("you")}</div> : <OwnPicture studio={studio} label={t("preview")} />}
      {word && <p class="tile-word">{word}</p>}
      <footer>
        <span class="name">{t("youAre", call.userName)}</span>
        {!studio.sound.on && <Icon name="micOff" size={16} />}
        <Level level={studio.sound.on ? (studio.stats?.level ?? 0) : 0} />
        {stats && <span class="figure">{`${stats.width}×${stats.height} · ${Math.round(stats.videoKbps)} kbit/s`}</span>}
      </footer>
    </article>
  );
}

/** Another member's picture. */
export function RemoteTile({ call, remote, t }: { call: Call; remote: Remote; t: Text }) {
  const stage = useRef<HTMLDivElement>(null);
  useEffect(() => {
    call.show(remote, stage.current);
    return () => call.show(remote, null);
  }, [call, remote]);
  const { state, user } = remote;
  const name = user.userName || user.userID;
  // What stands has no delay and no loudness any more.
  const stats = state.state === "playing" ? remote.stats : undefined;
  const delay = stats?.delay;
  return (
    <article class="tile" data-stream={remote.streamID} data-state={state.state} aria-label={name}>
      <div class="stage" ref={stage} />
      {state.state !== "playing" && (
        <div class="tile-word" role="status">
          <p>{state.text || t("waiting")}</p>
          {state.state === "failed" && (
            <button type="button" onClick={() => void call.play(remote)}>
              {t("playAgain")}
            </button>
          )}
        </div>
      )}
      {state.state === "playing" && state.reason && (
        <p class="tile-note" role="status">
          {state.text}
        </p>
      )}
      <footer>
        <span class="name">{name}</span>
        {remote.micOff && <Icon name="micOff" size={16} />}
        {remote.cameraOff && <Icon name="cameraOff" size={16} />}
        <Level level={stats?.level ?? 0} />
        {delay !== undefined && <span class="figure">{t("ms", Math.round(delay)) + (stats?.delaySince === "ingest" ? "*" : "")}</span>}
        <button type="button" class="small" aria-label={t(remote.muted ? "unmuteMember" : "muteMember", name)} aria-pressed={remote.muted} onClick={() => call.mute(remote, !remote.muted)}>
          <Icon name={remote.muted ? "muted" : "sound"} size={18} />
        </button>
      </footer>
    </article>
  );
}
