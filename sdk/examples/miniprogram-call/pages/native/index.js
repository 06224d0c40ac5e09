// A call of two or more, native style: the page holds live-pusher, live-players and
// their contexts; the engine gives URLs and is told what the components say.
const { join, leave, roomOf, streamOf, muted } = require("../../call");
const { waitingImage } = require("../../config");

/** So long a failed component rests before it starts again, ms. */
const rest = 1000;
/** Ends of a push that are the network's, not a refusal: the component gave up, or the server missed its media for long. */
const lost = [-1307, 1103051];

Page({
  data: {
    room: "",
    joined: false,
    refused: false,
    note: "",
    pushURL: "",
    /** [{streamID, url, muted}], one per live-player. */
    players: [],
    camera: true,
    mic: true,
    ear: false,
    waitingImage,
  },

  onLoad(query) {
    this.setData({ room: roomOf(query) });
    /** LivePlayerContexts and the states of the plays, by stream. */
    this.contexts = {};
    this.states = {};
  },

  onShow() {
    if (!this.interrupted) return;
    this.interrupted = false;
    this.push();
  },

  onUnload() {
    this.leave();
  },

  async join() {
    if (!(await join(this))) return;
    this.streamID = streamOf(this.userID);
    await this.push();
  },

  leave() {
    const { pusher, contexts } = this;
    if (!leave(this)) return;
    this.pusher = undefined;
    this.interrupted = false;
    this.contexts = {};
    this.states = {};
    if (pusher) pusher.stop();
    for (const id of Object.keys(contexts)) contexts[id].stop();
    this.setData({ joined: false, pushURL: "", players: [] });
  },

  listen(engine) {
    engine.on("roomStateUpdate", (room, state, code) => {
      if (room !== this.data.room) return;
      this.setData({ note: code ? `${state} ${code}` : state });
      if (state === "DISCONNECTED" && this.data.joined) this.leave();
      if (state === "CONNECTED" && this.data.joined) this.recover();
    });
    engine.on("roomStreamUpdate", (room, type, streams) => {
      for (const { streamID, extraInfo } of streams) {
        if (type === "ADD") this.play(streamID, muted(extraInfo));
        else this.unplay(streamID);
      }
    });
    engine.on("streamExtraInfoUpdate", (room, list) => {
      for (const { streamID, extraInfo } of list) {
        this.setData({ players: this.data.players.map((p) => (p.streamID === streamID ? { streamID, url: p.url, muted: muted(extraInfo) } : p)) });
      }
    });
    engine.on("publisherStateUpdate", ({ state, errorCode }) => {
      this.publishing = state;
      if (state === "NO_PUBLISH" && lost.indexOf(errorCode) >= 0) this.later(engine, () => this.publishing === "NO_PUBLISH" && this.push());
    });
    engine.on("playerStateUpdate", ({ streamID, state, errorCode }) => {
      this.states[streamID] = state;
      if (state === "NO_PLAY" && errorCode === -2301) this.later(engine, () => this.contexts[streamID] && this.play(streamID));
    });
  },

  /** Does something after a rest, if the call is still this one. */
  later(engine, action) {
    setTimeout(() => this.engine === engine && action(), rest);
  },

  /** Publishes, or publishes again with a fresh URL. */
  async push() {
    const engine = this.engine;
    if (!engine) return;
    try {
      const { url } = await engine.startPublishingStream(this.streamID, { extraInfo: this.extraInfo() });
      if (this.engine !== engine) return;
      // Android takes a new URL only after a stop.
      if (this.pusher) this.pusher.stop();
      this.setData({ pushURL: url }, () => {
        this.pusher = wx.createLivePusherContext();
        this.pusher.start();
      });
    } catch (error) {
      if (this.engine === engine) this.setData({ note: `push: ${error.code} ${error.msg}` });
    }
  },

  /** Plays, or plays again with a fresh URL. `off`: what this member has switched off. */
  async play(streamID, off) {
    const engine = this.engine;
    try {
      const { url } = await engine.startPlayingStream(streamID);
      if (this.engine !== engine) return;
      const old = this.contexts[streamID];
      if (old) old.stop();
      const last = this.data.players.filter((p) => p.streamID === streamID)[0];
      const entry = { streamID, url, muted: off === undefined ? (last || {}).muted || "" : off };
      this.setData({ players: this.data.players.filter((p) => p !== last).concat(entry) }, () => {
        this.contexts[streamID] = wx.createLivePlayerContext(streamID, this);
        this.contexts[streamID].play();
      });
    } catch (error) {
      if (this.engine === engine) this.setData({ note: `play ${streamID}: ${error.code} ${error.msg}` });
    }
  },

  unplay(streamID) {
    this.engine.stopPlayingStream(streamID);
    if (this.contexts[streamID]) this.contexts[streamID].stop();
    delete this.contexts[streamID];
    delete this.states[streamID];
    this.setData({ players: this.data.players.filter((p) => p.streamID !== streamID) });
  },

  /** The room is back after a loss: what stopped meanwhile starts again. */
  recover() {
    if (this.publishing === "NO_PUBLISH") this.push();
    for (const { streamID } of this.data.players) if (this.states[streamID] === "NO_PLAY") this.play(streamID);
  },

  // The camera's and microphone's state goes to the others as the stream's extra info.
  toggleCamera() {
    this.setData({ camera: !this.data.camera }, () => this.tell());
  },
  toggleMic() {
    this.setData({ mic: !this.data.mic }, () => this.tell());
  },
  toggleEar() {
    this.setData({ ear: !this.data.ear });
  },
  extraInfo() {
    return JSON.stringify({ camera: this.data.camera, mic: this.data.mic });
  },
  tell() {
    if (this.publishing === "PUBLISHING") this.engine.setStreamExtraInfo(this.streamID, this.extraInfo());
  },

  // What the components say goes to the engine as it is.
  onPusherState(event) {
    const { code } = event.detail;
    if (code === 5000 || code === 5001) this.interrupted = true; // a phone call: the push goes on when the page is shown
    if (this.engine) this.engine.updatePlayerState(this.streamID, event);
  },
  onPusherNet(event) {
    if (this.engine) this.engine.updatePlayerNetStatus(this.streamID, event);
  },
  onPlayerState(event) {
    if (this.engine) this.engine.updatePlayerState(event.currentTarget.id, event);
  },
  onPlayerNet(event) {
    if (this.engine) this.engine.updatePlayerNetStatus(event.currentTarget.id, event);
  },
});
