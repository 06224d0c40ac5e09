import { code, LiveRelayError, quiet } from "./code.js";
import type { Wx } from "./platform.js";
import type { PageContext, PlayerAttributes, PlayOption, PublishOption, PusherAttributes, StreamURL } from "./type.js";

// The component style: the SDK keeps the attributes in the page's data and the
// contexts behind two small classes.

/** A page or component of a mini program. */
interface Page {
  setData(data: Record<string, unknown>, done?: () => void): void;
}

/** A WeChat context; which methods it has depends on the version. */
type Context = Record<string, ((option?: unknown) => void) | undefined>;

/** What the classes need of the engine. */
export interface ComponentHost {
  wx: Wx | undefined;
  publish(streamID: string, option?: PublishOption): Promise<StreamURL>;
  stopPublish(streamID: string): void;
  play(streamID: string, option?: PlayOption): Promise<StreamURL>;
  stopPlay(streamID: string): void;
  warn(text: string): void;
}

abstract class Live<A extends { id?: string; url?: string }> {
  /** The attributes as the page's data holds them. @zh 页面 data 中的属性。 */
  attributes: A;
  /** The WeChat context. @zh 微信上下文。 */
  context: Context | undefined;

  constructor(attributes: A) {
    this.attributes = attributes;
  }

  protected call(method: string, option?: unknown): void {
    const context = this.context;
    if (context && typeof context[method] === "function") context[method]!(option);
  }

  /** Pause. @zh 暂停。 */
  pause(option?: unknown): void {
    this.call("pause", option);
  }
  /** Resume. @zh 恢复。 */
  resume(option?: unknown): void {
    this.call("resume", option);
  }
  /** Take a picture. @zh 截图。 */
  snapshot(option?: unknown): void {
    this.call("snapshot", option);
  }
}

/**
 * The one live-pusher of a page.
 * @zh 页面中唯一的 live-pusher。
 */
export class LivePusher extends Live<PusherAttributes> {
  /** @internal */
  constructor(attributes: PusherAttributes, private readonly pages: Component, private readonly host: ComponentHost) {
    super(attributes);
  }

  /** Publishes: gets a fresh URL, sets it, starts the component. @zh 推流：取新 URL、设置、启动组件。 */
  start(streamID: string, option?: PublishOption): Promise<StreamURL> {
    return quiet(
      this.host.publish(streamID, option).then((result) => {
        this.attributes = { ...this.attributes, id: streamID, url: result.url };
        this.pages.show(() => this.call("start"));
        return result;
      }),
    );
  }

  /** Stops the component and the publish. @zh 停止组件与推流。 */
  stop(option?: unknown): void {
    this.call("stop", option);
    const { id } = this.attributes;
    if (id) this.host.stopPublish(id);
    this.attributes = { ...this.attributes, url: "" };
    this.pages.show();
  }
  startPreview(option?: unknown): void {
    this.call("startPreview", option);
  }
  stopPreview(option?: unknown): void {
    this.call("stopPreview", option);
  }
  switchCamera(option?: unknown): void {
    this.call("switchCamera", option);
  }
  toggleTorch(option?: unknown): void {
    this.call("toggleTorch", option);
  }
  playBGM(option?: unknown): void {
    this.call("playBGM", option);
  }
  pauseBGM(option?: unknown): void {
    this.call("pauseBGM", option);
  }
  resumeBGM(option?: unknown): void {
    this.call("resumeBGM", option);
  }
  stopBGM(option?: unknown): void {
    this.call("stopBGM", option);
  }
  setBGMVolume(option?: unknown): void {
    this.call("setBGMVolume", option);
  }
  setMICVolume(option?: unknown): void {
    this.call("setMICVolume", option);
  }
  sendMessage(option?: unknown): void {
    this.call("sendMessage", option);
  }
}

/**
 * The live-player of one stream.
 * @zh 一条流的 live-player。
 */
export class LivePlayer extends Live<PlayerAttributes> {
  /** @internal */
  constructor(attributes: PlayerAttributes, private readonly pages: Component, private readonly host: ComponentHost) {
    super(attributes);
  }

  /** Plays: gets a fresh URL, sets it, starts the component. @zh 拉流：取新 URL、设置、启动组件。 */
  play(option?: PlayOption): Promise<StreamURL> {
    return quiet(
      this.host.play(this.attributes.id!, option).then((result) => {
        this.attributes = { ...this.attributes, url: result.url };
        this.pages.show(() => this.call("play"));
        return result;
      }),
    );
  }

  /** Stops the component and the play, and takes it off the list. @zh 停止组件与拉流，并移出列表。 */
  stop(option?: unknown): void {
    this.call("stop", option);
    this.host.stopPlay(this.attributes.id!);
    this.attributes = { ...this.attributes, url: "" };
    this.pages.show();
  }
  mute(option?: unknown): void {
    this.call("mute", option);
  }
  requestFullScreen(option?: unknown): void {
    this.call("requestFullScreen", option);
  }
  exitFullScreen(option?: unknown): void {
    this.call("exitFullScreen", option);
  }
  requestPictureInPicture(option?: unknown): void {
    this.call("requestPictureInPicture", option);
  }
  exitPictureInPicture(option?: unknown): void {
    this.call("exitPictureInPicture", option);
  }
}

/** The most players kept; WeChat shows far fewer. */
const mostPlayers = 64;

/** One page: its pusher and its players. */
export class Component {
  pusher: LivePusher | undefined;
  private page: Page | undefined;
  private pushAtr = "";
  private playAtr = "";
  private readonly players = new Map<string, LivePlayer>();

  constructor(private readonly host: ComponentHost) {}

  init(context: PageContext): void {
    const page = (context && context.wxContext) as Page | undefined;
    if (!page) this.host.warn("initContext: without a wxContext there is no page to show anything");
    else if (typeof page.setData !== "function") throw new LiveRelayError(code.parameter, "wxContext is not a page or component");
    this.page = page;
    const { pushAtr, playAtr } = context || ({} as PageContext);
    this.pushAtr = typeof pushAtr === "string" ? pushAtr : "";
    this.playAtr = typeof playAtr === "string" ? playAtr : "";
    this.pusher = undefined;
    this.players.clear();
  }

  createPusher(attributes: PusherAttributes): LivePusher | null {
    const wx = this.host.wx;
    if (!this.page || !wx || !wx.createLivePusherContext) {
      this.host.warn("createPusher: call initContext first, in a mini program");
      return null;
    }
    const pusher = new LivePusher({ mode: "RTC", enableCamera: true, enableMic: true, ...attributes, url: "" }, this, this.host);
    pusher.context = wx.createLivePusherContext(this.page) as Context;
    this.pusher = pusher;
    this.show();
    return pusher;
  }

  player(streamID: string, wxContext?: unknown): LivePlayer | null {
    const wx = this.host.wx;
    const known = this.players.get(streamID);
    if (known && wxContext === undefined) return known;
    if (!streamID || typeof streamID !== "string" || !this.page || !wx || !wx.createLivePlayerContext) {
      this.host.warn("getPlayerInstance: call initContext first, in a mini program, and give a stream id");
      return null;
    }
    const player = known || new LivePlayer({ id: streamID, mode: "RTC", autoPlay: true, url: "" }, this, this.host);
    // Inside a component a context without its `this` silently does nothing.
    player.context = wx.createLivePlayerContext(streamID, wxContext || this.page) as Context;
    this.players.set(streamID, player);
    if (this.players.size > mostPlayers) this.players.delete(this.players.keys().next().value as string);
    return player;
  }

  /** The players that have a URL. */
  list(streamID?: string): PlayerAttributes[] {
    const all = Array.from(this.players.values()).map((p) => p.attributes);
    return all.filter((a) => a.url && (streamID === undefined || a.id === streamID));
  }

  setPusher(attributes: PusherAttributes): boolean {
    if (!this.pusher || typeof attributes !== "object") return false;
    this.pusher.attributes = { ...this.pusher.attributes, ...attributes };
    this.show();
    return true;
  }

  setPlayer(streamID: string, attributes: PlayerAttributes): boolean {
    const player = this.players.get(streamID);
    if (!player || typeof attributes !== "object") return false;
    player.attributes = { ...player.attributes, ...attributes, id: streamID };
    this.show();
    return true;
  }

  /** A stream ended without the classes' help: its URL must not stay on the page. */
  forget(streamID: string): void {
    const player = this.players.get(streamID);
    if (player && player.attributes.url) {
      player.attributes = { ...player.attributes, url: "" };
      this.show();
    }
  }

  /** Writes the attributes into the page's data. */
  show(done?: () => void): void {
    const data: Record<string, unknown> = {};
    if (this.pushAtr && this.pusher) data[this.pushAtr] = this.pusher.attributes;
    if (this.playAtr) data[this.playAtr] = this.list();
    if (this.page) this.page.setData(data, done);
  }
}
