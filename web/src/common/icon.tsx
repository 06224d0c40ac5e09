// Pictures on buttons, drawn here: nothing is loaded. The button's name is its label, so they are
// hidden from screen readers.
const paths = {
  sound: "M4 9v6h4l5 4V5L8 9H4Zm12.5-1.5a6 6 0 0 1 0 9M18.8 5a9.5 9.5 0 0 1 0 14",
  muted: "M4 9v6h4l5 4V5L8 9H4Zm12 1 5 4m0-4-5 4",
  statistics: "M5 20v-6m5 6V9m5 11v-8m5 8V5",
  fullscreen: "M4 9V4h5m6 0h5v5m0 6v5h-5m-6 0H4v-5",
  smaller: "M9 4v5H4m16 0h-5V4m0 16v-5h5M4 15h5v5",
  retry: "M20 12a8 8 0 1 1-2.6-5.9M20 3v4.5h-4.5",
  warning: "M12 4 2.8 20h18.4L12 4Zm0 6v4.5m0 2.7v.1",
  antenna: "M12 13v8m-4.2-8.2a6 6 0 0 1 0-7.6m8.4 0a6 6 0 0 1 0 7.6M5 15.6a10 10 0 0 1 0-13.2m14 0a10 10 0 0 1 0 13.2M12 9v.1",
  mic: "M12 15a3.5 3.5 0 0 0 3.5-3.5v-5a3.5 3.5 0 0 0-7 0v5A3.5 3.5 0 0 0 12 15Zm-7-3.5a7 7 0 0 0 14 0M12 18.5V22",
  micOff: "M8.5 8.5v3a3.5 3.5 0 0 0 5.6 2.8m1.4-3.3V6.5a3.5 3.5 0 0 0-6.6-1.6M5 11.5a7 7 0 0 0 11.2 5.6M19 11.5a7 7 0 0 1-.5 2.6M12 18.5V22M3 3l18 18",
  camera: "M3 7.5A1.5 1.5 0 0 1 4.5 6h9A1.5 1.5 0 0 1 15 7.5v9a1.5 1.5 0 0 1-1.5 1.5h-9A1.5 1.5 0 0 1 3 16.5v-9Zm12 3 6-3.5v10l-6-3.5",
  cameraOff: "M9.5 6h4A1.5 1.5 0 0 1 15 7.5v4m0 3v2a1.5 1.5 0 0 1-1.5 1.5h-9A1.5 1.5 0 0 1 3 16.5v-9A1.5 1.5 0 0 1 4.5 6M15 10.5l6-3.5v10l-3-1.75M3 3l18 18",
  settings: "M4 7h9m5 0h2M4 17h2m5 0h9M15.5 9.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5Zm-7 10a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5Z",
  share: "M10 14a4.5 4.5 0 0 0 6.4 0l3-3A4.5 4.5 0 0 0 13 4.6l-1 1m2 4.4a4.5 4.5 0 0 0-6.4 0l-3 3A4.5 4.5 0 0 0 11 19.4l1-1",
  leave: "M15 16.5 19.5 12 15 7.5M19 12H9m4-8H5.5A1.5 1.5 0 0 0 4 5.5v13A1.5 1.5 0 0 0 5.5 20H13",
  people: "M9 11.5a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7ZM2.5 20a6.5 6.5 0 0 1 13 0m.5-8.8a3.5 3.5 0 0 0 0-6.4m2 9.6a6.5 6.5 0 0 1 3.5 5.6",
  chat: "M4 5.5A1.5 1.5 0 0 1 5.5 4h13A1.5 1.5 0 0 1 20 5.5v9a1.5 1.5 0 0 1-1.5 1.5H10l-5 4v-4.2a1.5 1.5 0 0 1-1-1.3v-9Z",
  log: "M6 3.5h9l4 4V20.5H6v-17ZM9 11h7m-7 3.5h7M9 18h4",
  close: "M6 6l12 12M18 6 6 18",
  copy: "M9 9.5A1.5 1.5 0 0 1 10.5 8h8A1.5 1.5 0 0 1 20 9.5v9a1.5 1.5 0 0 1-1.5 1.5h-8A1.5 1.5 0 0 1 9 18.5v-9ZM15 8V5.5A1.5 1.5 0 0 0 13.5 4h-8A1.5 1.5 0 0 0 4 5.5v8A1.5 1.5 0 0 0 5.5 15H9",
  menu: "M4 6.5h16M4 12h16M4 17.5h16",
  play: "M7 4.5v15l12-7.5-12-7.5Z",
  send: "M4 12 20 4l-5 16-3.5-6.5L4 12Zm7.5 1.5L20 4",
} as const;

export type IconName = keyof typeof paths;

export function Icon({ name, size = 22 }: { name: IconName; size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">
      <path d={paths[name]} />
    </svg>
  );
}
