import { type Dial, noDial, webDial, wxDial } from "./transport.js";

// Where the SDK runs: a mini program (wx), a browser, or something else. Nothing
// here may assume that a global exists: a mini program has neither window nor process.

/** The part of the global `wx` that is used; every function may be missing in old versions. */
export interface Wx {
  connectSocket(option: object): unknown;
  getNetworkType?(option: object): void;
  getSystemInfoSync?(): { platform?: string; SDKVersion?: string };
  getDeviceInfo?(): { platform?: string };
  getAppBaseInfo?(): { SDKVersion?: string };
  onAppShow?(callback: () => void): void;
  offAppShow?(callback: () => void): void;
  onNetworkStatusChange?(callback: (result: { isConnected?: boolean }) => void): void;
  offNetworkStatusChange?(callback: (result: { isConnected?: boolean }) => void): void;
  getSetting?(option: object): void;
  authorize?(option: object): void;
  request?(option: object): void;
  createLivePusherContext?(context?: unknown): unknown;
  createLivePlayerContext?(id: string, context?: unknown): unknown;
}

declare const wx: Wx | undefined;

/** What the engine needs of its surroundings. */
export interface Platform {
  readonly name: "wechat" | "web" | "other";
  readonly wx?: Wx;
  readonly dial: Dial;
  /** iOS splits a netstatus report in two. */
  readonly ios: boolean;
  /** "none" only when it is certain that there is no network. */
  networkType(): Promise<string>;
  /**
   * Calls back when the app is shown again or the network came back (true), or went (false).
   * Returns how to stop that.
   */
  watch(callback: (online: boolean) => void): () => void;
  /** Posts log lines; failure is nobody's concern. */
  post(url: string, body: string): void;
}

/** Finds out where we are. */
export function detect(WebSocketClass?: new (url: string) => unknown): Platform {
  if (WebSocketClass) return other(webDial(WebSocketClass));
  if (typeof wx !== "undefined" && wx && typeof wx.connectSocket === "function") return wechat(wx);
  if (typeof WebSocket !== "undefined") {
    return typeof window === "undefined" ? other(webDial(WebSocket)) : web();
  }
  return other(noDial);
}

function wechat(wx: Wx): Platform {
  return {
    name: "wechat",
    wx,
    dial: wxDial(wx),
    ios: wxInfo(wx).platform === "ios",
    networkType: () =>
      new Promise((resolve) => {
        // The callback has been seen to never come on a frozen app: do not wait for it for ever.
        const timer = setTimeout(() => resolve("unknown"), 1000);
        const done = (type: string): void => {
          clearTimeout(timer);
          resolve(type);
        };
        if (!wx.getNetworkType) return done("unknown");
        wx.getNetworkType({
          success: (result: { networkType?: string }) => done(result.networkType || "unknown"),
          fail: () => done("unknown"),
        });
      }),
    watch: (callback) => {
      const shown = (): void => callback(true);
      const changed = (result: { isConnected?: boolean }): void => callback(result.isConnected !== false);
      wx.onAppShow && wx.onAppShow(shown);
      wx.onNetworkStatusChange && wx.onNetworkStatusChange(changed);
      return () => {
        wx.offAppShow && wx.offAppShow(shown);
        wx.offNetworkStatusChange && wx.offNetworkStatusChange(changed);
      };
    },
    post: (url, data) => {
      wx.request && wx.request({ url, method: "POST", data, header: { "content-type": "application/json" }, success: () => undefined, fail: () => undefined });
    },
  };
}

/** What the phone and the base library are, by the new calls or the old one. */
export function wxInfo(wx: Wx): { platform: string; version: string } {
  const info = { platform: "", version: "" };
  try {
    const old = wx.getDeviceInfo && wx.getAppBaseInfo ? undefined : wx.getSystemInfoSync && wx.getSystemInfoSync();
    info.platform = (wx.getDeviceInfo ? wx.getDeviceInfo().platform : old && old.platform) || "";
    info.version = (wx.getAppBaseInfo ? wx.getAppBaseInfo().SDKVersion : old && old.SDKVersion) || "";
  } catch {
    // Not knowing the phone costs the merging of split reports, nothing else.
  }
  return info;
}

function web(): Platform {
  return {
    ...other(webDial(WebSocket)),
    name: "web",
    networkType: () => Promise.resolve(navigator.onLine === false ? "none" : "unknown"),
    watch: (callback) => {
      const online = (): void => callback(true);
      const offline = (): void => callback(false);
      const shown = (): void => {
        if (document.visibilityState === "visible") callback(true);
      };
      window.addEventListener("online", online);
      window.addEventListener("offline", offline);
      document.addEventListener("visibilitychange", shown);
      return () => {
        window.removeEventListener("online", online);
        window.removeEventListener("offline", offline);
        document.removeEventListener("visibilitychange", shown);
      };
    },
  };
}

function other(dial: Dial): Platform {
  return {
    name: "other",
    dial,
    ios: false,
    networkType: () => Promise.resolve("unknown"),
    watch: () => () => undefined,
    post: (url, body) => {
      if (typeof fetch === "function") {
        fetch(url, { method: "POST", body, headers: { "content-type": "application/json" } }).then(undefined, () => undefined);
      }
    },
  };
}
