"""The stream and the buckets, as data and on a real server."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

import nats
import pytest

from drift_bus.nats_server import LocalNatsServer
from drift_schemas import KINDS, MAX_MESSAGE_BYTES, Topology, bucket_ttl_s, encode, reassert_every_s
from tests.support.bus_writer import BusWriter, funding_event, price_event
from tests.support.connecting import nats_client
from tests.support.wait import wait_until


def test_names_follow_the_prefix() -> None:
    assert Topology().stream == "DRIFT"
    assert Topology().bucket("funding") == "drift_funding"
    assert Topology().bucket_stream("funding") == "KV_drift_funding"
    assert Topology().funding_history == "DRIFT_FUNDING_HISTORY"
    other = Topology("devnet.drift")
    assert other.stream == "DEVNET_DRIFT"
    assert other.bucket("spot") == "devnet_drift_spot"


def test_the_ttls_are_the_designs() -> None:
    assert {kind: bucket_ttl_s(kind) for kind in KINDS} == {"funding": 30, "price": 10, "market": 60, "spot": 60}
    for kind in KINDS:
        assert reassert_every_s(kind) * 3 == pytest.approx(bucket_ttl_s(kind))


def test_the_configurations_are_plain_json() -> None:
    topology = Topology(max_age_s=600, max_bytes=10**9, funding_max_age_s=1200, funding_max_bytes=10**8, replicas=3)
    configs = topology.configs()
    assert json.loads(json.dumps(configs)) == configs
    names = ["DRIFT", *(f"KV_drift_{kind}" for kind in KINDS), "DRIFT_FUNDING_HISTORY"]
    assert [config["name"] for config in configs] == names
    stream, history = configs[0], configs[-1]
    assert (stream["max_age"], stream["max_bytes"], stream["num_replicas"]) == (600 * 10**9, 10**9, 3)
    assert (history["max_age"], history["max_bytes"], history["num_replicas"]) == (1200 * 10**9, 10**8, 3)
    assert stream["max_msg_size"] > MAX_MESSAGE_BYTES
    assert stream["duplicate_window"] == 120 * 10**9
    assert all(config["allow_direct"] and config["allow_msg_ttl"] for config in configs)


async def test_the_server_takes_them_and_one_publish_feeds_all_three(nats_server: LocalNatsServer) -> None:
    async with BusWriter(nats_server.url) as bus:
        live = await bus.client.subscribe("drift.>")
        event = price_event("SOL-PERP")
        sequence = await bus.change(event)
        message = await live.next_msg(timeout=30)
        assert (message.subject, message.data) == ("drift.price.SOL-PERP", encode(event))
        assert (message.headers or {})["Nats-Sequence"] == str(sequence)
        async with nats_client(nats_server.url) as client:
            bucket = await client.jetstream(timeout=30).key_value("drift_price")

            async def kept() -> bytes | None:
                try:
                    return (await bucket.get("SOL-PERP")).value
                except nats.js.errors.KeyNotFoundError:
                    return None

            assert await wait_until(kept) == encode(event)


async def test_making_them_again_changes_nothing(nats_server: LocalNatsServer) -> None:
    async with BusWriter(nats_server.url) as bus:
        await bus.change(price_event("SOL-PERP"))
        await bus.make_stream()
        assert await bus.change(price_event("SOL-PERP", 2)) == 2


async def test_a_key_leaves_its_bucket_with_its_ttl(nats_server: LocalNatsServer) -> None:
    async with BusWriter(nats_server.url) as bus:
        event = price_event("SOL-PERP")
        await bus.raw("drift.price.SOL-PERP", encode(event), {"Nats-TTL": "1s"})
        async with nats_client(nats_server.url) as client:
            bucket = await client.jetstream(timeout=30).key_value("drift_price")

            async def keys() -> list[str]:
                try:
                    return await bucket.keys()
                except nats.js.errors.NoKeysError:
                    return []

            await wait_until(keys)

            async def gone() -> bool:
                return not await keys()

            await wait_until(gone)


async def test_the_funding_history_outlives_the_stream_and_holds_nothing_else(nats_server: LocalNatsServer) -> None:
    async with BusWriter(nats_server.url) as bus:
        event = funding_event("SOL-PERP")
        await bus.change(price_event("SOL-PERP"))
        sequence = await bus.change(event)
        streams = bus.client.jetstream(timeout=30)

        async def kept() -> int:
            return (await streams.stream_info("DRIFT_FUNDING_HISTORY")).state.messages

        await wait_until(kept)
        await bus.delete_message(sequence)
        message = await streams.get_msg("DRIFT_FUNDING_HISTORY", 1)
        assert await kept() == 1
    assert (message.subject, message.data) == ("drift.funding.SOL-PERP", encode(event))


async def test_a_reassertion_leaves_the_funding_history_with_its_ttl(nats_server: LocalNatsServer) -> None:
    async with BusWriter(nats_server.url) as bus:
        event = funding_event("SOL-PERP")
        await bus.change(event)
        await bus.raw("drift.funding.SOL-PERP", encode(event), {"Nats-TTL": "1s"})
        streams = bus.client.jetstream(timeout=30)

        async def last() -> int:
            return (await streams.stream_info("DRIFT_FUNDING_HISTORY")).state.last_seq

        async def kept() -> int:
            return (await streams.stream_info("DRIFT_FUNDING_HISTORY")).state.messages

        await wait_until(lambda: _is(last, 2))
        await wait_until(lambda: _is(kept, 1))


@pytest.mark.parametrize("age_s", [0, 10, 119, 3600])
async def test_any_age_that_settings_allow_is_one_that_the_server_takes(
    age_s: int, nats_server: LocalNatsServer
) -> None:
    async with nats_client(nats_server.url) as client:
        for config in Topology(max_age_s=age_s, funding_max_age_s=age_s).configs():
            answer = await client.request(
                f"$JS.API.STREAM.CREATE.{config['name']}", json.dumps(config).encode(), timeout=30
            )
            assert "error" not in json.loads(answer.data), answer.data


async def _is(reading: Callable[[], Awaitable[int]], wanted: int) -> bool:
    return await reading() == wanted
