// A global `wx` on the fake server: sockets, the app's life, the phone, contexts.
import type { FakeServer } from "./server.js";

export class FakeWx {
  networkType = "wifi";
  platform = "android";
  SDKVersion = "3.5.0";
  setting: Record<string, boolean> = { "scope.camera": true, "scope.record": true };
  grants: Record<string, boolean> = {};
  readonly shown: (() => void)[] = [];
  readonly network: ((r: object) => void)[] = [];
  readonly posted: { url: string; data: string }[] = [];
  /** Every call of a context: "push start", "s1 play". */
  readonly calls: string[] = [];

  constructor(private readonly server: FakeServer) {}

  connectSocket = (option: never): object => this.server.connectSocket(option);
  getNetworkType = (o: { success: (r: object) => void }): void => o.success({ networkType: this.networkType });
  getSystemInfoSync = (): object => ({ platform: this.platform, SDKVersion: this.SDKVersion });
  onAppShow = (f: () => void): void => void this.shown.push(f);
  offAppShow = (f: () => void): void => void this.shown.splice(this.shown.indexOf(f), 1);
  onNetworkStatusChange = (f: (r: object) => void): void => void this.network.push(f);
  offNetworkStatusChange = (f: (r: object) => void): void => void this.network.splice(this.network.indexOf(f), 1);
  getSetting = (o: { success: (r: object) => void }): void => o.success({ authSetting: this.setting });
  authorize = (o: { scope: string; success: () => void; fail: () => void }): void => (this.grants[o.scope] ? o.success() : o.fail());
  request = (o: { url: string; data: string }): void => void this.posted.push(o);
  createLivePusherContext = (): object => this.context("push");
  createLivePlayerContext = (id: string, component?: { name?: string }): object => this.context(`${id}${component?.name ? `@${component.name}` : ""}`);

  private context(name: string): object {
    return new Proxy({}, { get: (_t, method) => (method === "noSuch" ? undefined : () => this.calls.push(`${name} ${String(method)}`)) });
  }
}

/** A page that keeps its data. */
export class FakePage {
  data: Record<string, any> = {};
  constructor(readonly name = "") {}
  setData(data: Record<string, unknown>, done?: () => void): void {
    Object.assign(this.data, JSON.parse(JSON.stringify(data)));
    done?.();
  }
}
