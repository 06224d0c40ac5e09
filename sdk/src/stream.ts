import { asNumber, checkExtraInfo, checkStreamID } from "./check.js";
import { asError, code, LiveRelayError } from "./code.js";
import { now } from "./clock.js";
import type { Frame } from "./link.js";
import type { Log } from "./log.js";
import { type Media, media, URLs } from "./media.js";
import type { Platform } from "./platform.js";
import { Player } from "./player.js";
import { Publisher } from "./publisher.js";
import type { Room } from "./room.js";
import type { Session } from "./session.js";
import type { PlayOption, PublishOption, StreamURL } from "./type.js";

/** A quality report goes to the operators so often at most, per stream. */
const reportInterval = 5000;
/** The components' codes for a connection that is lost: they try again, or have given up. */
const retrying = [1102, 2103, -1307, -2301];
/**
 * So many ended ids are remembered, so that their component's last words are not taken for another
 * stream's.
 */
const mostEnded = 32;

/** What the streams need of the engine. */
export interface StreamHost {
  readonly session: Session;
  readonly platform: Platform;
  readonly log: Log;
  emit(event: string, ...args: unknown[]): void;
  /** The room to publish in or play from; throws notLoggedIn. */
  room(roomID: unknown, streamID: unknown): Room;
}

/** Everything this client publishes and plays. */
export class Streams {
  readonly publishers = new Map<string, Publisher>();
  readonly players = new Map<string, Player>();
  private readonly ended = new Set<string>();
  private readonly reported = new Map<string, number>();

  constructor(private readonly host: StreamHost) {}

  async publish(streamID: string, option: PublishOption): Promise<StreamURL> {
    checkStreamID(streamID);
    const room = this.host.room(option.roomID, undefined);
    const wanted = media(option);
    if (option.extraInfo !== undefined) checkExtraInfo(option.extraInfo);
    let publisher = this.publishers.get(streamID);
    if (!publisher || publisher.room !== room) {
      if (publisher) this.stopPublish(streamID);
      publisher = new Publisher(streamID, room, this.host.platform.ios, this.publisherHost);
      this.publishers.set(streamID, publisher);
      this.ended.delete(streamID);
    }
    if (option.extraInfo !== undefined) publisher.extraInfo = option.extraInfo;
    const mine = publisher;
    mine.media = wanted;
    const start = mine.request();
    try {
      const urls = await this.ask(room, "publish", { stream: streamID, extraInfo: mine.extraInfo }, wanted, () => !mine.ended);
      if (mine.ended) throw new LiveRelayError(code.publishMissing, "publishing was stopped meanwhile");
      if (start === mine.start) mine.urls = urls;
      return { streamID, url: urls.url, urls: urls.all };
    } catch (thrown) {
      const error = asError(thrown);
      if (start === mine.start) mine.end(error.code, error.msg);
      throw error;
    }
  }

  async play(streamID: string, option: PlayOption): Promise<StreamURL> {
    checkStreamID(streamID);
    const room = this.host.room(option.roomID, streamID);
    const wanted = media(option);
    let player = this.players.get(streamID);
    if (!player || player.room !== room) {
      if (player) this.stopPlay(streamID);
      player = new Player(streamID, room, this.host.platform.ios, this.playerHost);
      this.players.set(streamID, player);
      this.ended.delete(streamID);
    }
    const mine = player;
    mine.media = wanted;
    const start = mine.request();
    try {
      const urls = await this.ask(room, "play", { stream: streamID }, wanted, () => !mine.ended);
      if (mine.ended) throw new LiveRelayError(code.playFailed, "playing was stopped meanwhile");
      if (start === mine.start) mine.urls = urls;
      return { streamID, url: urls.url, urls: urls.all };
    } catch (thrown) {
      const error = asError(thrown);
      if (start === mine.start && !mine.ended) {
        mine.stop(error.code, error.msg);
        this.drop(this.players, streamID);
      }
      throw error;
    }
  }

  /** False when there is no such publish. */
  stopPublish(streamID: string): boolean {
    const publisher = this.publishers.get(streamID);
    if (!publisher) return false;
    publisher.end(0, "");
    return true;
  }

  stopPlay(streamID: string): boolean {
    const player = this.players.get(streamID);
    if (!player) return false;
    this.drop(this.players, streamID);
    player.stop(0, "");
    this.later(player.room, "stopPlay", streamID, () => !this.players.has(streamID));
    return true;
  }

  /** The next candidate URL of a publish or a play; "" when there is none. */
  next(streamID: string): string {
    const entry = this.publishers.get(streamID) || this.players.get(streamID);
    return entry && entry.urls ? entry.urls.next() : "";
  }

  /** The room ended: so do its streams. */
  end(room: Room, number: number, msg: string): void {
    for (const publisher of Array.from(this.publishers.values())) {
      if (publisher.room !== room) continue;
      this.drop(this.publishers, publisher.streamID);
      publisher.stop(number, msg);
    }
    for (const player of Array.from(this.players.values())) {
      if (player.room !== room) continue;
      this.drop(this.players, player.streamID);
      player.stop(number, msg);
    }
  }

  /**
   * The room is back. A fresh membership knows nothing of the streams: name them again, their media
   * may still run.
   */
  restored(room: Room, fresh: boolean): void {
    for (const publisher of Array.from(this.publishers.values())) {
      if (publisher.room !== room) continue;
      publisher.restored();
      if (!fresh || !publisher.urls) continue;
      publisher.prove();
      const fields = { stream: publisher.streamID, extraInfo: publisher.extraInfo };
      this.again(room, "publish", fields, publisher, (error) => publisher.end(error.code, error.msg));
    }
    for (const player of Array.from(this.players.values())) {
      if (player.room !== room || !fresh || !player.urls) continue;
      this.again(room, "play", { stream: player.streamID }, player, (error) => player.confirmed("NO_PLAY", error.code, error.msg));
    }
  }

  /** A bindstatechange of either component. */
  state(streamID: unknown, event: unknown): void {
    const detail = detailOf(event);
    const number = asNumber(detail.code);
    // The server takes 256 bytes of it.
    const message = typeof detail.message === "string" ? detail.message.slice(0, 80) : "";
    const pusher = (number >= 1000 && number < 2000) || (number <= -1300 && number > -1400) || number >= 5000;
    const { publisher, player } = this.find(streamID, event, pusher);
    // The media has lost its way: the signalling perhaps too, and nobody has said so yet.
    if (retrying.indexOf(number) >= 0) this.host.session.probe();
    if (publisher) publisher.feed(number, message);
    if (player) player.feed(number, message);
    if (!publisher && !player) this.host.log.debug(`state ${number} of unknown stream ${String(streamID)}`);
  }

  /** A bindnetstatus of either component. */
  net(streamID: unknown, event: unknown): void {
    const detail = detailOf(event);
    const report = (typeof detail.info === "object" && detail.info ? detail.info : detail) as Frame;
    const { publisher, player } = this.find(streamID, event, targetOf(event) === "" || !streamID);
    if (publisher) publisher.feedNet(report);
    if (player) player.feedNet(report);
    if (!publisher && !player) this.host.log.debug(`netstatus of unknown stream ${String(streamID)}`);
  }

  /**
   * Whom an event is for. Pages mix up names (pushStreamID, publishStreamID): the component's own
   * id helps, and with one publisher a pusher's event can only be its.
   */
  private find(streamID: unknown, event: unknown, pusher: boolean): { publisher?: Publisher; player?: Player } {
    for (const id of [streamID, targetOf(event)] as string[]) {
      const publisher = this.publishers.get(id);
      const player = this.players.get(id);
      if (publisher || player) return { publisher, player };
      if (this.ended.has(id)) return {};
    }
    return pusher && this.publishers.size === 1 ? { publisher: this.publishers.values().next().value } : {};
  }

  private readonly publisherHost = {
    emit: (state: unknown) => this.host.emit("publisherStateUpdate", state),
    quality: (streamID: string, stats: unknown, report: Frame) => {
      this.host.emit("publishQualityUpdate", streamID, stats);
      const publisher = this.publishers.get(streamID);
      if (publisher) this.tell(publisher.room, streamID, "publish", stats as Frame, report);
    },
    confirm: (publisher: Publisher, number: number, message: string) => {
      const fields = { stream: publisher.streamID, state: "PUBLISHING", code: number, message };
      return this.host.session.request(publisher.room, "publisherState", fields, { repeat: true, still: () => !publisher.ended }).then(() => undefined);
    },
    report: (publisher: Publisher, number: number, message: string) =>
      this.host.session.report(publisher.room, "publisherState", { stream: publisher.streamID, state: "NO_PUBLISH", code: number, message }),
    ended: (publisher: Publisher) => {
      this.drop(this.publishers, publisher.streamID);
      this.later(publisher.room, "stopPublish", publisher.streamID, () => !this.publishers.has(publisher.streamID));
    },
  };

  private readonly playerHost = {
    emit: (state: unknown) => this.host.emit("playerStateUpdate", state),
    quality: (streamID: string, stats: unknown, report: Frame) => {
      this.host.emit("playQualityUpdate", streamID, stats);
      const player = this.players.get(streamID);
      if (player) this.tell(player.room, streamID, "play", stats as Frame, report);
    },
    report: (player: Player, state: string, number: number, message: string) =>
      this.host.session.report(player.room, "playerState", { stream: player.streamID, state, code: number, message }),
  };

  private tell(room: Room, streamID: string, role: string, stats: Frame, report: Frame): void {
    const at = now();
    const key = `${role} ${streamID}`;
    const before = this.reported.get(key);
    if (before !== undefined && at - before < reportInterval) return;
    this.reported.set(key, at);
    const net = { netSpeed: asNumber(report.netSpeed), netJitter: asNumber(report.netJitter), videoGOP: asNumber(report.videoGOP) };
    // Only web pages measure it.
    const delay = typeof report.delay === "number" ? { delay: Math.round(report.delay), delaySince: report.delaySince } : {};
    this.host.session.report(room, "quality", { stream: streamID, role, ...stats, net, ...delay });
  }

  private async ask(room: Room, type: string, fields: Frame, wanted: Media, still: () => boolean): Promise<URLs> {
    const { source, params, protocol } = wanted;
    const reply = await this.host.session.request(room, type, { ...fields, source, params }, { repeat: true, still });
    const urls = new URLs(reply, protocol || (this.host.platform.name === "web" ? "ws" : "rtmp"));
    if (still() && !urls.url) throw new LiveRelayError(code.internal, `${type} reply without a URL`);
    return urls;
  }

  /**
   * Names a running stream again; what the component uses stays, what getNextUrl gives is fresh.
   */
  private again(room: Room, type: string, fields: Frame, entry: Publisher | Player, refused: (error: LiveRelayError) => void): void {
    const start = entry.start;
    const current = (): boolean => !entry.ended && entry.start === start;
    this.ask(room, type, fields, entry.media, current).then(
      (urls) => {
        if (current()) entry.urls = urls;
      },
      (thrown) => {
        const error = asError(thrown);
        if (current() && !error.retryable && error.code !== code.networkBroken) refused(error);
      },
    );
  }

  /**
   * A request whose failure changes nothing here; not sent any more when the id is in use again.
   */
  private later(room: Room, type: string, streamID: string, still: () => boolean): void {
    this.host.session.request(room, type, { stream: streamID }, { repeat: true, still }).then(undefined, (error) => {
      this.host.log.debug(`${type} ${streamID}: ${asError(error).msg}`);
    });
  }

  private drop(entries: Map<string, unknown>, streamID: string): void {
    entries.delete(streamID);
    this.reported.delete(`publish ${streamID}`);
    this.reported.delete(`play ${streamID}`);
    this.ended.add(streamID);
    if (this.ended.size > mostEnded) this.ended.delete(this.ended.values().next().value as string);
  }
}

/** A component's event, or only its detail. */
function detailOf(event: unknown): Frame {
  const e = (typeof event === "object" && event ? event : {}) as Frame;
  return (typeof e.detail === "object" && e.detail ? e.detail : e) as Frame;
}

/**
 * The id attribute of the component that sent an event: "" when it has none, undefined when
 * unknown.
 */
function targetOf(event: unknown): string | undefined {
  const e = (typeof event === "object" && event ? event : {}) as { currentTarget?: { id?: unknown }; target?: { id?: unknown } };
  const target = e.currentTarget || e.target;
  return target && typeof target.id === "string" ? target.id : undefined;
}
