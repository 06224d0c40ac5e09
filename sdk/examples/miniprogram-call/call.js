// What both pages of a call need: permission, login, and an end at any moment of it.
const { LiveRelayEngine } = require("liverelay-sdk");
const { appID, server } = require("./config");
const { fetchToken } = require("./token");

/** WeChat asks for the privacy agreement by itself; without it camera and microphone stay closed. */
function privacy() {
  return new Promise((resolve, reject) => {
    if (!wx.requirePrivacyAuthorize) return resolve(); // a base library before 2.32.3
    wx.requirePrivacyAuthorize({ success: () => resolve(), fail: () => reject(new Error("需要同意隐私保护指引 / privacy agreement needed")) });
  });
}

/**
 * Enters page.data.room: page.listen(engine) registers the handlers, before loginRoom, since what is in the
 * room already is told right after it. Resolves to whether the page is in the room. page.engine is set
 * at once: a second tap finds it, and leave() ends whatever is under way.
 */
async function join(page) {
  if (page.engine) return false;
  const engine = (page.engine = new LiveRelayEngine(appID, server));
  const left = () => page.engine !== engine;
  page.setData({ note: "", refused: false });
  try {
    page.listen(engine);
    engine.on("tokenWillExpire", (room) => renew(page, engine, room));
    engine.on("renewTokenFailed", (room, code, message) => page.setData({ note: `renewToken ${code} ${message}` }));
    await privacy();
    const ready = await engine.checkSystemRequirements();
    if (left()) return false;
    if (ready.code === 10002) page.setData({ refused: true }); // shows the button to the settings
    if (ready.code !== 0) throw new Error(ready.msg);
    const { userID, token } = await fetchToken(page.data.room);
    if (left()) return false;
    page.userID = userID;
    await engine.loginRoom(page.data.room, token, { userID }, { userUpdate: true });
    if (left()) return false;
    wx.setKeepScreenOn({ keepScreenOn: true });
    page.setData({ joined: true });
    return true;
  } catch (error) {
    if (left()) return false;
    page.setData({ note: `${error.code || ""} ${error.msg || error.message}` });
    page.leave();
    return false;
  }
}

/** A token is for one user: that of another is no use, and the old one lasts a little longer. */
async function renew(page, engine, room) {
  try {
    const fresh = await fetchToken(room);
    if (page.engine !== engine) return;
    if (fresh.userID !== page.userID) throw new Error(`token endpoint: token of ${fresh.userID}, not of ${page.userID}`);
    engine.renewToken(fresh.token, room);
  } catch (error) {
    page.setData({ note: error.message });
  }
}

/** Ends the call, also one that has only begun. Returns the engine, which is destroyed, or undefined. */
function leave(page) {
  const engine = page.engine;
  page.engine = undefined;
  if (!engine) return undefined;
  wx.setKeepScreenOn({ keepScreenOn: false });
  engine.destroyEngine();
  return engine;
}

/** The page's room of its query: WeChat hands values over as they were written. */
function roomOf({ room }) {
  try {
    return decodeURIComponent(room || "r1");
  } catch (error) {
    return room;
  }
}

/** A stream ID has letters, digits and _.- only; a user ID may have more. */
function streamOf(userID) {
  return `${userID}-camera`.replace(/[^0-9A-Za-z_.-]/g, "_");
}

/** What a member shows of camera and microphone, from the stream's extra info: "" when both are on. */
function muted(extraInfo) {
  try {
    const { camera, mic } = JSON.parse(extraInfo);
    return [camera === false ? "摄像头关 / camera off" : "", mic === false ? "静音 / muted" : ""].filter(Boolean).join(" · ");
  } catch (error) {
    return "";
  }
}

module.exports = { join, leave, roomOf, streamOf, muted };
