// What belongs to your installation.
module.exports = {
  /** The app's id in the server's config.yaml. */
  appID: 1,
  /** The relay; add its host to the mini program's socket domains. Several: they are tried in turn. */
  server: ["wss://live.example.com"],
  /** Answers {userID, token, login}; see ../backend-token. Add its host to the request domains. */
  tokenURL: "https://api.example.com/token",
  /** Shown to the others while this phone is in the background. */
  waitingImage: "",
};
