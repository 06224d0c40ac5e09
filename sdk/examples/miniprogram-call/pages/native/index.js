// A call of two or more, native style: the page holds live-pusher, live-players and
// their contexts; the engine gives URLs and is told what the components say.
const { LiveRelayEngine } = require("liverelay-sdk");
const { server, waitingImage } = require("../../config");
const { fetchToken } = require("../../token");

/** So long a failed component rests before it starts again, ms. */
const rest = 1000;

Page({
  data: {
    room: "",
    joined: false,
    note: "",
    pushURL: "",
    /** [{streamID, url}], one per live-player. */
    players: [],
    camera: true,
    mic: true,
    waitingImage,
  },

  onLoad({ room }) {
    this.setData({ room: room || "r1" });
    /** LivePlayerContexts and the states of the plays, by stream. */
    this.contexts = {};
    this.states = {};
  },

  onUnload() {
    this.leave();
  },

  async join() {
    if (this.engine) return;
    try {
      const { appID, userID, token } = await fetchToken(this.data.room);
      this.listen(new LiveRelayEngine(appID, server));
      const ready = await this.engine.checkSystemRequirements();
      if (ready.code !== 0) throw new Error(ready.msg);
      this.streamID = `${userID}-camera`.replace(/[^0-9A-Za-z_.-]/g, "_");
      await this.engine.loginRoom(this.data.room, token, { userID }, { userUpdate: true });
      this.setData({ joined: true });
      await this.push();
    } catch (error) {
      this.setData({ note: `${error.code || ""} ${error.msg || error.message}` });
      if (!this.data.joined) this.leave();
    }
  },

  leave() {
    if (!this.engine) return;
    const { engine, pusher, contexts } = this;
    this.engine = this.pusher = undefined;
    this.contexts = {};
    this.states = {};
    if (pusher) pusher.stop();
    for (const id of Object.keys(contexts)) contexts[id].stop();
    this.setData({ joined: false, pushURL: "", players: [] });
    engine.destroyEngine();
  },

  /** Every handler before loginRoom: what is in the room already is told right after it. */
  listen(engine) {
    this.engine = engine;
    engine.on("roomStateUpdate", (room, state, code) => {
      this.setData({ note: code ? `${state} ${code}` : state });
      if (state === "DISCONNECTED" && this.data.joined) this.leave();
      if (state === "CONNECTED" && this.data.joined) this.recover();
    });
    engine.on("roomStreamUpdate", (room, type, streams) => {
      for (const { streamID } of streams) {
        if (type === "ADD") this.play(streamID);
        else this.unplay(streamID);
      }
    });
    engine.on("publisherStateUpdate", ({ state, errorCode }) => {
      this.publishing = state;
      if (state === "NO_PUBLISH" && errorCode === -1307) setTimeout(() => this.engine && this.push(), rest);
    });
    engine.on("playerStateUpdate", ({ streamID, state, errorCode }) => {
      this.states[streamID] = state;
      if (state === "NO_PLAY" && errorCode === -2301) setTimeout(() => this.contexts[streamID] && this.play(streamID), rest);
    });
    engine.on("tokenWillExpire", async (room) => {
      try {
        engine.renewToken((await fetchToken(room)).token, room);
      } catch (error) {
        this.setData({ note: error.message });
      }
    });
  },

  /** Publishes, or publishes again with a fresh URL. */
  async push() {
    try {
      const { url } = await this.engine.startPublishingStream(this.streamID);
      // Android takes a new URL only after a stop.
      if (this.pusher) this.pusher.stop();
      this.setData({ pushURL: url }, () => {
        this.pusher = wx.createLivePusherContext();
        this.pusher.start();
      });
    } catch (error) {
      this.setData({ note: `push: ${error.code} ${error.msg}` });
    }
  },

  /** Plays, or plays again with a fresh URL. */
  async play(streamID) {
    try {
      const { url } = await this.engine.startPlayingStream(streamID);
      const old = this.contexts[streamID];
      if (old) old.stop();
      const players = this.data.players.filter((p) => p.streamID !== streamID).concat({ streamID, url });
      this.setData({ players }, () => {
        this.contexts[streamID] = wx.createLivePlayerContext(streamID, this);
        this.contexts[streamID].play();
      });
    } catch (error) {
      this.setData({ note: `play ${streamID}: ${error.code} ${error.msg}` });
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
  tell() {
    const { camera, mic } = this.data;
    this.engine.setStreamExtraInfo(this.streamID, JSON.stringify({ camera, mic }));
  },

  // What the components say goes to the engine as it is.
  onPusherState(event) {
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
