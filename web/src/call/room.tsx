// The call itself: pictures, notices, controls, panel.
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import type { ComponentChildren } from "preact";
import { Icon } from "../common/icon.js";
import type { Call, Notice } from "./call.js";
import { Devices } from "./devices.js";
import { Panel, type Tab } from "./panel.js";
import type { Part } from "./publish/studio.js";
import { Share } from "./share.js";
import { OwnTile, RemoteTile } from "./tile.js";
import { Dialog, Round, type Text } from "./view.js";
import { problemKey } from "./words.js";

export function Room({ call, t }: { call: Call; t: Text }) {
  const [tab, setTab] = useState<Tab | undefined>(matchMedia("(min-width: 900px)").matches ? "people" : undefined);
  const [dialog, setDialog] = useState<"share" | "settings" | undefined>();
  const [dismissed, setDismissed] = useState<string[]>([]);
  const { studio } = call;
  const remotes = [...call.remotes.values()];
  const notices: Notice[] = [...call.notices];
  if (studio.unable) notices.push({ key: problemKey("picture", studio.unable), level: "warn" });
  for (const part of ["picture", "sound"] as Part[]) {
    const problem = studio[part].problem;
    if (problem) notices.push({ key: problemKey(part, problem), level: "warn", action: { key: "settings", run: () => setDialog("settings") } });
  }
  // Who is told again after it was mended meanwhile, is told.
  const still = dismissed.filter((key) => notices.some((n) => n.key === key));
  if (still.length < dismissed.length) setDismissed(still);
  const shown = notices.filter((n) => !still.includes(n.key));
  const toggle = (name: Tab): void => setTab(tab === name ? undefined : name);
  return (
    <div class={tab ? "room with-panel" : "room"}>
      <main>
        <h1 class="visually-hidden">{t("title")}</h1>
        <div class="notices" aria-live="polite">
          {shown.map((n) => (
            <div key={n.key} class={`notice ${n.level}`}>
              <Icon name="warning" size={20} />
              <p>
                {t(n.key)}
                {n.detail && <small>{n.detail}</small>}
              </p>
              {n.action && (
                <button type="button" onClick={n.action.run}>
                  {t(n.action.key)}
                </button>
              )}
              <button type="button" class="plain" aria-label={t("dismiss")} onClick={() => (setDismissed([...still, n.key]), call.unnotice(n.key))}>
                <Icon name="close" size={18} />
              </button>
            </div>
          ))}
        </div>
        <Grid count={Math.max(2, remotes.length + 1)}>
          {remotes.map((remote) => (
            <RemoteTile key={remote.streamID} call={call} remote={remote} t={t} />
          ))}
          <OwnTile call={call} t={t} />
          {remotes.length === 0 && (
            <div class="tile invite">
              <Icon name="people" size={40} />
              <p>{call.members.size === 0 ? t("alone") : t("members", call.members.size + 1)}</p>
              <button type="button" class="primary" onClick={() => setDialog("share")}>
                <Icon name="share" size={18} />
                {t("shareTitle")}
              </button>
            </div>
          )}
        </Grid>
      </main>
      {tab && <Panel call={call} t={t} tab={tab} onTab={setTab} onClose={() => setTab(undefined)} />}
      <nav class="controls" aria-label={t("title")}>
        <Round
          icon={studio.sound.on ? "mic" : "micOff"}
          off={!studio.sound.on}
          pressed={!studio.sound.on}
          label={t(studio.sound.on ? "muteMic" : "unmuteMic")}
          onClick={() => void call.turn("sound", !studio.sound.on)}
        />
        <Round
          icon={studio.picture.on ? "camera" : "cameraOff"}
          off={!studio.picture.on}
          pressed={!studio.picture.on}
          label={t(studio.picture.on ? "stopCamera" : "startCamera")}
          onClick={() => void call.turn("picture", !studio.picture.on)}
        />
        <Round icon="settings" label={t("settings")} onClick={() => setDialog("settings")} />
        <Round icon="share" label={t("share")} onClick={() => setDialog("share")} />
        <Round icon="people" label={t("people")} pressed={tab === "people"} onClick={() => toggle("people")} />
        <Round icon="chat" label={t("chat")} badge={tab === "chat" ? 0 : call.unread} pressed={tab === "chat"} onClick={() => toggle("chat")} />
        <Round icon="statistics" label={t("figures")} pressed={tab === "figures"} onClick={() => toggle("figures")} />
        <button type="button" class="leave" onClick={() => call.leave()}>
          <Icon name="leave" />
          <span>{t("leave")}</span>
        </button>
      </nav>
      {dialog === "share" && <Share call={call} t={t} onClose={() => setDialog(undefined)} />}
      {dialog === "settings" && (
        <Dialog title={t("settings")} t={t} onClose={() => setDialog(undefined)}>
          <Devices studio={studio} t={t} />
          <label class="check">
            <input type="checkbox" checked={call.webrtc} onChange={(e) => call.setWebrtc(e.currentTarget.checked)} /> {t("byWebrtc")}
          </label>
        </Dialog>
      )}
    </div>
  );
}

/** Tiles of 16:9, as large as their number allows. */
function Grid({ count, children }: { count: number; children: ComponentChildren }) {
  const grid = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    const element = grid.current!;
    const fit = (): void => element.style.setProperty("--tile", `${tileWidth(element.clientWidth, element.clientHeight, count)}px`);
    fit();
    const observer = new ResizeObserver(fit);
    observer.observe(element);
    return () => observer.disconnect();
  }, [count]);
  return (
    <div ref={grid} class="grid">
      {children}
    </div>
  );
}

const gap = 12; // as in theme.css
/** Smaller ones are no use: the grid scrolls instead. */
const leastTile = 150;

/** The width of the largest tiles that fit. */
export function tileWidth(width: number, height: number, count: number): number {
  let best = 0;
  for (let columns = 1; columns <= count; columns++) {
    const rows = Math.ceil(count / columns);
    const wide = (width - gap * (columns - 1)) / columns;
    const high = (((height - gap * (rows - 1)) / rows) * 16) / 9;
    best = Math.max(best, Math.min(wide, high));
  }
  return Math.floor(Math.max(best, Math.min(width, leastTile)));
}
