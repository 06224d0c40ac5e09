// Lines over time. The canvas is for eyes; its label says the same to a screen reader.
import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { clock } from "../figure.js";
import { useSession } from "../session.js";

export interface Line {
  label: string;
  values: number[];
}

interface Props {
  title: string;
  /** Seconds since 1970, one for each value. */
  times: number[];
  lines: Line[];
  /** A value as people read it. */
  figure(value: number): string;
  /** There is no half of what is counted. */
  whole?: boolean;
}

const height = 180;
const wholeSteps = Array.from({ length: 21 }, (_, i) => [1, 2, 5][i % 3]! * 10 ** Math.floor(i / 3));
const colours = ["--line-1", "--line-2"];

export function Chart({ title, times, lines, figure, whole }: Props) {
  const { words, language } = useSession();
  const box = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot>(undefined);
  const [dark, setDark] = useState(() => matchMedia("(prefers-color-scheme: dark)").matches);
  const [at, setAt] = useState<number>();
  const shown = at !== undefined && at < times.length ? at : times.length - 1;

  useEffect(() => {
    const theme = matchMedia("(prefers-color-scheme: dark)");
    const follow = (): void => setDark(theme.matches);
    theme.addEventListener("change", follow);
    return () => theme.removeEventListener("change", follow);
  }, []);

  useEffect(() => {
    const element = box.current!;
    const colour = (name: string): string => colourOf(element, name);
    const axis = { stroke: colour("--quiet"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: `12px ${getComputedStyle(element).fontFamily}` };
    const time = new Intl.DateTimeFormat(language === "zh" ? "zh-CN" : "en", { hour: "2-digit", minute: "2-digit", hour12: false });
    chart.current = new uPlot(
      {
        width: element.clientWidth,
        height,
        legend: { show: false },
        padding: [8, 8, 0, 0],
        cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 } },
        scales: { y: { range: (_, __, most) => [0, Math.max(1, most * 1.15)] } },
        axes: [
          { ...axis, size: 28, space: 70, values: (_, ticks) => ticks.map((t) => time.format(t * 1000)) },
          { ...axis, size: whole ? 48 : 84, space: 36, ...(whole && { incrs: wholeSteps }), values: (_, ticks) => ticks.map(figure) },
        ],
        series: [{}, ...lines.map((line, i) => ({ label: line.label, stroke: colour(colours[i]!), fill: i === 0 ? faint(colour(colours[i]!)) : undefined, width: 2, points: { show: false } }))],
        hooks: { setCursor: [(u) => setAt(u.cursor.idx ?? undefined)] },
      },
      [times, ...lines.map((line) => line.values)],
      element,
    );
    const resize = new ResizeObserver(() => chart.current?.setSize({ width: element.clientWidth, height }));
    resize.observe(element);
    return () => {
      resize.disconnect();
      chart.current!.destroy();
    };
  }, [dark, language, lines.length]);

  useEffect(() => {
    chart.current?.setData([times, ...lines.map((line) => line.values)]);
  }, [times, lines]);

  const summary = lines.map((line) => `${line.label}: ${words.nowAndMost(figure(line.values.at(-1) ?? 0), figure(Math.max(0, ...line.values)))}`).join(". ");
  return (
    <figure class="chart">
      <figcaption>
        <h3>{title}</h3>
        <ul aria-hidden="true">
          {lines.map((line, i) => (
            <li key={line.label} class={`line-${i + 1}`}>
              {line.label} <strong>{shown >= 0 ? figure(line.values[shown] ?? 0) : "–"}</strong>
            </li>
          ))}
          <li class="time">{at !== undefined && times[shown] ? clock(times[shown]! * 1000, language) : ""}</li>
        </ul>
      </figcaption>
      <div ref={box} role="img" aria-label={`${title}. ${summary}`} />
    </figure>
  );
}

/** A colour of the theme as the canvas takes it. */
function colourOf(element: HTMLElement, name: string): string {
  const probe = document.createElement("span");
  probe.style.color = `var(${name})`;
  element.append(probe);
  const colour = getComputedStyle(probe).color;
  probe.remove();
  return colour;
}

/** rgb(1, 2, 3) as what lies below a line. */
function faint(colour: string): string {
  return colour.replace("rgb(", "rgba(").replace(")", ", 0.12)");
}
