"""The examples' engines on a fake feed: what a user's own tests look like."""

from __future__ import annotations

import asyncio

import pytest

from drift_subscribers.testing import FakeFeed, funding_event, price_event
from examples import funding_engine, late_joiner, plain_script, two_engines
from tests.support.wait import wait_until


async def delivered(feed: FakeFeed, count: int) -> None:
    """Returns when the streams of a feed have handed out so many events."""
    await wait_until(lambda: sum(each.statistics.delivered for each in feed.stream_statistics()) == count)


async def test_the_funding_engine_prints_changes_and_no_confirmations(capsys: pytest.CaptureFixture[str]) -> None:
    async with FakeFeed([funding_event("SOL-PERP", funding_rate=1_500_000)]) as feed:
        feed.confirm()
        following = asyncio.create_task(funding_engine.follow(feed, "SOL-PERP", count=3))
        await delivered(feed, 1)
        feed.put(funding_event("BTC-PERP"))
        feed.put(funding_event("SOL-PERP", funding_rate=-3_000_000, is_paused=True))
        feed.put(funding_event("SOL-PERP", oracle_twap=0, estimated_funding_rate_long=None))
        await following
    assert [line.split("  ")[2:] for line in capsys.readouterr().out.splitlines()] == [
        ["settled +0.001000%/h", "estimate +0.001000%/h", "[simulated]"],
        ["settled -0.002000%/h", "estimate -0.002000%/h", "PAUSED", "[simulated]"],
        ["settled n/a", "estimate n/a", "[simulated]"],
    ]


def test_the_late_joiner_says_what_is_not_fresh() -> None:
    feed = FakeFeed([price_event("SOL-PERP"), funding_event("SOL-PERP"), price_event("BTC-PERP")])
    feed.advance(9)
    feed.confirm("price", "SOL-PERP")
    feed.advance(5)
    assert [line.split(maxsplit=1) for line in late_joiner.table(feed)] == [
        ["SOL-PERP", "150.000000  +0.0080 % / 8 h"],
        ["BTC-PERP", "not fresh, last confirmed 14 s ago"],
    ]


async def test_the_carry_engine_earns_where_the_other_side_pays(capsys: pytest.CaptureFixture[str]) -> None:
    async with FakeFeed([funding_event(funding_rate=1_500_000)]) as feed, asyncio.TaskGroup() as engines:
        engines.create_task(two_engines.carry(feed, "SOL-PERP", position=-100))
        engines.create_task(two_engines.carry(feed, "SOL-PERP", position=100))
        await delivered(feed, 2)
        feed.close()
    assert sorted(line.split()[4] for line in capsys.readouterr().out.splitlines()) == ["+1.20", "-1.20"]


async def test_the_scalper_takes_no_signal_from_an_invalid_oracle(capsys: pytest.CaptureFixture[str]) -> None:
    prices = [
        price_event(mark_price=150_150_000, oracle_is_valid=False),
        price_event(oracle_price=None),
        price_event(mark_price=150_010_000),
        price_event(mark_price=149_850_000),
    ]
    async with FakeFeed() as feed, asyncio.TaskGroup() as engines:
        engines.create_task(two_engines.scalp(feed, "SOL-PERP"))
        await wait_until(feed.stream_statistics)
        for count, price in enumerate(prices, start=1):
            feed.put(price)
            await delivered(feed, count)
        feed.close()
    assert capsys.readouterr().out == "scalp: SOL-PERP mark -10.0 bp from its oracle [simulated]\n"


MISSING = price_event().model_copy(update={"oracle_price": None, "oracle_is_valid": False})
"""The oracle's account is not there."""


def test_a_missing_oracle_and_a_market_that_never_settled_are_shown_as_such() -> None:
    feed = FakeFeed([MISSING, funding_event(oracle_twap_at_funding=0)])
    assert plain_script.line(MISSING, feed.funding("SOL-PERP")) == "SOL-PERP  n/a  funding n/a  [simulated]"
    assert [" ".join(line.split()) for line in late_joiner.table(feed)] == ["SOL-PERP no valid oracle"]


def test_the_plain_script_shows_no_funding_where_there_is_none() -> None:
    feed = FakeFeed([price_event(), funding_event(oracle_twap=0)])
    shown = "SOL-PERP  150.000000  funding n/a  [simulated]"
    assert plain_script.line(feed.require_price("SOL-PERP"), feed.funding("SOL-PERP")) == shown
    assert plain_script.line(feed.require_price("SOL-PERP"), None) == shown
