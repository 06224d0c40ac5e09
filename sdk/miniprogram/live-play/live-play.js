// <live-play stream-id="…" bind:state="…"/>: plays a stream as long as stream-id
// is set. Hides the live-player, its context, its URL and its retries.
const { streamComponent } = require("../component");

const kind = {
  event: "playerStateUpdate",
  working: "PLAYING",
  quality: "playQualityUpdate",
  start: "startPlayingStream",
  end: "stopPlayingStream",
  options: { roomID: "roomId", streamParams: "streamParams", protocol: "protocol" },
  open(component) {
    // Inside a component a context without its `this` silently does nothing.
    const context = wx.createLivePlayerContext("player", component);
    context.play();
    return context;
  },
};

Component(streamComponent(kind, {
  properties: {
    /** The stream to play; empty: none. */
    streamId: { type: String, value: "" },
    /** The room to play from; needed only with several rooms. */
    roomId: { type: String, value: "" },
    /** Appended to the URL, for example "start=fast" or "only=audio". */
    streamParams: { type: String, value: "" },
    /** Which of the stream's URLs: "rtmp" (default) or "flv", which suits a big audience behind a CDN. */
    protocol: { type: String, value: "" },
    mode: { type: String, value: "RTC" },
    muted: { type: Boolean, value: false },
    orientation: { type: String, value: "vertical" },
    objectFit: { type: String, value: "contain" },
    minCache: { type: Number, value: 1 },
    maxCache: { type: Number, value: 3 },
    soundMode: { type: String, value: "speaker" },
    /** "push", "pop" or ["push", "pop"]: when the picture goes on in a small window. */
    pictureInPictureMode: { type: null, value: "" },
    autoRotation: { type: Boolean, value: false },
    casting: { type: Boolean, value: false },
    referrerPolicy: { type: String, value: "no-referrer" },
    autoPause: { type: Boolean, value: true },
    /** How often in a row a failed play is started again. */
    retries: { type: Number, value: 10 },
  },

  methods: {
    requestFullScreen(option) {
      if (this.context) this.context.requestFullScreen(option);
    },
    requestBackgroundPlayback(option) {
      if (this.context) this.context.requestBackgroundPlayback(option);
    },
    exitBackgroundPlayback(option) {
      if (this.context) this.context.exitBackgroundPlayback(option);
    },
    exitFullScreen(option) {
      if (this.context) this.context.exitFullScreen(option);
    },
    onCode(code) {
      if (code === -2301 || code === -2302) this.stream.again();
    },
    onFullScreen(event) {
      this.triggerEvent("fullscreenchange", event.detail);
    },
  },
}));
