// The one seam to the network: a WebSocket, whoever has it.
import { cutBytes } from "./utf8.js";

/** An open or opening WebSocket. */
export interface Socket {
  send(text: string): void;
  close(code: number, reason: string): void;
}

/** Who is told. `close` comes exactly once, whatever happened before; after it nothing comes. */
export interface SocketHandler {
  open(): void;
  message(text: string): void;
  close(code: number, reason: string): void;
}

/** Dials a URL. Never throws: what fails is told by the handler's close. */
export type Dial = (url: string, handler: SocketHandler, timeout: number) => Socket;

/** No close frame was seen: RFC 6455 §7.1.5. */
export const abnormal = 1006;

/** The longest reason of a close frame, in bytes: RFC 6455 §5.5. */
const longestReason = 123;

/**
 * What a client may say in its close frame: 1000, or a code of its own from 3000 on, and a reason
 * that is not too long. A socket refuses anything else and stays open.
 */
function farewell(code: number, reason: string): { code: number; reason: string } {
  return { code: code === 1000 || (code >= 3000 && code <= 4999) ? code : 4000, reason: cutBytes(reason, longestReason) };
}

/** Lets the handler see one close, and nothing after it. */
function guard(handler: SocketHandler): SocketHandler {
  let open = true;
  return {
    open: () => open && handler.open(),
    message: (text) => open && handler.message(text),
    close: (code, reason) => {
      if (!open) return;
      open = false;
      handler.close(code, reason);
    },
  };
}

/** The part of wx.connectSocket's SocketTask that is used. */
interface SocketTask {
  onOpen(callback: () => void): void;
  onMessage(callback: (result: { data: unknown }) => void): void;
  onClose(callback: (result?: { code?: number; reason?: string }) => void): void;
  onError(callback: (result?: { errMsg?: string }) => void): void;
  send(option: { data: string; success: () => void; fail: () => void }): void;
  close(option: { code: number; reason: string; success: () => void; fail: () => void }): void;
}

/** Dials by wx.connectSocket. */
export function wxDial(wx: { connectSocket: (option: object) => unknown }): Dial {
  return (url, rawHandler, timeout) => {
    const handler = guard(rawHandler);
    let task: SocketTask | undefined;
    try {
      task = wx.connectSocket({
        url,
        timeout,
        tcpNoDelay: true,
        success: nothing,
        // Later: nobody is told of a socket before they have it.
        fail: (e?: { errMsg?: string }) => later(() => handler.close(abnormal, (e && e.errMsg) || "connectSocket failed")),
      }) as SocketTask;
      task.onOpen(() => handler.open());
      task.onMessage((result) => typeof result.data === "string" && handler.message(result.data));
      task.onClose((result) => handler.close((result && result.code) || abnormal, (result && result.reason) || ""));
      task.onError((result) => handler.close(abnormal, (result && result.errMsg) || "socket error"));
    } catch (error) {
      // More than five sockets, or an address that is not in the whitelist: some versions throw.
      later(() => handler.close(abnormal, String(error)));
    }
    return {
      send(text) {
        try {
          task!.send({ data: text, success: nothing, fail: () => handler.close(abnormal, "send failed") });
        } catch (error) {
          handler.close(abnormal, String(error));
        }
      },
      close(code, reason) {
        handler.close(code, reason);
        try {
          task!.close({ ...farewell(code, reason), success: nothing, fail: nothing });
        } catch {
          // It was not open yet or is gone already: nothing left to close.
        }
      },
    };
  };
}

/** The part of the WebSocket interface that is used. */
interface WebSocketLike {
  onopen: unknown;
  onmessage: unknown;
  onclose: unknown;
  onerror: unknown;
  send(text: string): void;
  close(code?: number, reason?: string): void;
}

/** Dials by a WebSocket class: the browser's, or one for Node. */
export function webDial(WebSocketClass: new (url: string) => unknown): Dial {
  return (url, rawHandler, timeout) => {
    const handler = guard(rawHandler);
    let socket: WebSocketLike | undefined;
    const timer = setTimeout(() => close(abnormal, "connect timeout"), timeout);
    const close = (code: number, reason: string): void => {
      clearTimeout(timer);
      handler.close(code, reason);
      try {
        const last = farewell(code, reason);
        socket!.close(last.code, last.reason);
      } catch {
        // It never came to be.
      }
    };
    try {
      socket = new WebSocketClass(url) as WebSocketLike;
      socket.onopen = () => {
        clearTimeout(timer);
        handler.open();
      };
      socket.onmessage = (event: { data: unknown }) => typeof event.data === "string" && handler.message(event.data);
      socket.onerror = nothing; // a close follows
      socket.onclose = (event: { code: number; reason: string }) => {
        clearTimeout(timer);
        handler.close(event.code, event.reason);
      };
    } catch (error) {
      later(() => close(abnormal, String(error)));
    }
    return {
      send(text) {
        try {
          socket!.send(text);
        } catch (error) {
          close(abnormal, String(error));
        }
      },
      close,
    };
  };
}

/** Dials nowhere: there is no WebSocket here. */
export const noDial: Dial = (_url, handler) => {
  later(() => handler.close(abnormal, "no WebSocket in this environment"));
  return { send: nothing, close: nothing };
};

/** Without callbacks some calls of wx return a promise that may reject with nobody listening. */
function nothing(): void {}

function later(call: () => void): void {
  setTimeout(call, 0);
}
