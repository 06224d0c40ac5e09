// <live-push stream-id="…" bind:state="…"/>: publishes a stream as long as
// stream-id is set. Hides the live-pusher, its context, its URL and its retries.
const { streamComponent } = require("../component");

const kind = {
  event: "publisherStateUpdate",
  working: "PUBLISHING",
  quality: "publishQualityUpdate",
  start: "startPublishingStream",
  end: "stopPublishingStream",
  options: { roomID: "roomId", extraInfo: "extraInfo", streamParams: "streamParams", protocol: "protocol" },
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
    /** A query string for the URL. */
    streamParams: { type: String, value: "" },
    /** Which of the stream's URLs: "rtmp" (what live-pusher takes). */
    protocol: { type: String, value: "" },
    camera: { type: Boolean, value: true },
    mic: { type: Boolean, value: true },
    front: { type: Boolean, value: true },
    mirror: { type: Boolean, value: true },
    /** Whether the others see it mirrored, too. */
    remoteMirror: { type: Boolean, value: false },
    mode: { type: String, value: "RTC" },
    aspect: { type: String, value: "3:4" },
    orientation: { type: String, value: "vertical" },
    videoWidth: { type: Number, value: 360 },
    videoHeight: { type: Number, value: 640 },
    zoom: { type: Boolean, value: false },
    autoFocus: { type: Boolean, value: true },
    minBitrate: { type: Number, value: 200 },
    maxBitrate: { type: Number, value: 1000 },
    beauty: { type: Number, value: 0 },
    whiteness: { type: Number, value: 0 },
    beautyStyle: { type: String, value: "smooth" },
    filter: { type: String, value: "standard" },
    audioQuality: { type: String, value: "high" },
    /** Gain control and noise suppression: WeChat's defaults are off, a call wants them. */
    agc: { type: Boolean, value: true },
    ans: { type: Boolean, value: true },
    /** Empty: WeChat chooses by the mode. */
    audioVolumeType: { type: String, value: "auto" },
    audioReverbType: { type: Number, value: 0 },
    /** What others see while the mini program is in the background. */
    waitingImage: { type: String, value: "" },
    waitingImageHash: { type: String, value: "" },
    /** "push", "pop" or ["push", "pop"]: when the picture goes on in a small window. */
    pictureInPictureMode: { type: null, value: "" },
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
        this.stream.stopped();
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
        this.stream.stopped();
      } else if (code === 1002) this.interrupted = false;
    },
    onError(event) {
      const { errCode, errMsg } = event.detail;
      this.triggerEvent("error", { code: errCode, message: errMsg });
    },
  },
}));
