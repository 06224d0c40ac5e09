// The sample token endpoint makes Token04s: the vector is constructed from the byte layout.
import { createDecipheriv } from "node:crypto";
import type { AddressInfo } from "node:net";
import { expect, it } from "vitest";
import { server, token04 } from "../examples/backend-token/server.mjs";

const secret = "fa94dd0f974cf2e293728a526b028271";
const payload = '{"room_id":"room1","privilege":{"1":1,"2":1},"stream_id_list":null}';

it("makes the vector's token", () => {
  expect(token04(1234567890, "u1", secret, 3600, payload, Buffer.from("f0e1d2c3b4a5968778695a4b", "hex"), 1700000000, 2147483647)).toBe(
    "04AAAAAGVT/xAADPDh0sO0pZaHeGlaSwDKSlYUkSgSp6y9ZP511tw7gxM8i9Si5yvdx/NEDBTHSv5G2eCJFSyN4DY1ucRXFdYu507UdAiWDF2j/tl+b+QsxhQN+WtHrhgyAPoWnkNmvL8QTrh6z9900hIzKWrfgf/BIqNHidw6DzE6mC6QqIO98atd0mGpFPoEvEJtHOB3eryYSSzcU4ZpL1jIqT9Xa5wofo2Roza/XvaTJaVq0FJQIQW7/oTZgUwriJ+dzYFY+m5qfP/UCX0Jw8owOPnWnGNV24yFkhTY91PpzwE=",
  );
  expect(() => token04(1, "u", "short", 60)).toThrow();
});

it("answers with a token that opens", async () => {
  process.env.APP_SECRET = secret;
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const ask = async (login = ""): Promise<any> => (await fetch(`http://127.0.0.1:${port}/token?room=r1&login=${login}`)).json();
  const { appID, userID, token, login } = await ask();
  expect((await ask(login)).userID).toBe(userID); // the same user again, as renewToken needs
  for (const forged of ["", userID, `${userID}.`, `${userID}.${"0".repeat(64)}`, login.replace(userID, "boss")]) {
    expect([userID, "boss"]).not.toContain((await ask(forged)).userID);
  }
  server.close();
  const raw = Buffer.from(token.slice(2), "base64");
  const n = raw.readUInt16BE(8);
  const m = raw.readUInt16BE(10 + n);
  expect([n, raw.length, raw[raw.length - 1]]).toEqual([12, 8 + 2 + n + 2 + m + 1, 1]);
  const sealed = raw.subarray(12 + n, 12 + n + m);
  const decipher = createDecipheriv("aes-256-gcm", secret, raw.subarray(10, 10 + n));
  decipher.setAuthTag(sealed.subarray(-16));
  const inner = JSON.parse(decipher.update(sealed.subarray(0, -16), undefined, "utf8") + decipher.final("utf8"));
  expect(inner).toMatchObject({ app_id: appID, user_id: userID, expire: Number(raw.readBigInt64BE(0)) });
  expect(JSON.parse(inner.payload)).toEqual({ room_id: "r1", privilege: { 1: 1, 2: 1 }, stream_id_list: null });
});
