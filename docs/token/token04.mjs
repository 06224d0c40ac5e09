// Token04 for login and signed media URLs, for a Node.js backend (16 or newer, no packages).
//
//   node token04.mjs token APP_ID USER SECRET SECONDS [PAYLOAD]
//   node token04.mjs url BASE APP STREAM publish|play USER SECRET SECONDS
//
// SECRET is the app's 32-character secret from config.yaml. Keep it on the server.
import { createCipheriv, createHmac, randomBytes, randomUUID } from 'node:crypto'
import { pathToFileURL } from 'node:url'

// payload: "" permits everything to this user. To restrict, give the JSON text of
// {room_id: "room1", privilege: {1: 1, 2: 1}, stream_id_list: ["a", "b"]}
// 1 = log in, 2 = publish; room_id "" = any room; stream_id_list null = any stream.
export function token04(appId, userId, secret, seconds, payload = '') {
  if (Buffer.byteLength(secret) !== 32) throw new Error('the secret must have 32 bytes')
  const now = Math.floor(Date.now() / 1000)
  const expire = now + seconds
  const text = JSON.stringify({
    app_id: appId, user_id: userId, nonce: randomBytes(4).readInt32BE(), ctime: now, expire, payload,
  })
  const iv = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', secret, iv)
  const sealed = Buffer.concat([cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()])
  const head = Buffer.alloc(10)
  head.writeBigInt64BE(BigInt(expire), 0)
  head.writeUInt16BE(iv.length, 8)
  const length = Buffer.alloc(2)
  length.writeUInt16BE(sealed.length)
  return '04' + Buffer.concat([head, iv, length, sealed, Buffer.from([1])]).toString('base64')
}

// A signed URL is the plain one with token= and a JWT (HS256) behind it.
// More claims: room, session, nbf, max_session (true: a running session ends at exp), publish_kbps, rank.
export function signedUrl(base, app, stream, action, user, secret, seconds) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const exp = Math.floor(Date.now() / 1000) + seconds
  const text = part({ alg: 'HS256', typ: 'JWT' }) + '.' + part({ jti: randomUUID(), app, stream, action, user, exp })
  const signature = createHmac('sha256', secret).update(text).digest('base64url')
  return `${base}/${app}/${stream}?token=${text}.${signature}`
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const [what, ...a] = process.argv.slice(2)
  if (what === 'token') console.log(token04(Number(a[0]), a[1], a[2], Number(a[3]), a[4]))
  else if (what === 'url') console.log(signedUrl(a[0], a[1], a[2], a[3], a[4], a[5], Number(a[6])))
  else process.exitCode = 2
}
