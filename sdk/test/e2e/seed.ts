// The seed's own page, put together from its document's code blocks at test time.
import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";

export const seedPath = process.env.LIVERELAY_SEED || resolve(__dirname, "../../../../shared/seed/live-call.zh.md");

/**
 * The document's page: its WXML, and a script that registers it; undefined when the document is not
 * here.
 */
export function seedPage(): { wxml: string; script: string } | undefined {
  if (!existsSync(seedPath)) return undefined;
  const text = readFileSync(seedPath, "utf8");
  const blocks = Array.from(text.matchAll(/```[ ]*(\w+)\n([\s\S]*?)```/g), ([, lang, code]) => ({ lang: lang!, code: code! }));
  const wxml = blocks.find((b) => b.lang === "xml")!.code;
  const scripts = blocks.filter((b) => b.lang === "javascript").map((b) => b.code);
  const one = (mark: string): string => {
    const found = scripts.find((s) => s.includes(mark));
    if (!found) throw new Error(`the seed has no code with ${mark}`);
    return found;
  };
  /** Splits a block into page methods and the statements around them. */
  const split = (block: string): { methods: string; rest: string } => {
    const methods: string[] = [];
    const rest = block.replace(/^on\w+\(e\) \{[\s\S]*?^\},?/gm, (m) => (methods.push(m.replace(/,?$/, ",")), ""));
    return { methods: methods.join("\n"), rest };
  };
  const flow = one("const setPlayUrl");
  const at = flow.indexOf('zg.on("roomStreamUpdate"');
  const states = [one("onPushStateChange(e)"), one("onPushNetStateChange(e)"), one("onPlayStateChange(e)"), one("onPlayNetStateChange(e)")].map(split);
  const script = `
    let zg, playStreamID; // the document uses both without saying where they come from
    const app = { globalData: {} };
    ${flow.slice(0, at)}
    Page({
      data: { livePlayerList: [], livePusherUrl: "", canShow: 1, roomID: "", pushStreamID: "" },
      // as the document tells it, in its order
      init(appID, server) { ${one("new ZegoExpressEngine(appID, server)")} this.zg = zg; },
      listen() {
        ${one("zg.on('roomUserUpdate'")}
        ${one("zg.on('roomStateUpdate'")}
        ${flow.slice(at)}
        ${states.map((s) => s.rest).join("\n")}
      },
      async login(roomID, token, { userID, userName }) { ${one("await zg.loginRoom(")} return result; },
      async push(publishOption) { ${one("await zg.startPublishingStream(this.data.pushStreamID")} },
      ${states.map((s) => s.methods).join("\n")}
      stopPush() { ${one("// 停止推流")} },
      stopPlay() { ${one("playStreamList.splice(i, 1)")} },
      leave(roomID) { ${one("zg.logoutRoom(roomID);")} },
    });`;
  return { wxml, script };
}
