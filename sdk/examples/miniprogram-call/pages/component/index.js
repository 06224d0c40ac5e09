// The same call with the ready components: URLs, contexts and retries are theirs.
const { join, leave, roomOf, streamOf, muted } = require("../../call");
const { waitingImage } = require("../../config");

Page({
  data: { room: "", joined: false, refused: false, note: "", streamID: "", streams: [], camera: true, mic: true, ear: false, extraInfo: "", waitingImage },

  onLoad(query) {
    this.setData({ room: roomOf(query) });
  },

  onUnload() {
    this.leave();
  },

  async join() {
    if (await join(this)) this.setData({ streamID: streamOf(this.userID) });
  },

  leave() {
    if (leave(this)) this.setData({ joined: false, streamID: "", streams: [] });
  },

  listen(engine) {
    engine.on("roomStateUpdate", (room, state, code) => {
      if (room !== this.data.room) return;
      this.setData({ note: code ? `${state} ${code}` : state });
      if (state === "DISCONNECTED" && this.data.joined) this.leave();
    });
    engine.on("roomStreamUpdate", (room, type, list) => {
      const ids = list.map((s) => s.streamID);
      const others = this.data.streams.filter((s) => ids.indexOf(s.streamID) < 0);
      const added = list.map((s) => ({ streamID: s.streamID, muted: muted(s.extraInfo) }));
      this.setData({ streams: type === "ADD" ? others.concat(added) : others });
    });
    engine.on("streamExtraInfoUpdate", (room, list) => {
      for (const { streamID, extraInfo } of list) {
        this.setData({ streams: this.data.streams.map((s) => (s.streamID === streamID ? { streamID, muted: muted(extraInfo) } : s)) });
      }
    });
  },

  toggleCamera() {
    this.setData({ camera: !this.data.camera }, () => this.tell());
  },
  toggleMic() {
    this.setData({ mic: !this.data.mic }, () => this.tell());
  },
  toggleEar() {
    this.setData({ ear: !this.data.ear });
  },
  /** Others learn it from the stream's extra info: with the start of the push, and when it changes. */
  tell() {
    const extraInfo = JSON.stringify({ camera: this.data.camera, mic: this.data.mic });
    this.setData({ extraInfo });
    if (this.publishing === "PUBLISHING") this.engine.setStreamExtraInfo(this.data.streamID, extraInfo);
  },
  onPush(event) {
    this.publishing = event.detail.state;
  },
  flip() {
    this.selectComponent("#push").switchCamera();
  },
  onError(event) {
    this.setData({ note: `${event.detail.code} ${event.detail.message}` });
  },
});
