import type { LiveRelayEngine } from "./engine.js";

// What selectComponent gives a TypeScript page of the ready components; the code is in
// miniprogram/.

interface StreamInstance {
  /** Uses this engine instead of the one created last. @zh 使用指定引擎，缺省为最近创建的引擎。 */
  setEngine(engine: LiveRelayEngine): void;
  /** Take a picture. @zh 截图。 */
  snapshot(option?: object): void;
  /**
   * The native component's context, undefined while nothing is shown.
   * @zh 原生组件的上下文，未显示时为 undefined。
   */
  getContext(): Record<string, (option?: object) => void> | undefined;
}

/**
 * The component `live-push`, as `this.selectComponent("#push") as LivePushInstance`.
 * @zh 组件 live-push 的实例：`this.selectComponent("#push") as LivePushInstance`。
 */
export interface LivePushInstance extends StreamInstance {
  /** Front to back camera and back. @zh 切换前后摄像头。 */
  switchCamera(option?: object): void;
}

/**
 * The component `live-play`, as `this.selectComponent("#play") as LivePlayInstance`.
 * @zh 组件 live-play 的实例：`this.selectComponent("#play") as LivePlayInstance`。
 */
export interface LivePlayInstance extends StreamInstance {
  requestFullScreen(option?: object): void;
  exitFullScreen(option?: object): void;
  /** Sound goes on in the background. @zh 后台继续播放声音。 */
  requestBackgroundPlayback(option?: object): void;
  exitBackgroundPlayback(option?: object): void;
}
