import type { EventMap } from "./type.js";

/** A handler of an app: anything it throws, or its promise rejects with, must not reach the SDK. */
export type Handler = (...args: any[]) => unknown;

/** Every event: whoever asks for another one has misspelt it. */
const events = Object.keys({
  roomStateUpdate: 1,
  roomStateChanged: 1,
  roomUserUpdate: 1,
  roomOnlineUserCountUpdate: 1,
  roomStreamUpdate: 1,
  streamExtraInfoUpdate: 1,
  publisherStateUpdate: 1,
  playerStateUpdate: 1,
  publishQualityUpdate: 1,
  playQualityUpdate: 1,
  tokenWillExpire: 1,
  renewTokenFailed: 1,
  roomExtraInfoUpdate: 1,
  IMRecvBroadcastMessage: 1,
  IMRecvBarrageMessage: 1,
  IMRecvCustomCommand: 1,
  audioVolumeUpdate: 1,
  mixerRelayCDNStateUpdate: 1,
  hallStateUpdate: 1,
} satisfies Record<keyof EventMap, 1>);

/** Events by name. Handlers run in the order in which they registered. */
export class Emitter {
  private readonly handlers = new Map<string, Handler[]>();

  constructor(private readonly failed: (event: string, error: unknown) => void, private readonly unknown: (event: string) => void) {}

  on(event: string, handler: Handler): boolean {
    if (events.indexOf(event) < 0) {
      this.unknown(String(event));
      return false;
    }
    if (typeof handler !== "function") return false;
    const list = this.handlers.get(event) || [];
    if (list.indexOf(handler) < 0) this.handlers.set(event, list.concat(handler));
    return true;
  }

  /** Removes one handler, or all of the event when none is named. */
  off(event: string, handler?: Handler): boolean {
    const list = this.handlers.get(event);
    if (!list) return false;
    const rest = handler ? list.filter((h) => h !== handler) : [];
    this.handlers.set(event, rest);
    return rest.length < list.length;
  }

  clear(): void {
    this.handlers.clear();
  }

  emit(event: string, args: unknown[]): void {
    for (const handler of this.handlers.get(event) || []) {
      try {
        const result = handler(...args) as { then?: unknown } | undefined;
        // An async handler's rejection would be an unhandled one of the whole mini program.
        if (result && typeof result.then === "function") {
          Promise.resolve(result).then(undefined, (error) => this.failed(event, error));
        }
      } catch (error) {
        this.failed(event, error);
      }
    }
  }
}
