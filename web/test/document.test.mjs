// The descriptions of the APIs are what their OpenAPI versions' schemas want: whoever makes a client
// of one has a tool that reads it.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { Validator } from "@seriousme/openapi-schema-validator";
import { Relay } from "./helper.mjs";

describe("descriptions of the APIs", () => {
  let relay;
  before(async () => void (relay = await Relay.start()));
  after(() => relay?.stop());

  const served = async (name) => (await fetch(`http://127.0.0.1:${relay.adminPort}/api/${name}`)).json();
  const documents = {
    "admin, 3.1": () => served("openapi.json"),
    "admin, 3.0": () => served("openapi-3.0.json"),
    server: () => readFileSync(new URL("../../room/backend/openapi.yaml", import.meta.url), "utf8"),
  };
  for (const [name, read] of Object.entries(documents)) {
    test(name, async () => {
      const { valid, errors } = await new Validator().validate(await read());
      assert.ok(valid, JSON.stringify(errors, null, 1)?.slice(0, 2000));
    });
  }
});
