// The retries of live-push and live-play: a stream that is wanted until it is not,
// over failures of the network, of the room and of the component itself.
const { LiveRelayEngine } = require("./index");

/** The first pause after a failure, and the longest, ms. */
const pause = 1000;
const longestPause = 15000;

/** The server lost the media: a native component that is still trying gets so long to get through or give up, ms. */
const patience = 15000;
const mediaLost = 1103051;

/** Codes of a start that pass: worth another try, when the room is back or after a pause. */
const passing = [1000002, 1000017, 1002014, 1002099, 1100002, 1100003, mediaLost, 1900004, 1900005];

/**
 * One wanted stream of a component.
 *
 *   start(id)   asks the engine for a URL, resolves to {url}
 *   end(id)     tells the engine that it is over
 *   show(url)   puts the URL into the component and (re)starts it; "" takes it away
 *   tell(name, detail)  triggers an event of the component
 */
class WantedStream {
  constructor(event, working, { start, end, show, tell }) {
    this.event = event;
    this.working = working;
    this.start = start;
    this.end = end;
    this.show = show;
    this.tell = tell;
    this.id = "";
    this.state = "";
    this.retries = 10;
    this.failures = 0;
    this.turn = 0;
    this.timer = 0;
    /** The native component is still trying. */
    this.trying = false;
    this.engine = undefined;
    this.onStream = (result) => result.streamID === this.id && this.changed(result);
    this.onRoom = (roomID, state) => state === "CONNECTED" && this.back();
  }

  /** Uses an engine; the current one when none is named. */
  use(engine) {
    if (engine === this.engine) return;
    this.release();
    this.engine = engine;
    if (!engine) return;
    engine.on(this.event, this.onStream);
    engine.on("roomStateUpdate", this.onRoom);
  }

  /** Wants this stream from now on; "" for none. */
  want(id) {
    if (id === this.id) return;
    this.drop();
    this.id = id;
    this.failures = 0;
    if (id) this.begin();
  }

  /** Wants nothing any more. */
  drop() {
    clearTimeout(this.timer);
    this.turn++;
    const id = this.id;
    this.id = "";
    this.state = "";
    this.trying = false;
    if (!id) return;
    this.show("");
    if (this.engine) this.end(id);
  }

  /** Starts, or starts again with a fresh URL. */
  begin() {
    clearTimeout(this.timer);
    this.trying = false;
    if (!this.engine) this.use(LiveRelayEngine.current);
    if (!this.engine) return this.tell("error", { code: 1000002, message: "no engine: create one before the component" });
    const turn = ++this.turn;
    this.start(this.id).then(
      ({ url }) => turn === this.turn && this.show(url),
      (error) => {
        if (turn !== this.turn) return;
        this.tell("error", { code: error.code, message: error.msg });
        // Without a room nothing can be done until it is back; see back().
        if (passing.indexOf(error.code) >= 0) this.again();
      }
    );
  }

  /** Starts again after a pause that grows. */
  again() {
    clearTimeout(this.timer);
    if (!this.id || this.failures >= this.retries) return;
    const wait = Math.min(longestPause, pause * Math.pow(2, this.failures++));
    this.timer = setTimeout(() => this.begin(), wait);
  }

  /** The room is connected (again): what does not flow, and does not try to by itself, is started now. */
  back() {
    if (!this.id || this.state === this.working || this.trying) return;
    this.failures = 0;
    this.begin();
  }

  /** The native component was stopped from outside, by a phone call or in the background: it tries nothing by itself. */
  stopped() {
    clearTimeout(this.timer);
    this.state = "";
    this.trying = false;
  }

  changed(result) {
    this.state = result.state;
    this.trying = result.errorCode === mediaLost;
    this.tell("state", result);
    const code = result.errorCode;
    if (result.state === this.working) {
      this.failures = 0;
      clearTimeout(this.timer);
    } else if (result.state.slice(0, 3) !== "NO_") return;
    // Stopping it would be the end of its own tries. It says itself when it gives up.
    else if (this.trying) {
      clearTimeout(this.timer);
      if (this.retries > 0) this.timer = setTimeout(() => this.begin(), patience);
    }
    // Kicked, forbidden, or stopped by the application itself: the native component must not go on.
    else if (code >= 0 && passing.indexOf(code) < 0) {
      clearTimeout(this.timer);
      this.show("");
    }
  }

  release() {
    if (!this.engine) return;
    this.engine.off(this.event, this.onStream);
    this.engine.off("roomStateUpdate", this.onRoom);
    this.engine = undefined;
  }
}

module.exports = { WantedStream };
