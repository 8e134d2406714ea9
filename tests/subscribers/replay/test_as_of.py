"""The buckets as of a moment, from what the stream has left."""

from __future__ import annotations

import time

import pytest

from drift_schemas import KINDS, Kind, Topology, decode_event, encode
from drift_subscribers.history import EmptyHistory, HistoryPurged, Selection, TickSort, as_of
from tests.subscribers.replay.support import bucket_of, confirm, expire, stored_at
from tests.support.bus_writer import BusWriter, funding_event, market_event, price_event, spot_event
from tests.support.wait import wait_until

TOPOLOGY = Topology()


async def rebuilt(bus: BusWriter, moment_ns: int) -> dict[Kind, dict[str, bytes]]:
    found: dict[Kind, dict[str, bytes]] = {kind: {} for kind in KINDS}
    for tick in await as_of(bus.client, TOPOLOGY, moment_ns):
        assert tick.at_ns < moment_ns < tick.expires_at_ns
        found[tick.kind][tick.token] = tick.payload
    return found


async def test_it_is_what_the_buckets_held(bus: BusWriter) -> None:
    moments: list[tuple[int, dict[Kind, dict[str, bytes]]]] = []
    gone: list[int] = []
    for number in range(5):
        changes = [price_event("SOL-PERP", 100 + number), market_event("SOL-PERP", slot=number), spot_event("SOL")]
        unchanged = funding_event("SOL-PERP", 7)
        for change in [*changes, *([] if gone else [unchanged])]:
            await bus.change(change)
        renewed = unchanged.model_copy(update={"published_at_ns": time.time_ns(), "slot": 300_000_000 + number})
        gone += await confirm(bus, renewed)
        wanted = {change.kind: encode(change) for change in [*changes, renewed]}

        async def has_followed(wanted: dict[Kind, bytes] = wanted) -> bool:
            held = [await bucket_of(bus.client, TOPOLOGY, kind) for kind in KINDS]
            return set(wanted.values()) <= {payload for values in held for payload in values.values()}

        await wait_until(has_followed)
        moments.append((time.time_ns(), {kind: await bucket_of(bus.client, TOPOLOGY, kind) for kind in KINDS}))
    await expire(bus, *gone)

    for moment_ns, held in moments:
        assert await rebuilt(bus, moment_ns) == held


async def test_a_value_is_there_until_its_ttl_has_passed(bus: BusWriter) -> None:
    at_ns = await stored_at(bus.client, TOPOLOGY, await bus.change(price_event("SOL", 1)))
    await bus.change(funding_event("SOL-PERP"))

    async def tokens(moment_ns: int) -> set[str]:
        return {tick.token for tick in await as_of(bus.client, TOPOLOGY, moment_ns, Selection(kinds=("price",)))}

    assert await tokens(at_ns + 1) == {"SOL"}
    assert await tokens(at_ns + 10_000_000_000 - 1) == {"SOL"}
    assert await tokens(at_ns + 10_000_000_000) == set()
    assert await tokens(at_ns) == set()


async def test_a_confirmation_holds_a_value_up(bus: BusWriter) -> None:
    price = price_event("SOL", 1)
    await bus.change(price)
    again = price.model_copy(update={"published_at_ns": time.time_ns(), "slot": price.slot + 9, "epoch": 2})
    (sequence,) = await confirm(bus, again)
    confirmed_ns = await stored_at(bus.client, TOPOLOGY, sequence)
    await expire(bus, sequence)

    (tick,) = await as_of(bus.client, TOPOLOGY, confirmed_ns + 9_900_000_000)

    assert tick.sort is TickSort.CONFIRMATION
    assert tick.payload == encode(again)
    assert tick.sequence == sequence


async def test_a_name_is_whose_it_was_at_the_moment(bus: BusWriter) -> None:
    """A dead market gave its name to the live one: before that it is the one, after that the other, never both."""
    dead = price_event("SOL-PERP", 81, market_index=81)
    first_ns = await stored_at(bus.client, TOPOLOGY, await bus.change(dead))
    live_ns = await stored_at(bus.client, TOPOLOGY, await bus.change(price_event("SOL-PERP", 82, market_index=82)))
    moved = await bus.change(price_event("SOL-PERP_p81", 81, market_index=81, market_type="perp"))
    moved_ns = await stored_at(bus.client, TOPOLOGY, moved)

    async def told(moment_ns: int) -> dict[str, int]:
        ticks = await as_of(bus.client, TOPOLOGY, moment_ns, Selection(kinds=("price",)))
        return {tick.token: decode_event("price", tick.payload).market_index for tick in ticks}

    assert await told(first_ns + 1) == {"SOL-PERP": 81}
    assert (await told(live_ns + 1))["SOL-PERP"] == 82
    assert await told(moved_ns + 1) == {"SOL-PERP": 82, "SOL-PERP_p81": 81}


async def test_only_what_was_asked_for(bus: BusWriter) -> None:
    await bus.change(price_event("SOL"))
    await bus.change(price_event("SOL-PERP"))
    await bus.change(funding_event("SOL-PERP"))

    wanted = Selection(kinds=("price", "funding"), markets=("SOL-PERP",))
    found = await as_of(bus.client, TOPOLOGY, time.time_ns() + 1_000_000_000, wanted)

    assert [(tick.kind, tick.token) for tick in found] == [("funding", "SOL-PERP"), ("price", "SOL-PERP")]


async def test_before_the_beginning(bus: BusWriter) -> None:
    with pytest.raises(EmptyHistory):
        await as_of(bus.client, TOPOLOGY, time.time_ns())
    at_ns = await stored_at(bus.client, TOPOLOGY, await bus.change(price_event("SOL")))

    with pytest.raises(HistoryPurged, match="begins at"):
        await as_of(bus.client, TOPOLOGY, at_ns - 1)
