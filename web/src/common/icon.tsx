// Pictures on buttons, drawn here: nothing is loaded. The button's name is its label, so they are hidden from screen readers.
const paths = {
  sound: "M4 9v6h4l5 4V5L8 9H4Zm12.5-1.5a6 6 0 0 1 0 9M18.8 5a9.5 9.5 0 0 1 0 14",
  muted: "M4 9v6h4l5 4V5L8 9H4Zm12 1 5 4m0-4-5 4",
  statistics: "M5 20v-6m5 6V9m5 11v-8m5 8V5",
  fullscreen: "M4 9V4h5m6 0h5v5m0 6v5h-5m-6 0H4v-5",
  smaller: "M9 4v5H4m16 0h-5V4m0 16v-5h5M4 15h5v5",
  retry: "M20 12a8 8 0 1 1-2.6-5.9M20 3v4.5h-4.5",
  warning: "M12 4 2.8 20h18.4L12 4Zm0 6v4.5m0 2.7v.1",
  antenna: "M12 13v8m-4.2-8.2a6 6 0 0 1 0-7.6m8.4 0a6 6 0 0 1 0 7.6M5 15.6a10 10 0 0 1 0-13.2m14 0a10 10 0 0 1 0 13.2M12 9v.1",
} as const;

export type IconName = keyof typeof paths;

export function Icon({ name, size = 22 }: { name: IconName; size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">
      <path d={paths[name]} />
    </svg>
  );
}
