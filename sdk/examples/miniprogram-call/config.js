// The two addresses of your installation.
module.exports = {
  /** The relay; add its host to the mini program's socket domains. Several: they are tried in turn. */
  server: ["wss://live.example.com"],
  /** Answers {appID, userID, token}; see ../backend-token. Add its host to the request domains. */
  tokenURL: "https://api.example.com/token",
  /** Shown to the others while this phone is in the background. */
  waitingImage: "",
};
