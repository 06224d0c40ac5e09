// Members of a call who are no browsers: a mini program with a phone's components, and a program.
import { existsSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";

const sdk = resolve(new URL(".", import.meta.url).pathname, "../../sdk");
const require = createRequire(join(sdk, "package.json"));
const sample = join(sdk, "examples/miniprogram-call");

/** Why there can be no phone; "" when there can. */
export function noPhone() {
  if (!existsSync(join(sdk, "node_modules/esbuild"))) return "no sdk/node_modules: npm ci in sdk";
  return existsSync(join(sdk, "miniprogram_dist/index.js")) ? "" : "no sdk/miniprogram_dist: make sdk";
}

/**
 * The sample's native page on the SDK's test phone: its live-pusher and live-player are real
 * ffmpegs.
 */
export class Phone {
  constructor(relay, user, room) {
    const code = join(sdk, "test/e2e/.phone.cjs");
    require("esbuild").buildSync({ entryPoints: [join(sdk, "test/e2e/phone.ts")], outfile: code, bundle: true, packages: "external", platform: "node", format: "cjs", logLevel: "error" });
    const { Phone } = require(code);
    rmSync(code);
    const page = { wxml: readFileSync(join(sample, "pages/native/index.wxml"), "utf8"), script: readFileSync(join(sample, "pages/native/index.js"), "utf8") };
    const server = relay.origin.replace("http", "ws");
    this.phone = new Phone(page.wxml, page.script, {
      root: sample,
      files: {
        config: { appID: 1, server: [server], waitingImage: "" },
        token: { fetchToken: async (r) => ({ appID: 1, userID: user, token: relay.login(user, r) }) },
      },
    });
    this.room = room;
    this.streamID = `${user}-camera`;
  }

  async join() {
    const page = this.phone.page;
    page.onLoad({ room: this.room });
    await page.join();
    if (!page.data.joined) throw new Error(page.data.note);
  }

  /** Frames of a stream that were decoded here. */
  frames(streamID) {
    return this.phone.players.get(streamID)?.frames ?? 0;
  }

  leave() {
    this.phone.page.leave();
    this.phone.close();
  }
}
