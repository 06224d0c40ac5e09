// What a call knows of the other members: their streams, and what they say.
import type { User } from "liverelay-sdk";
import type { WebPlayer, WebPlayerEvent, WebPlayerStats } from "liverelay-sdk/web";

/** Another member's stream. */
export interface Remote {
  streamID: string;
  user: User;
  extraInfo: string;
  /** The member switched it off. */
  cameraOff: boolean;
  micOff: boolean;
  muted: boolean;
  state: WebPlayerEvent;
  stats?: WebPlayerStats;
  player?: WebPlayer;
  element?: HTMLElement;
}

/** A message of the room. */
export interface Message {
  kind: "broadcast" | "barrage" | "command";
  from: string;
  text: string;
  at: number;
  own: boolean;
}

/** A stream's name may have letters, digits, - _ . only; a user's may have any. */
export function streamOf(user: string): string {
  const plain = user.replace(/[^A-Za-z0-9_.-]/g, "_");
  if (plain === user) return `${user}-web`;
  let hash = 5381;
  for (const c of user) hash = ((hash * 33) ^ c.codePointAt(0)!) >>> 0;
  return `${plain}-${hash.toString(36)}-web`;
}

/** How a member is called. */
export function nameOf(user: User): string {
  return user.userName || user.userID;
}

/** What a member tells of its camera and microphone, as the mini program's example does. */
export function switches(extraInfo: string): { cameraOff: boolean; micOff: boolean } {
  try {
    const { camera, mic } = JSON.parse(extraInfo) as { camera?: boolean; mic?: boolean };
    return { cameraOff: camera === false, micOff: mic === false };
  } catch {
    return { cameraOff: false, micOff: false };
  }
}
