// The same call with the ready components: URLs, contexts and retries are theirs.
const { LiveRelayEngine } = require("liverelay-sdk");
const { server, waitingImage } = require("../../config");
const { fetchToken } = require("../../token");

Page({
  data: { room: "", joined: false, note: "", streamID: "", streams: [], camera: true, mic: true, waitingImage },

  onLoad({ room }) {
    this.setData({ room: room || "r1" });
  },

  onUnload() {
    this.leave();
  },

  async join() {
    if (this.engine) return;
    try {
      const { appID, userID, token } = await fetchToken(this.data.room);
      const engine = (this.engine = new LiveRelayEngine(appID, server));
      engine.on("roomStateUpdate", (room, state, code) => {
        this.setData({ note: code ? `${state} ${code}` : state });
        if (state === "DISCONNECTED" && this.data.joined) this.leave();
      });
      engine.on("roomStreamUpdate", (room, type, list) => {
        const ids = list.map((s) => s.streamID);
        const others = this.data.streams.filter((s) => ids.indexOf(s.streamID) < 0);
        this.setData({ streams: type === "ADD" ? others.concat(list) : others });
      });
      engine.on("tokenWillExpire", (name) => {
        fetchToken(name).then(
          (fresh) => engine.renewToken(fresh.token, name),
          (error) => this.setData({ note: error.message }),
        );
      });
      await engine.loginRoom(this.data.room, token, { userID });
      this.setData({ joined: true, streamID: `${userID}-camera`.replace(/[^0-9A-Za-z_.-]/g, "_") });
    } catch (error) {
      this.setData({ note: `${error.code || ""} ${error.msg || error.message}` });
      this.leave();
    }
  },

  leave() {
    if (!this.engine) return;
    const engine = this.engine;
    this.engine = undefined;
    this.setData({ joined: false, streamID: "", streams: [] });
    engine.destroyEngine();
  },

  toggleCamera() {
    this.setData({ camera: !this.data.camera });
  },
  toggleMic() {
    this.setData({ mic: !this.data.mic });
  },
  flip() {
    this.selectComponent("#push").switchCamera();
  },
  onError(event) {
    this.setData({ note: `${event.detail.code} ${event.detail.message}` });
  },
});
