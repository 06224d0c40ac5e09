const { tokenURL } = require("./config");

/** Asks the backend who we are in a room: {userID, token}. The login it gave last makes us the same user again. */
function fetchToken(room) {
  const login = wx.getStorageSync("login") || "";
  return new Promise((resolve, reject) => {
    wx.request({
      url: `${tokenURL}?room=${encodeURIComponent(room)}&login=${encodeURIComponent(login)}`,
      success: ({ statusCode, data }) => {
        if (statusCode !== 200) return reject(new Error(`token endpoint: ${statusCode}`));
        wx.setStorageSync("login", data.login);
        resolve(data);
      },
      fail: (error) => reject(new Error(`token endpoint: ${error.errMsg}`)),
    });
  });
}

module.exports = { fetchToken };
