import { code, LiveRelayError } from "./code.js";
import { byteLength } from "./utf8.js";

// The rules of PROTOCOL.md §2 for ids, checked before anything is sent. Each
// check returns nothing or throws the documented code.

const control = /[\u0000-\u001f\u007f-\u009f]/;

function check(text: unknown, what: string, most: number, empty: number, illegal: number, long: number, legal?: RegExp): void {
  if (text === undefined || text === null || text === "") throw new LiveRelayError(empty, `${what} is empty`);
  if (typeof text !== "string") throw new LiveRelayError(illegal, `${what} is not a string`);
  if (byteLength(text) > most) throw new LiveRelayError(long, `${what} is longer than ${most} bytes`);
  if (legal ? !legal.test(text) : control.test(text)) throw new LiveRelayError(illegal, `${what} has an illegal character`);
}

export function checkRoomID(id: unknown): void {
  check(id, "roomID", 128, code.roomIDEmpty, code.roomIDIllegal, code.roomIDTooLong);
}

export function checkStreamID(id: unknown): void {
  check(id, "streamID", 256, code.streamIDEmpty, code.streamIDIllegal, code.streamIDTooLong, /^[0-9A-Za-z_.-]+$/);
}

export function checkUser(user: unknown): void {
  const { userID, userName } = (user || {}) as { userID?: unknown; userName?: unknown };
  check(userID, "userID", 64, code.userIDEmpty, code.userIDIllegal, code.userIDTooLong);
  if (userName === undefined || userName === null || userName === "") return;
  check(userName, "userName", 256, code.userNameIllegal, code.userNameIllegal, code.userNameTooLong);
}

export function checkToken(token: unknown): void {
  if (typeof token !== "string" || token === "") throw new LiveRelayError(code.parameter, "token is not a string or empty");
}

export function checkMessage(message: unknown): void {
  if (message === undefined || message === null || message === "") throw new LiveRelayError(code.messageEmpty, "message is empty");
  if (typeof message !== "string") throw new LiveRelayError(code.parameter, "message is not a string");
  if (byteLength(message) > 1024) throw new LiveRelayError(code.messageTooLong, "message is longer than 1024 bytes");
}

export function checkExtraInfo(extraInfo: unknown, most = 128): void {
  if (typeof extraInfo !== "string") throw new LiveRelayError(code.extraInfoNull, "extraInfo is not a string");
  if (byteLength(extraInfo) > most) throw new LiveRelayError(code.extraInfoTooLong, `extraInfo is longer than ${most} bytes`);
}

/** A number of a component's event, which may be a string; 0 when it is none. */
export function asNumber(value: unknown): number {
  const n = typeof value === "string" && value !== "" ? Number(value) : value;
  return typeof n === "number" && isFinite(n) ? n : 0;
}
