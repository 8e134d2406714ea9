"""The one reader of history: in order, just what was selected, and clear errors."""

from __future__ import annotations

from dataclasses import replace

import pytest

from drift_bus.nats_server import LocalNatsServer
from drift_schemas import InvalidMarketName, Topology
from drift_subscribers.history import (
    BadSelection,
    EmptyHistory,
    HistoryPurged,
    NoHistory,
    Selection,
    StoredMessage,
    find_span,
    read_history,
    read_span,
)
from tests.subscribers.replay.support import confirm, stored, stored_at
from tests.support.bus_writer import BusWriter, funding_event, price_event, spot_event
from tests.support.wait import wait_until

TOPOLOGY = Topology()


async def read(bus: BusWriter, selection: Selection, batch: int = 7) -> list[StoredMessage]:
    return [one async for some in read_history(bus.client, TOPOLOGY, selection, batch=batch) for one in some]


async def fill(bus: BusWriter, rounds: int = 12) -> None:
    await bus.raw(TOPOLOGY.subjects.epoch, b"1", {"Nats-TTL": "never"})
    for number in range(rounds):
        await bus.change(price_event("SOL-PERP", 100 + number))
        await bus.change(price_event("SOL", 100 + number))
        await bus.change(funding_event("SOL-PERP", number))
        await bus.change(spot_event("SOL", deposit_rate=number))
        await confirm(bus, price_event("SOL", 100 + number))


@pytest.mark.parametrize("batch", [1, 7, 12, 1000])
async def test_all_of_it_in_order(bus: BusWriter, batch: int) -> None:
    await fill(bus)
    whole = [one for one in await stored(bus.client, TOPOLOGY) if one.kind and not one.is_reassertion]

    found = await read(bus, Selection(), batch)

    assert [(one.sequence, one.subject, one.payload, one.stored_at_ns) for one in found] == [
        (one.sequence, one.subject, one.payload, one.stored_at_ns) for one in whole
    ]
    assert {(one.kind, one.token) for one in found} == {
        ("price", "SOL-PERP"), ("price", "SOL"), ("funding", "SOL-PERP"), ("spot", "SOL"),
    }  # fmt: skip


async def test_by_kind_and_market(bus: BusWriter) -> None:
    await fill(bus)

    found = await read(bus, Selection(kinds=("price", "funding"), markets=("SOL-PERP",)))

    assert [one.subject for one in found] == ["drift.price.SOL-PERP", "drift.funding.SOL-PERP"] * 12


async def test_re_assertions_and_the_journal_only_when_asked_for(bus: BusWriter) -> None:
    await fill(bus)

    found = await read(bus, Selection(kinds=("price",), reassertions=True, journal=True))

    assert sum(one.is_reassertion for one in found) == 12
    assert sum(one.kind is None for one in found) == 12


async def test_bounds_of_time_take_the_first_and_leave_the_last(bus: BusWriter) -> None:
    await fill(bus)
    everything = await read(bus, Selection())
    first, last = everything[10], everything[30]

    found = await read(bus, Selection(since_ns=first.stored_at_ns, until_ns=last.stored_at_ns))
    one_later = await read(bus, Selection(since_ns=first.stored_at_ns + 1, until_ns=last.stored_at_ns + 1))

    assert [one.sequence for one in found] == [one.sequence for one in everything[10:30]]
    assert [one.sequence for one in one_later] == [one.sequence for one in everything[11:31]]


async def test_bounds_of_sequence_hold_with_those_of_time(bus: BusWriter) -> None:
    await fill(bus)
    everything = await read(bus, Selection())

    found = await read(bus, Selection(first_sequence=everything[5].sequence, last_sequence=everything[9].sequence))
    both = await read(
        bus, Selection(since_ns=everything[7].stored_at_ns, last_sequence=everything[9].sequence, kinds=("price",))
    )

    assert found == everything[5:10]
    assert both == [one for one in everything[7:10] if one.kind == "price"]


async def test_a_reading_resumes_from_where_it_was(bus: BusWriter) -> None:
    await fill(bus)
    selection = Selection()
    everything = await read(bus, selection)
    span = await find_span(bus.client, TOPOLOGY, selection)
    rest = replace(span, first_sequence=everything[20].sequence)

    found = [one async for some in read_span(bus.client, TOPOLOGY, selection, rest) for one in some]

    assert found == everything[20:]


async def test_what_is_stored_later_is_not_part_of_it(bus: BusWriter) -> None:
    await fill(bus, 3)
    reading = read_history(bus.client, TOPOLOGY, Selection(), batch=2)
    found = list(await anext(reading))

    await fill(bus, 3)
    async for some in reading:
        found += some

    assert len(found) == 12


async def test_another_stream_of_the_same_subjects(bus: BusWriter) -> None:
    await bus._api(
        "STREAM.CREATE.LONGER", {"name": "LONGER", "sources": [{"name": "DRIFT", "filter_subject": "drift.funding.*"}],
                                 "allow_direct": True},
    )  # fmt: skip
    await fill(bus, 3)
    longer = "LONGER"

    async def has_followed() -> bool:
        return len(await stored(bus.client, TOPOLOGY, longer)) == 3

    await wait_until(has_followed)

    found = [one async for some in read_history(bus.client, TOPOLOGY, Selection(), stream=longer) for one in some]

    assert [one.subject for one in found] == ["drift.funding.SOL-PERP"] * 3


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"since_ns": 10, "until_ns": 10}, "not after its beginning"),
        ({"first_sequence": 5, "last_sequence": 4}, "before its beginning"),
        ({"first_sequence": 0}, "begin at 1"),
        ({"kinds": ()}, "choose from funding"),
        ({"kinds": ("oracle",)}, "choose from funding"),
    ],
)
def test_a_selection_that_contradicts_itself_is_refused(wrong: dict[str, object], says: str) -> None:
    with pytest.raises(BadSelection, match=says):
        Selection(**wrong)  # type: ignore[arg-type]


def test_a_market_that_cannot_be_is_refused() -> None:
    with pytest.raises(InvalidMarketName):
        Selection(markets=("",))


async def test_no_stream(nats_server: LocalNatsServer) -> None:
    async with BusWriter(nats_server.url, make=False) as bus:
        with pytest.raises(NoHistory, match="no stream DRIFT"):
            await read(bus, Selection())


async def test_nothing_of_it(bus: BusWriter) -> None:
    with pytest.raises(EmptyHistory, match="holds no event"):
        await read(bus, Selection())
    await fill(bus, 2)
    newest = (await stored(bus.client, TOPOLOGY))[-1]

    for selection in (
        Selection(markets=("BTC-PERP",)),
        Selection(kinds=("market",)),
        Selection(since_ns=newest.stored_at_ns + 1),
        Selection(first_sequence=newest.sequence + 1),
    ):
        with pytest.raises(EmptyHistory, match=r"it holds 20.*sequences 2 to"):
            await read(bus, selection)


async def test_a_purged_beginning_is_said(bus: BusWriter) -> None:
    await fill(bus)
    whole = await stored(bus.client, TOPOLOGY)
    before, kept = whole[10], whole[20]
    moment = await stored_at(bus.client, TOPOLOGY, before.sequence)
    await bus._api("STREAM.PURGE.DRIFT", {"seq": kept.sequence})

    with pytest.raises(HistoryPurged, match="begins at 20"):
        await read(bus, Selection(since_ns=moment))
    with pytest.raises(HistoryPurged, match="begins at 20") as told:
        await read(bus, Selection(first_sequence=before.sequence))
    assert told.value.first_sequence >= kept.sequence
    begin = Selection(since_ns=told.value.begins_at_ns)
    assert (await read(bus, begin))[0].sequence == told.value.first_sequence
    assert (await read(bus, Selection()))[0].sequence == told.value.first_sequence
