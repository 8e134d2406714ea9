// What the official client of JavaScript is allowed to do as an engine: {call, works, why} for each call, a line each.

import { readFileSync } from "node:fs";

import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { Kvm } from "@nats-io/kv";
import { connect, nkeyAuthenticator } from "@nats-io/transport-node";

const [url, seed, ca, tlsFirst] = process.argv.slice(2);
const nc = await connect({
  servers: url,
  authenticator: nkeyAuthenticator(new TextEncoder().encode(readFileSync(seed, "utf8").trim())),
  tls: { caFile: ca, handshakeFirst: tlsFirst === "true" },
});
const options = { timeout: 1000, checkAPI: false };
const js = jetstream(nc, options);
const jsm = await jetstreamManager(nc, options);
const kv = await new Kvm(js).open("drift_price", { allow_direct: true });

async function all(iterator) {
  const found = [];
  for await (const one of iterator) found.push(one);
  return found.length;
}

const calls = {
  "nc.subscribe": async () => {
    const iterator = nc.subscribe("drift.>", { max: 1 })[Symbol.asyncIterator]();
    return (await iterator.next()).value.subject;
  },
  "jsm.streams.info": async () => (await jsm.streams.info("KV_drift_price")).config.name,
  "kv.status": async () => (await kv.status()).bucket,
  "kv.get": async () => (await kv.get("SOL-PERP")).key,
  "kv.get of an absent key": async () => await kv.get("NOPE-PERP"),
  "kv.get without allow_direct": async () => await (await new Kvm(js).open("drift_price")).get("SOL-PERP"),
  "Kvm of a connection": async () =>
    (await (await new Kvm(nc).open("drift_price", { allow_direct: true })).get("SOL-PERP")).key,
  "jsm.direct.getMessage": async () =>
    (await jsm.direct.getMessage("KV_drift_price", { last_by_subj: "$KV.drift_price.SOL-PERP" })).subject,
  "jsm.direct.getLastMessagesFor": async () =>
    await all(await jsm.direct.getLastMessagesFor("KV_drift_price", { multi_last: ["$KV.drift_price.>"] })),
  "jsm.direct.getBatch": async () => await all(await jsm.direct.getBatch("DRIFT", { seq: 1, batch: 10, next_by_subj: "drift.>" })),
  "kv.keys": async () => await all(await kv.keys()),
  "kv.watch": async () => await all(await kv.watch()),
  "kv.history": async () => await all(await kv.history({ key: "SOL-PERP" })),
  "js.consumers.get": async () => await (await js.consumers.get("DRIFT")).info(),
  "kv.put": async () => await kv.put("SOL-PERP", "1"),
  "kv.delete": async () => await kv.delete("SOL-PERP"),
  "jetstreamManager with checkAPI": async () => await jetstreamManager(nc, { timeout: 1000 }),
  "jsm.streams.list": async () => await all(jsm.streams.list()),
  "jsm.streams.getMessage": async () => await jsm.streams.getMessage("DRIFT", { seq: 1 }),
};

for (const [call, attempt] of Object.entries(calls)) {
  try {
    console.log(JSON.stringify({ call, works: true, answer: (await attempt()) ?? null }));
  } catch (error) {
    console.log(JSON.stringify({ call, works: false, why: String(error) }));
  }
}
await nc.close();
