// The rooms of an engine, by their id: one, or several of one user.
import { code, LiveRelayError } from "./code.js";
import type { Room } from "./room.js";

/** PROTOCOL.md: so many rooms on one connection. */
const mostRooms = 5;

/** Those that are logged in to, also while they reconnect. */
export function liveRooms(rooms: Map<string, Room>): Room[] {
  return Array.from(rooms.values()).filter((room) => room.live);
}

/** What holds for a room of a user beside others; multi: several are permitted. */
export function verifySecond(rooms: Map<string, Room>, multi: boolean, userID: string): void {
  if (rooms.size === 0) return;
  if (!multi) throw new LiveRelayError(code.loginTwice, "already logged in to another room");
  if (rooms.size >= mostRooms) throw new LiveRelayError(code.multiRoomLimit, `at most ${mostRooms} rooms`);
  for (const room of rooms.values()) {
    if (room.user.userID !== userID) throw new LiveRelayError(code.otherUser, "another user is logged in");
  }
}

/** The room that is meant: the named one, the one that lists the stream, or the first. */
export function findRoom(rooms: Map<string, Room>, roomID: unknown, streamID: unknown): Room {
  const live = liveRooms(rooms);
  if (live.length === 0) throw new LiveRelayError(code.notLoggedIn, "not logged in to a room");
  if (roomID === undefined) return live.filter((room) => room.has(streamID as string))[0] || live[0]!;
  const room = live.filter((r) => r.id === roomID)[0];
  if (!room) throw new LiveRelayError(code.roomNotLoggedIn, "not logged in to this room");
  return room;
}
