"""Whatever the order of calls and whatever is on the bus: counts, instances, shapes."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drift_bus.nats_server import LocalNatsServer
from drift_subscribers import CannotConnect, DriftFeed, FeedClosed, SnapshotIncomplete, shared_feed_references
from drift_subscribers.compat import DriftAdapter, DriftClientManager, DriftFundingFeed
from drift_subscribers.compat.notes import NOTES
from drift_subscribers.compat.session import process_feed
from drift_subscribers.compat.settings import CompatSettings
from drift_subscribers.compat.slot import ClientSlot
from tests.subscribers.compat.test_shapes import RATE, ROW, STATS
from tests.support.bus_writer import BusWriter, funding_event, market_event, price_event

WITH_ONE_SERVER = settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
CALLS = st.lists(
    st.one_of(
        st.tuples(st.just("get"), st.integers(1, 4)),
        st.tuples(st.just("release"), st.integers(1, 4)),
        st.tuples(st.just("get and release"), st.integers(1, 4)),
        st.tuples(st.just("reconnect"), st.just(1)),
    ),
    min_size=1,
    max_size=8,
)
SIGNED = st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(-(10**7), 10**7))
UNSIGNED = st.one_of(st.integers(0, 2**64 - 1), st.integers(0, 10**12), st.just(0))


class CountedFeeds:
    """Real feeds, and how many were opened and closed."""

    def __init__(self) -> None:
        self.opened = self.closed = 0

    @asynccontextmanager
    async def __call__(self, settings: CompatSettings) -> AsyncIterator[DriftFeed]:
        async with process_feed(settings) as feed:
            self.opened += 1
            try:
                yield feed
            finally:
                self.closed += 1


@pytest.mark.slow
@pytest.mark.timeout(600)
@WITH_ONE_SERVER
@given(calls=CALLS)
async def test_references_are_counted_and_the_last_one_closes_everything(
    calls: list[tuple[str, int]], engine: LocalNatsServer
) -> None:
    feeds = CountedFeeds()
    held = 0
    client: object = None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DriftClientManager, "_slot", ClientSlot(lambda: feeds))
        for call, times in [*calls, ("release", sum(times for _, times in calls))]:
            before = feeds.opened
            if call == "get":
                got = await asyncio.gather(*(DriftClientManager.get_client() for _ in range(times)))
                assert got[0] is not None
                assert all(one is got[0] for one in got)
                assert client is None or got[0] is client
                assert feeds.opened - before == (held == 0)
                client, held = got[0], held + times
            elif call == "release":
                await asyncio.gather(*(DriftClientManager.release_client() for _ in range(times)))
                held = max(0, held - times)
            elif call == "get and release":
                returned = min(times, held)
                releases = [DriftClientManager.release_client() for _ in range(returned)]
                got = await asyncio.gather(*releases, *(DriftClientManager.get_client() for _ in range(times)))
                assert None not in got[returned:]
                held += times - returned
                client = got[-1]
            else:
                assert await DriftClientManager.force_reconnect() is (held > 0)
            client = client if held else None
            assert DriftClientManager.reference_count() == held
            assert await DriftClientManager.is_initialized() is (held > 0)
            assert feeds.opened - feeds.closed == (held > 0)
            assert shared_feed_references() == (held > 0)
    assert held == 0


@WITH_ONE_SERVER
@given(
    failures=st.lists(
        st.sampled_from([CannotConnect("x"), SnapshotIncomplete("x"), FeedClosed("x"), OSError(9, "x")]), max_size=5
    ),
    fatal=st.sampled_from([None, ValueError("x"), RuntimeError("x"), KeyError(0)]),
    attempts=st.integers(0, 5),
    callers=st.integers(1, 4),
)
async def test_a_failed_start_gives_none_after_as_many_attempts_as_allowed(
    failures: list[Exception], fatal: Exception | None, attempts: int, callers: int, engine: LocalNatsServer
) -> None:
    tried = 0

    @asynccontextmanager
    async def failing(settings: CompatSettings) -> AsyncIterator[DriftFeed]:
        nonlocal tried
        tried += 1
        if tried <= len(failures):
            raise failures[tried - 1]
        if fatal is not None:
            raise fatal
        async with process_feed(settings) as feed:
            yield feed

    allowed = max(1, attempts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DriftClientManager, "_slot", ClientSlot(lambda: failing))
        patch.setenv("DRIFT_MAX_RETRIES", str(attempts))
        patch.setenv("DRIFT_RETRY_BACKOFF", "0")
        got = await asyncio.gather(*(DriftClientManager.get_client() for _ in range(callers)))
        assert tried == min(allowed, len(failures) + 1)
        if len(failures) >= allowed or fatal is not None:
            assert got == [None] * callers
            assert DriftClientManager.reference_count() == 0
            assert await DriftClientManager.get_funding_rate("SOL-PERP") is None
        else:
            assert None not in got
            assert DriftClientManager.reference_count() == callers
            await asyncio.gather(*(DriftClientManager.release_client() for _ in range(callers)))
    assert shared_feed_references() == 0


def _has_the_shape_of(value: Any, sample: dict[str, Any]) -> bool:
    return [(name, type(part)) for name, part in value.items()] == [(name, type(part)) for name, part in sample.items()]


@pytest.mark.slow
@pytest.mark.timeout(600)
@WITH_ONE_SERVER
@given(
    funding=st.fixed_dictionaries(
        {
            "funding_rate": SIGNED,
            "oracle_twap_at_funding": SIGNED,
            "next_funding_ts": st.none() | st.integers(0, 2**40),
            "is_paused": st.booleans(),
        }
    ),
    price=st.fixed_dictionaries(
        {"mark_price": st.none() | UNSIGNED, "oracle_is_valid": st.booleans(), "mark_twap_5min": UNSIGNED}
    ),
    oracle=st.none() | SIGNED,
    market=st.fixed_dictionaries(
        {
            "open_interest_long": st.integers(0, 2**127 - 1),
            "open_interest_short": st.integers(0, 2**127 - 1),
            "volume_24h": UNSIGNED,
        }
    ),
    source=st.sampled_from(["PythLazer", "Pyth", "PythPull", "Switchboard", "Prelaunch", "QuoteAsset", "Unknown(77)"]),
    network=st.sampled_from(["mainnet", "devnet"]),
)
async def test_shapes_never_change(
    funding: dict[str, Any],
    price: dict[str, Any],
    oracle: int | None,
    market: dict[str, Any],
    source: str,
    network: str,
    engine: LocalNatsServer,
    bus: BusWriter,
) -> None:
    NOTES.forget_all()
    events = [
        funding_event(**funding),
        price_event(oracle_source=source, **price).model_copy(update={"oracle_price": oracle}),
        market_event(**market),
    ]
    for event in events:
        await bus.change(event)
    adapter = DriftAdapter(network)
    assert await adapter.connect()
    feed = DriftFundingFeed(adapter)
    rate = await adapter.get_funding_rate("SOL-PERP")
    assert rate is None or _has_the_shape_of(rate, RATE)
    rows = await adapter.get_all_perp_markets()
    assert all(_has_the_shape_of(row, ROW) for row in rows)
    stats = await adapter.get_market_stats("SOL-PERP")
    assert stats == {} or _has_the_shape_of(stats, STATS)
    assert isinstance(await adapter.get_time_to_funding(), int | None)
    info = await feed.get_funding_rate("SOL-PERP")
    if info is not None:
        assert rate is not None
        assert (info.rate_8h, info.mark_price) == (rate["rate_8h"], rate["mark_price"])
        assert type(info.time_to_next_funding) is int
        assert info.direction == ("SHORT_PERP" if info.rate_8h > 0 else "LONG_PERP")
    for found in await feed.get_funding_markets():
        assert found.direction == ("shorts" if found.rate_1h > 0 else "longs")
        assert all(map(math.isfinite, (found.rate_1h, found.rate_8h, found.apr, found.open_interest)))
    totals = await feed.get_market_stats()
    assert totals == {} or _has_the_shape_of(totals, {"total_oi": 0.0, "volume_24h": 0.0, "avg_funding": 0.0})
    whole = bool(price["mark_price"] and oracle and oracle > 0 and _has_a_rate(funding))
    assert len(rows) == whole
    assert bool(stats) == (whole and funding["next_funding_ts"] is not None)
    session = adapter._session
    assert session is not None
    account = session.client.get_perp_market_account(0)
    assert account is not None
    assert account.amm.base_asset_amount_short == -market["open_interest_short"]
    data = session.client.get_oracle_price_data_for_perp_market(0)
    assert (data is None) == (oracle is None or oracle <= 0)
    await adapter.disconnect()


def _has_a_rate(funding: dict[str, Any]) -> bool:
    return funding["funding_rate"] == 0 or funding["oracle_twap_at_funding"] > 0
