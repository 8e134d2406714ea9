// Reads the bus from JavaScript, every integer exact: what a bucket holds now, then each change as it comes.
//
//   npm install     (in this folder; Node 18 or newer)
//   node read_bus.mjs --kind price --market SOL-PERP --count 10
//
// With a server of `drift-bus auth init`: --nats-url tls://host:4222 --nkey engine.nk --ca ca.pem --tls-first
// Prints a JSON object a line: {from: "snapshot" | "live", sequence, event}, integers as decimal strings.

import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";

import { decode } from "@msgpack/msgpack";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect, nkeyAuthenticator } from "@nats-io/transport-node";

/** The fields whose format in docs/schema/ is int128 or uint128: decimal strings on the wire, whatever their value. */
export const TEXT_FIELDS = new Set([
  "cumulative_funding_rate_long", "cumulative_funding_rate_short", "open_interest_long", "open_interest_short",
  "max_open_interest", "deposit_balance", "borrow_balance", "cumulative_deposit_interest",
  "cumulative_borrow_interest",
]);

/** Subject token of a market's name: each UTF-8 byte that a subject cannot carry becomes _xHH. */
export function marketToken(name) {
  const bytes = new TextEncoder().encode(name.trimEnd());
  return Array.from(bytes, (byte, at) => {
    const character = String.fromCharCode(byte);
    const plain = /[A-Za-z0-9_-]/.test(character) && !(character === "_" && bytes[at + 1] === 0x78);
    return plain ? character : `_x${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }).join("");
}

/** The event in a message. Every integer is a BigInt: a number would round beyond 2**53. */
export function decodeEvent(payload) {
  // useBigInt64 alone gives BigInt for large values and number for small ones: make all of them BigInt
  const fields = decode(payload, { useBigInt64: true });
  for (const [name, value] of Object.entries(fields)) {
    if (typeof value === "number" || (typeof value === "string" && TEXT_FIELDS.has(name))) fields[name] = BigInt(value);
  }
  return fields;
}

/** The last message of each subject, in one request; none where there is no such stream, as before a first publisher. */
async function lastValues(direct, stream, subject) {
  const messages = [];
  try {
    for await (const message of await direct.getLastMessagesFor(stream, { multi_last: [subject] })) messages.push(message);
  } catch (error) {
    if (error.code !== 503) throw error; // no responders
  }
  return messages;
}

/**
 * Yields {from, sequence, event, isChange} of one kind: what the bucket holds, then each message as it is stored.
 *
 * Re-assertions come too, with isChange false: they say that a value is still true. A value that neither changed nor
 * was re-asserted within its kind's TTL (price 10 s, funding 30 s, market and spot 60 s) is not fresh.
 */
export async function* readBus(nc, { prefix = "drift", kind, market }) {
  const token = market === undefined ? "*" : marketToken(market);
  const live = nc.subscribe(`${prefix}.${kind}.${token}`); // first: what comes meanwhile waits in it
  const bucket = `${prefix.replaceAll(".", "_")}_${kind}`;
  // an engine of `auth init` may not ask for the account's limits, which checkAPI does, nor make a consumer, which
  // kv.watch() and kv.keys() do; a batched direct get reads the whole bucket in one request
  const { direct } = await jetstreamManager(nc, { checkAPI: false });
  const newest = new Map(); // market → place in the stream of the last message that was seen
  let epoch = 0n;
  for (const message of await lastValues(direct, `KV_${bucket}`, `$KV.${bucket}.${token}`)) {
    if (message.data.length === 0) continue; // a delete marker: the value expired
    // the place in the stream that the bucket follows; Nats-Sequence is the bucket's own here
    const sequence = BigInt(message.header.get("Nats-Stream-Source").split(" ")[1]);
    const event = decodeEvent(message.data);
    newest.set(event.market, sequence);
    if (event.epoch > epoch) epoch = event.epoch;
    yield { from: "snapshot", sequence, event, isChange: true };
  }
  for await (const message of live) {
    const sequence = BigInt(message.headers.get("Nats-Sequence"));
    const event = decodeEvent(message.data);
    if (event.epoch < epoch) continue; // of a publisher that leads no more
    if (event.epoch > epoch) {
      epoch = event.epoch;
      newest.clear(); // the stream may be a new one, which counts from 1
    }
    const known = newest.get(event.market);
    if (sequence <= known) continue; // the snapshot held it already
    newest.set(event.market, sequence);
    // an unchanged value is news to whoever never saw the market, or missed what came before
    const isNews = known === undefined || BigInt(message.headers.get("Nats-Last-Sequence")) > known;
    yield { from: "live", sequence, event, isChange: isNews || !message.headers.has("Drift-Reassertion") };
  }
}

async function main() {
  const { values: options } = parseArgs({
    options: {
      "nats-url": { type: "string", default: "nats://127.0.0.1:4222" },
      prefix: { type: "string", default: "drift" },
      kind: { type: "string", default: "price" },
      market: { type: "string" },
      count: { type: "string", default: "0" },
      nkey: { type: "string" },
      ca: { type: "string" },
      "tls-first": { type: "boolean", default: false },
    },
  });
  const seed = options.nkey && new TextEncoder().encode(readFileSync(options.nkey, "utf8").trim());
  const nc = await connect({
    servers: options["nats-url"],
    maxReconnectAttempts: -1,
    ...(seed && { authenticator: nkeyAuthenticator(seed) }),
    ...(options.ca && { tls: { caFile: options.ca, handshakeFirst: options["tls-first"] } }),
  });
  let left = Number(options.count) || Infinity;
  for await (const { isChange, ...read } of readBus(nc, options)) {
    if (!isChange) continue;
    console.log(JSON.stringify(read, (_, value) => (typeof value === "bigint" ? String(value) : value)));
    if (--left <= 0) break;
  }
  await nc.close();
}

if (import.meta.url === `file://${process.argv[1]}`) {
  await main().catch((error) => {
    console.error(`read_bus: ${error.message}`);
    process.exit(1);
  });
}
