import { code, LiveRelayError, quiet } from "./code.js";
import type { ServerResponse } from "./type.js";

/**
 * What other vendors' engines have and this one has not: each says so when called.
 * @zh 其它厂商有而这里没有的功能：调用时会说明。
 */
export abstract class Unoffered {
  protected abstract readonly log: { warn(text: string): void };

  /** Not offered: the relay does not forward to other servers yet. @zh 不提供：暂不支持转推。 */
  addPublishCdnUrl(_streamID: string, _targetURL: string): Promise<ServerResponse> {
    return this.notOffered("addPublishCdnUrl", "push from a server of yours, for example with ffmpeg");
  }
  /** Not offered. @zh 不提供。 */
  removePublishCdnUrl(_streamID: string, _targetURL: string): Promise<ServerResponse> {
    return this.notOffered("removePublishCdnUrl", "there is nothing to remove");
  }
  /** Not offered: mixing. Play the streams side by side. @zh 不提供混流，请分别拉流。 */
  startMixerTask(_config: unknown): Promise<ServerResponse> {
    return this.notOffered("startMixerTask", "play the streams side by side");
  }
  /** Not offered. @zh 不提供。 */
  stopMixerTask(_taskID: string): Promise<ServerResponse> {
    return this.notOffered("stopMixerTask", "there is no mixing");
  }
  /** Not offered. @zh 不提供。 */
  setMixerTaskConfig(_config: unknown): Promise<ServerResponse> {
    return this.notOffered("setMixerTaskConfig", "there is no mixing");
  }
  /** Not offered. @zh 不提供。 */
  startAutoMixerTask(_task: unknown): Promise<ServerResponse> {
    return this.notOffered("startAutoMixerTask", "play the streams side by side");
  }
  /** Not offered. @zh 不提供。 */
  stopAutoMixerTask(_task: unknown): Promise<ServerResponse> {
    return this.notOffered("stopAutoMixerTask", "there is no mixing");
  }
  /** Accepted and without effect: there are no modules to load. @zh 接受但无作用：没有可加载的模块。 */
  static use(_module: unknown): void {
    warnStatic("use: there are no modules, everything is built in");
  }
  /** Not offered: the server is yours, it is where you put it. @zh 不提供：服务器由您部署。 */
  static setGeoFence(_type: number, _areas: number[]): void {
    warnStatic("setGeoFence is not offered: the server is where you put it");
  }
  /** Not offered. @zh 不提供。 */
  static setEngineOptions(_options: unknown): void {
    warnStatic("setEngineOptions is not offered");
  }
  /** Not offered: give several server addresses instead. @zh 不提供：请改为传入多个服务器地址。 */
  static setCloudProxyConfig(_list: unknown, _token: string, _enable: boolean): void {
    warnStatic("setCloudProxyConfig is not offered: give several server addresses instead");
  }
  /** Not offered: give the proxy's address as the server. @zh 不提供：请把代理地址作为服务器地址传入。 */
  static setLocalProxyConfig(_config: unknown, _enable: boolean): void {
    warnStatic("setLocalProxyConfig is not offered: give the proxy's address as the server");
  }

  private notOffered(name: string, instead: string): Promise<ServerResponse> {
    const text = `${name} is not offered: ${instead}`;
    this.log.warn(text);
    return quiet(Promise.reject(new LiveRelayError(code.notOffered, text)));
  }
}

function warnStatic(text: string): void {
  if (typeof console !== "undefined") console.warn(`[liverelay] ${text}`);
}
