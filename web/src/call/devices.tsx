// Choice of camera, microphone, size and bitrate.
import { bitrates, sizes, testCard, type Part, type Studio } from "./publish/studio.js";
import { problemKey } from "./words.js";
import type { Text } from "./view.js";

export function Devices({ studio, t }: { studio: Studio; t: Text }) {
  const { width, kbps } = studio.format;
  return (
    <div class="fields">
      <Device studio={studio} part="picture" t={t} />
      <Device studio={studio} part="sound" t={t} />
      <label>
        <span>{t("resolution")}</span>
        <select value={String(width)} disabled={!!studio.unable} onChange={(e) => void studio.set(sizes.find((s) => String(s.width) === e.currentTarget.value)!)}>
          {sizes.map((s) => (
            <option key={s.width} value={String(s.width)}>{`${s.name} · ${s.width}×${s.height}`}</option>
          ))}
        </select>
      </label>
      <label>
        <span>{t("bitrate")}</span>
        <select value={String(kbps)} disabled={!!studio.unable} onChange={(e) => void studio.set({ kbps: Number(e.currentTarget.value) })}>
          {bitrates.map((b) => (
            <option key={b} value={String(b)}>
              {t("kbps", b)}
            </option>
          ))}
        </select>
      </label>
    </div>
  );
}

function Device({ studio, part, t }: { studio: Studio; part: Part; t: Text }) {
  const list = part === "picture" ? studio.devices.cameras : studio.devices.microphones;
  const { choice, problem } = studio[part];
  const help = `problem-${part}`;
  return (
    <label>
      <span>{t(part === "picture" ? "camera" : "microphone")}</span>
      <select value={choice} disabled={!!studio.unable} aria-describedby={problem ? help : undefined} onChange={(e) => void studio.choose(part, e.currentTarget.value)}>
        <option value="">{t("default")}</option>
        {list
          .filter((d) => d.deviceId !== "" && d.deviceId !== "default")
          .map((d, i) => (
            <option key={d.deviceId} value={d.deviceId}>
              {d.label || `${t(part === "picture" ? "camera" : "microphone")} ${i + 1}`}
            </option>
          ))}
        <option value={testCard}>{t(part === "picture" ? "testPicture" : "testTone")}</option>
      </select>
      {problem && (
        <small id={help} class="problem">
          {t(problemKey(part, problem))}
        </small>
      )}
    </label>
  );
}
