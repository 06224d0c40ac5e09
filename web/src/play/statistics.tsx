import { codecName, type WebPlayerStats } from "liverelay-sdk/web";
import type { Words } from "./word.js";

/** How it is going, as a list of terms and values. */
export function Statistics({ stats, words, over }: { stats: WebPlayerStats; words: Words; over?: boolean }) {
  const ms = (n: number | undefined): string => (n === undefined ? words.unknown : `${Math.round(n)} ms`);
  const codecs = [stats.videoCodec, stats.audioCodec].filter(Boolean).map((c) => codecName[c] ?? c).join(" + ");
  const rows: [term: string, value: string, note?: string][] = [
    [words.delay, ms(stats.delay), stats.delaySince && (stats.delaySince === "publisher" ? words.delayPublisher : words.delayIngest)],
    [words.bitrate, `${Math.round(stats.kbps)} kbit/s`],
    [words.frames, `${stats.fps.toFixed(0)} /s`],
    [words.dropped, `${stats.dropped}`],
    [words.size, stats.width ? `${stats.width} × ${stats.height}` : words.unknown],
    [words.codecs, codecs || words.unknown],
    [words.buffered, ms(stats.buffered)],
    [words.lipSync, ms(stats.lipSync)],
    [words.level, stats.level ? `${Math.round(20 * Math.log10(stats.level))} dB` : words.unknown],
    [words.roundTrip, ms(stats.roundTrip)],
    [words.way, words.ways[stats.way]],
    [words.connects, `${stats.connects}`],
  ];
  return (
    <dl id="statistics" class={over ? "statistics over-picture" : "statistics"} aria-label={words.statistics}>
      {rows.map(([term, value, note]) => (
        <div key={term}>
          <dt>{term}</dt>
          <dd>
            {value}
            {note && <small>{note}</small>}
          </dd>
        </div>
      ))}
    </dl>
  );
}
