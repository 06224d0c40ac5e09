// <live-play stream-id="…" bind:state="…"/>: plays a stream as long as stream-id
// is set. Hides the live-player, its context, its URL and its retries.
const { WantedStream } = require("../stream");

Component({
  properties: {
    /** The stream to play; empty: none. */
    streamId: { type: String, value: "" },
    /** The room to play from; needed only with several rooms. */
    roomId: { type: String, value: "" },
    /** Appended to the URL, for example "start=fast" or "only=audio". */
    streamParams: { type: String, value: "" },
    mode: { type: String, value: "RTC" },
    muted: { type: Boolean, value: false },
    orientation: { type: String, value: "vertical" },
    objectFit: { type: String, value: "contain" },
    minCache: { type: Number, value: 1 },
    maxCache: { type: Number, value: 3 },
    soundMode: { type: String, value: "speaker" },
    pictureInPictureMode: { type: String, value: "" },
    autoPause: { type: Boolean, value: true },
    /** How often in a row a failed play is started again. */
    retries: { type: Number, value: 10 },
  },

  data: { url: "" },

  observers: {
    retries(retries) {
      if (this.stream) this.stream.retries = retries;
    },
    streamId(streamId) {
      if (this.stream) this.stream.want(streamId);
    },
  },

  lifetimes: {
    attached() {
      this.stream = new WantedStream("playerStateUpdate", "PLAYING", {
        start: (id) => this.stream.engine.startPlayingStream(id, this.option()),
        end: (id) => this.stream.engine.stopPlayingStream(id),
        show: (url) => this.show(url),
        tell: (name, detail) => this.triggerEvent(name, detail),
      });
      this.stream.retries = this.data.retries;
      this.onQuality = (streamID, stats) => streamID === this.stream.id && this.triggerEvent("quality", stats);
      if (this.data.streamId) this.stream.want(this.data.streamId);
    },
    detached() {
      if (this.stream.engine) this.stream.engine.off("playQualityUpdate", this.onQuality);
      this.stream.drop();
      this.stream.release();
    },
  },

  methods: {
    /** Uses this engine instead of the one created last. */
    setEngine(engine) {
      this.stream.use(engine);
    },
    requestFullScreen(option) {
      if (this.context) this.context.requestFullScreen(option);
    },
    exitFullScreen(option) {
      if (this.context) this.context.exitFullScreen(option);
    },
    snapshot(option) {
      if (this.context) this.context.snapshot(option);
    },
    /** The LivePlayerContext, for everything else. */
    getContext() {
      return this.context;
    },

    option() {
      const option = {};
      if (this.data.roomId) option.roomID = this.data.roomId;
      if (this.data.streamParams) option.streamParams = this.data.streamParams;
      return option;
    },

    show(url) {
      if (!url) {
        if (this.context) this.context.stop();
        this.context = undefined;
        this.setData({ url });
        return;
      }
      const engine = this.stream.engine;
      engine.off("playQualityUpdate", this.onQuality);
      engine.on("playQualityUpdate", this.onQuality);
      if (this.context) this.context.stop();
      this.setData({ url }, () => {
        if (this.data.url !== url) return;
        // Inside a component a context without its `this` silently does nothing.
        this.context = wx.createLivePlayerContext("player", this);
        this.context.play();
      });
    },

    onState(event) {
      const { code, message } = event.detail;
      if (!this.stream.id || !this.stream.engine) return;
      this.stream.engine.updatePlayerState(this.stream.id, event);
      this.triggerEvent("statechange", { code, message });
      if (code === -2301 || code === -2302) this.stream.again();
    },
    onNet(event) {
      if (this.stream.id && this.stream.engine) this.stream.engine.updatePlayerNetStatus(this.stream.id, event);
    },
    onVolume(event) {
      if (this.stream.id && this.stream.engine) this.stream.engine.updateAudioVolumeNotify(this.stream.id, event);
      this.triggerEvent("volume", event.detail);
    },
    onFullScreen(event) {
      this.triggerEvent("fullscreenchange", event.detail);
    },
  },
});
