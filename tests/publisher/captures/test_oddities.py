"""What the pipeline makes of captured oddities."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from drift_publisher.capture import open_capture
from drift_publisher.profiles import DRIFT_V2, PROFILES
from drift_schemas import PriceEvent
from drift_schemas.capture import CapturedAccount, CapturedSlot, CaptureRecord
from drift_simulator import Cluster
from tests.publisher.unit.accounts import real_accounts
from tests.support.captures import HEADER, START_NS, header_of, steps_of_a_cluster, write_capture

from . import Outcome, pipeline, run


def misbehaving(program: str) -> list[CaptureRecord]:
    """What the file holds, of any program: half an oracle for a while, then a market told with slots of long ago."""
    addresses: dict[str, str] = {}

    def halve(number: int, cluster: Cluster) -> None:
        sol = cluster.perp("SOL-PERP").oracle
        addresses["BTC-PERP"] = str(cluster.perp("BTC-PERP").pubkey)
        if number == 40:
            account = cluster.ledger.get(str(sol))
            assert account is not None
            cluster.ledger.pin(sol, bytes(account.data[: len(account.data) // 2]), None, cluster.slot)
        elif number == 60:
            cluster.ledger.unpin(sol, cluster.slot)

    records = steps_of_a_cluster(120, meanwhile=halve, program=program, spot_markets=1)
    third = len(records) * 2 // 3
    return [
        record._replace(slot=record.slot - 50)
        if isinstance(record, CapturedAccount) and record.address == addresses["BTC-PERP"] and third < at < third + 60
        else record
        for at, record in enumerate(records)
    ]


@pytest.fixture(scope="module", params=["file", *PROFILES])
def outcome(request: pytest.FixtureRequest) -> Outcome:
    """What the pipeline made of the file, which was taken from a socket, and of the like of each program."""
    if request.param == "file":
        return run("oddities")
    return pipeline(misbehaving(request.param), header_of(request.param))


def test_half_an_oracle_gives_no_price_and_a_whole_one_gives_it_back(outcome: Outcome) -> None:
    prices = [event.oracle_price for event in outcome.events["price.SOL-PERP"] if isinstance(event, PriceEvent)]
    missing = prices.index(None)
    assert 0 < missing < len(prices) - 1
    assert prices[-1] is not None
    assert outcome.store.refused["size"] == 1


def test_what_is_told_with_an_old_slot_never_goes_out(outcome: Outcome) -> None:
    assert outcome.store.refused["slot went backwards"] > 1
    for subject, events in outcome.events.items():
        assert all(before.slot <= after.slot for before, after in pairwise(events)), subject
    assert len(outcome.events["market.BTC-PERP"]) > 3


def test_the_others_never_noticed(outcome: Outcome) -> None:
    quote = outcome.store.spot_markets[0].name
    for market in ("BTC-PERP", "ETH-PERP", quote):
        prices = [event for event in outcome.events[f"price.{market}"] if isinstance(event, PriceEvent)]
        assert len(prices) > 10
        assert all(event.oracle_price for event in prices)
    assert {market.name for market in outcome.store.markets()} == {"SOL-PERP", "BTC-PERP", "ETH-PERP", quote}
    assert {event.program for told in outcome.events.values() for event in told} == {outcome.store.profile.name}


@pytest.mark.parametrize("kind", ["PerpMarket", "SpotMarket"])
def test_real_accounts_make_a_capture(tmp_path: Path, kind: str) -> None:
    """Accounts of mainnet, the versions of one market after each other, through file, store and projection."""
    layout = DRIFT_V2.perp_market if kind == "PerpMarket" else DRIFT_V2.spot_market
    versions = [(layout.read(data), data) for data in real_accounts(kind).values()]
    records: list[CaptureRecord] = [CapturedSlot(1_000, START_NS)]
    oracles: dict[str, str] = {}
    for number, (market, data) in enumerate(versions):
        slot, now_ns = 1_001 + number, START_NS + number
        owner = DRIFT_V2.program_id
        records.append(CapturedAccount(market.pubkey, owner, slot, data, now_ns, False))
        if market.oracle not in oracles:
            oracles[market.oracle] = market.pubkey
            records.append(CapturedAccount(market.oracle, "", slot, None, now_ns, True))
    path = write_capture(tmp_path / "real.capture.zst", records)
    reader = open_capture(path)
    assert list(reader.records()) == records
    outcome = pipeline(reader.records(), HEADER)
    assert outcome.events
    held = {market.pubkey: market for market in outcome.store.markets()}
    assert held
    assert all(held[pubkey] in [market for market, _ in versions] for pubkey in held)
    assert {event.cluster for events in outcome.events.values() for event in events} == {"mainnet-beta"}
