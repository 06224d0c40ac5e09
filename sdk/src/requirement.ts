import type { Platform, Wx } from "./platform.js";
import { wxInfo } from "./platform.js";

/** live-pusher and live-player came with this base library. */
const oldest = [1, 7, 0];

/**
 * Whether this phone can call: 0, 10001 WeChat too old, 10002 camera or microphone not permitted.
 */
export async function checkRequirement(platform: Platform): Promise<{ code: number; msg: string }> {
  const wx = platform.wx;
  if (!wx) return platform.name === "web" ? { code: 0, msg: "" } : { code: 10001, msg: "neither a mini program nor a browser" };
  if (!wx.createLivePusherContext || !wx.createLivePlayerContext || older(wxInfo(wx).version)) {
    return { code: 10001, msg: "WeChat or its base library is too old" };
  }
  for (const scope of ["scope.camera", "scope.record"]) {
    if (!(await permitted(wx, scope))) return { code: 10002, msg: `${scope} is not permitted` };
  }
  return { code: 0, msg: "" };
}

function older(version: string): boolean {
  const parts = version.split(".").map(Number);
  for (let i = 0; i < oldest.length; i++) {
    const part = parts[i];
    // An unreadable version is not a reason to refuse.
    if (part === undefined || isNaN(part) || part > oldest[i]!) return false;
    if (part < oldest[i]!) return true;
  }
  return false;
}

/** Asks the user when they were never asked. */
function permitted(wx: Wx, scope: string): Promise<boolean> {
  return new Promise((resolve) => {
    const ask = (): void => {
      if (!wx.authorize) return resolve(false);
      wx.authorize({ scope, success: () => resolve(true), fail: () => resolve(false) });
    };
    if (!wx.getSetting) return ask();
    wx.getSetting({
      success: (result: { authSetting?: Record<string, boolean> }) => {
        const setting = result.authSetting && result.authSetting[scope];
        if (setting === undefined) ask();
        else resolve(setting);
      },
      fail: () => resolve(false),
    });
  });
}
