// What live-push and live-play share as components: a wanted stream whose URL a
// native component shows, that component's context, and its events.
const { WantedStream } = require("./stream");

/**
 * Options for Component(), of what both share and the component's own parts.
 *
 *   kind.event, kind.working   the engine's event of such streams, and the state of one that flows
 *   kind.quality               the engine's event with its figures
 *   kind.start, kind.end       the engine's methods that begin and end one
 *   kind.options               the properties that are handed to kind.start, by the names of its options
 *   kind.open(component)       makes the native context and starts it
 *   own.methods.onCode(code, message)  what the native component's state means to this one
 */
function streamComponent(kind, own) {
  return Object.assign({}, own, {
    data: { url: "" },

    observers: Object.assign(
      {
        retries(retries) {
          if (this.stream) this.stream.retries = retries;
        },
        streamId(streamId) {
          if (this.stream) this.stream.want(streamId);
        },
      },
      own.observers,
    ),

    lifetimes: {
      attached() {
        this.stream = new WantedStream(kind.event, kind.working, {
          start: (id) => this.stream.engine[kind.start](id, this.option()),
          end: (id) => this.stream.engine[kind.end](id),
          show: (url) => this.show(url),
          tell: (name, detail) => this.triggerEvent(name, detail),
        });
        this.stream.retries = this.data.retries;
        this.onQuality = (streamID, stats) => streamID === this.stream.id && this.triggerEvent("quality", stats);
        if (this.data.streamId) this.stream.want(this.data.streamId);
      },
      detached() {
        if (this.stream.engine) this.stream.engine.off(kind.quality, this.onQuality);
        this.stream.drop();
        this.stream.release();
      },
    },

    methods: Object.assign(
      {
        /** Uses this engine instead of the one created last. */
        setEngine(engine) {
          this.stream.use(engine);
        },
        snapshot(option) {
          if (this.context) this.context.snapshot(option);
        },
        /** The native component's context, for everything else. */
        getContext() {
          return this.context;
        },

        option() {
          const option = {};
          for (const name of Object.keys(kind.options)) {
            const value = this.data[kind.options[name]];
            if (value) option[name] = value;
          }
          return option;
        },

        show(url) {
          // Android's live-pusher takes a new URL only after a stop.
          if (this.context) this.context.stop();
          if (!url) {
            this.context = undefined;
            this.setData({ url });
            return;
          }
          const engine = this.stream.engine;
          engine.off(kind.quality, this.onQuality);
          engine.on(kind.quality, this.onQuality);
          this.setData({ url }, () => {
            if (this.data.url === url) this.context = kind.open(this);
          });
        },

        onState(event) {
          const { code, message } = event.detail;
          if (!this.stream.id || !this.stream.engine) return;
          this.stream.engine.updatePlayerState(this.stream.id, event);
          this.triggerEvent("statechange", { code, message });
          this.onCode(code, message);
        },
        onNet(event) {
          if (this.stream.id && this.stream.engine) this.stream.engine.updatePlayerNetStatus(this.stream.id, event);
        },
        /** Hands an event of the native component on, under its own name. */
        onPass(event) {
          this.triggerEvent(event.type, event.detail);
        },
        onVolume(event) {
          if (this.stream.id && this.stream.engine) this.stream.engine.updateAudioVolumeNotify(this.stream.id, event);
          this.triggerEvent("volume", event.detail);
        },
      },
      own.methods,
    ),
  });
}

module.exports = { streamComponent };
