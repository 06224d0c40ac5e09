// <live-push stream-id="…" bind:state="…"/>: publishes a stream as long as
// stream-id is set. Hides the live-pusher, its context, its URL and its retries.
const { WantedStream } = require("../stream");

Component({
  options: { multipleSlots: false },
  properties: {
    /** The stream to publish; empty: none. Set it after loginRoom. */
    streamId: { type: String, value: "" },
    /** The room to publish in; needed only with several rooms. */
    roomId: { type: String, value: "" },
    extraInfo: { type: String, value: "" },
    camera: { type: Boolean, value: true },
    mic: { type: Boolean, value: true },
    front: { type: Boolean, value: true },
    mirror: { type: Boolean, value: true },
    mode: { type: String, value: "RTC" },
    aspect: { type: String, value: "3:4" },
    minBitrate: { type: Number, value: 200 },
    maxBitrate: { type: Number, value: 1000 },
    beauty: { type: Number, value: 0 },
    whiteness: { type: Number, value: 0 },
    audioQuality: { type: String, value: "high" },
    /** What others see while the mini program is in the background. */
    waitingImage: { type: String, value: "" },
    backgroundMute: { type: Boolean, value: false },
    /** How often in a row a failed push is started again. */
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
    camera(camera) {
      if (this.stream && this.stream.engine) this.stream.engine.setPusherAttributes({ enableCamera: camera });
    },
  },

  lifetimes: {
    attached() {
      this.stream = new WantedStream("publisherStateUpdate", "PUBLISHING", {
        start: (id) => this.stream.engine.startPublishingStream(id, this.option()),
        end: (id) => this.stream.engine.stopPublishingStream(id),
        show: (url) => this.show(url),
        tell: (name, detail) => this.triggerEvent(name, detail),
      });
      this.stream.retries = this.data.retries;
      this.onQuality = (streamID, stats) => streamID === this.stream.id && this.triggerEvent("quality", stats);
      if (this.data.streamId) this.stream.want(this.data.streamId);
    },
    detached() {
      if (this.stream.engine) this.stream.engine.off("publishQualityUpdate", this.onQuality);
      this.stream.drop();
      this.stream.release();
    },
  },

  pageLifetimes: {
    show() {
      // The push may have stopped in the background: about three minutes, or a phone call.
      if (this.stream && this.interrupted) {
        this.interrupted = false;
        this.stream.back();
      }
    },
  },

  methods: {
    /** Uses this engine instead of the one created last. */
    setEngine(engine) {
      this.stream.use(engine);
    },
    switchCamera(option) {
      if (this.context) this.context.switchCamera(option);
    },
    snapshot(option) {
      if (this.context) this.context.snapshot(option);
    },
    /** The LivePusherContext, for everything else. */
    getContext() {
      return this.context;
    },

    option() {
      const option = {};
      if (this.data.roomId) option.roomID = this.data.roomId;
      if (this.data.extraInfo) option.extraInfo = this.data.extraInfo;
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
      engine.off("publishQualityUpdate", this.onQuality);
      engine.on("publishQualityUpdate", this.onQuality);
      // Android takes a new URL only after a stop.
      if (this.context) this.context.stop();
      this.setData({ url }, () => {
        if (this.data.url !== url) return;
        this.context = wx.createLivePusherContext(this);
        this.context.start();
      });
    },

    onState(event) {
      const { code, message } = event.detail;
      if (!this.stream.id || !this.stream.engine) return;
      this.stream.engine.updatePlayerState(this.stream.id, event);
      this.triggerEvent("statechange", { code, message });
      if (code === -1307) this.stream.again();
      else if (code <= -1301) this.triggerEvent("error", { code, message });
      else if (code === 1103 && this.context) this.context.resume(); // the hardware encoder failed, go on with the other
      else if (code === 5000 || code === 5001) {
        this.interrupted = true;
        this.stream.state = "";
      } else if (code === 1002) this.interrupted = false;
    },
    onNet(event) {
      if (this.stream.id && this.stream.engine) this.stream.engine.updatePlayerNetStatus(this.stream.id, event);
    },
    onVolume(event) {
      if (this.stream.id && this.stream.engine) this.stream.engine.updateAudioVolumeNotify(this.stream.id, event);
      this.triggerEvent("volume", event.detail);
    },
    onError(event) {
      const { errCode, errMsg } = event.detail;
      this.triggerEvent("error", { code: errCode, message: errMsg });
    },
  },
});
