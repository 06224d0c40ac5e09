import { LiveRelayEngine } from "./engine.js";

export { LiveRelayEngine };
/** The same class under the name that existing mini programs import. @zh 同一个类，供现有小程序按原名导入。 */
export { LiveRelayEngine as ZegoExpressEngine };
export { code, LiveRelayError } from "./code.js";
export type { LivePlayer, LivePusher } from "./component.js";
export type * from "./type.js";
export default LiveRelayEngine;
