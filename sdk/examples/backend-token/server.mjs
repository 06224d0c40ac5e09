// A token endpoint in 40 lines: GET /token?room=r1[&login=…] answers {appID, userID, token, login}.
//   APP_ID=1 APP_SECRET=<32 characters> node server.mjs
// A caller who sends the `login` of an earlier answer stays the same user; others become a new
// guest. Put your own login in the place of user(): whoever gets a token can act as the user it
// names.
import { createCipheriv, createHmac, randomBytes, randomInt, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";

/**
 * A Token04 (AES-256-GCM): "04" + base64(expire, nonce, ciphertext, mode 1). `iv` and `now` are for
 * tests.
 */
export function token04(appID, userID, secret, seconds, payload = "", iv = randomBytes(12), now = Math.floor(Date.now() / 1000), nonce = randomInt(2 ** 31)) {
  if (Buffer.byteLength(secret) !== 32) throw new Error("the secret must have 32 characters");
  const expire = now + seconds;
  const text = JSON.stringify({ app_id: appID, user_id: userID, nonce, ctime: now, expire, payload });
  const cipher = createCipheriv("aes-256-gcm", secret, iv);
  const sealed = Buffer.concat([cipher.update(text, "utf8"), cipher.final(), cipher.getAuthTag()]);
  const head = Buffer.alloc(8), lengths = [iv, sealed].map((b) => Buffer.from([b.length >> 8, b.length & 255]));
  head.writeBigInt64BE(BigInt(expire));
  return "04" + Buffer.concat([head, lengths[0], iv, lengths[1], sealed, Buffer.from([1])]).toString("base64");
}

const loginOf = (userID) => `${userID}.${createHmac("sha256", `login:${process.env.APP_SECRET}`).update(userID).digest("hex")}`;

/** The user of a login that we gave out, or a new guest. */
function user(login) {
  const known = Buffer.from(loginOf(login.split(".")[0])), given = Buffer.from(login);
  return known.length === given.length && timingSafeEqual(known, given) ? login.split(".")[0] : `guest-${randomBytes(4).toString("hex")}`;
}

export const server = createServer((request, response) => {
  const query = new URLSearchParams(request.url.split("?")[1]);
  const userID = user(query.get("login") || ""), appID = Number(process.env.APP_ID || 1);
  const payload = JSON.stringify({ room_id: query.get("room") || "", privilege: { 1: 1, 2: 1 }, stream_id_list: null });
  const token = token04(appID, userID, process.env.APP_SECRET || "", 3600, payload);
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify({ appID, userID, token, login: loginOf(userID) }));
});
if (process.argv[1] === fileURLToPath(import.meta.url) && token04(1, "start", process.env.APP_SECRET || "", 1)) server.listen(Number(process.env.PORT || 3000));
