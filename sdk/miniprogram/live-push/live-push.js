// <live-push stream-id="…" bind:state="…"/>: publishes a stream as long as
// stream-id is set. Hides the live-pusher, its context, its URL and its retries.
const { streamComponent } = require("../component");

const kind = {
  event: "publisherStateUpdate",
  working: "PUBLISHING",
  quality: "publishQualityUpdate",
  start: "startPublishingStream",
  end: "stopPublishingStream",
  param: "extraInfo",
  open(component) {
    const context = wx.createLivePusherContext(component);
    context.start();
    return context;
  },
};

Component(streamComponent(kind, {
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

  observers: {
    camera(camera) {
      if (this.stream && this.stream.engine) this.stream.engine.setPusherAttributes({ enableCamera: camera });
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
    switchCamera(option) {
      if (this.context) this.context.switchCamera(option);
    },
    onCode(code, message) {
      if (code === -1307) this.stream.again();
      else if (code <= -1301) this.triggerEvent("error", { code, message });
      else if (code === 1103 && this.context) this.context.resume(); // the hardware encoder failed, go on with the other
      else if (code === 5000 || code === 5001) {
        this.interrupted = true;
        this.stream.state = "";
      } else if (code === 1002) this.interrupted = false;
    },
    onError(event) {
      const { errCode, errMsg } = event.detail;
      this.triggerEvent("error", { code: errCode, message: errMsg });
    },
  },
}));
