// For web pages only: no part of the mini program's bundle.
export { playInto, WebPlayer } from "./player.js";
export { stampNal, readStamp } from "./stamp.js";
export { addresses, probe, probeClock } from "./ask.js";
export { FlvReader } from "./flv.js";
export { codecName } from "./codec.js";
export { wordOf } from "./word.js";
export type { Probe } from "./ask.js";
export type { Tag } from "./flv.js";
export type { WebPlayerEvent, WebPlayerOptions, WebPlayerReason, WebPlayerState, WebPlayerStats } from "./type.js";
