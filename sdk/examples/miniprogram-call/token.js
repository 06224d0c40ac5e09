const { tokenURL } = require("./config");

/** Asks the backend who we are in a room: {appID, userID, token}. */
function fetchToken(room) {
  return new Promise((resolve, reject) => {
    wx.request({
      url: `${tokenURL}?room=${encodeURIComponent(room)}`,
      success: ({ statusCode, data }) => (statusCode === 200 ? resolve(data) : reject(new Error(`token endpoint: ${statusCode}`))),
      fail: (error) => reject(new Error(`token endpoint: ${error.errMsg}`)),
    });
  });
}

module.exports = { fetchToken };
