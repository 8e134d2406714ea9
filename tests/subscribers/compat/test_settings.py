"""The old settings: what they mean, and what happens with nonsense."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

import pytest

from drift_schemas.access import NatsAccess
from drift_subscribers import DriftFeed
from drift_subscribers.compat import DriftAdapter
from drift_subscribers.compat.settings import CompatSettings
from drift_subscribers.compat.slot import ClientSlot
from drift_subscribers.testing import FakeFeed, funding_event, market_event, price_event


def test_without_any_variable_the_bus_own_limits_hold() -> None:
    found = CompatSettings.from_environment({})
    assert found.nats_servers == ("nats://127.0.0.1:4222",)
    assert found.subject_prefix == "drift"
    assert found.ttl_s == {"funding": 30.0, "price": 10.0, "market": 60.0}
    assert (found.max_retries, found.retry_backoff_s) == (3, 1.0)


def test_every_variable_is_honoured(caplog: pytest.LogCaptureFixture) -> None:
    found = CompatSettings.from_environment(
        {
            "DRIFT_BUS_NATS_URL": "nats://a:1, nats://b:2",
            "DRIFT_BUS_SUBJECT_PREFIX": "lab",
            "DRIFT_BUS_NATS_DOMAIN": "hub",
            "DRIFT_CACHE_TTL_FUNDING": "20",
            "DRIFT_CACHE_TTL_PRICE": "5.5",
            "DRIFT_CACHE_TTL_MARKETS": "45",
            "DRIFT_MAX_RETRIES": "7",
            "DRIFT_RETRY_BACKOFF": "0.25",
        }
    )
    assert found.nats_servers == ("nats://a:1", "nats://b:2")
    assert found.subject_prefix == "lab"
    assert found.access == NatsAccess(domain="hub")
    assert found.ttl_s == {"funding": 20.0, "price": 5.5, "market": 45.0}
    assert (found.max_retries, found.retry_backoff_s) == (7, 0.25)
    assert caplog.records == []


def test_a_ttl_can_only_be_stricter() -> None:
    found = CompatSettings.from_environment({"DRIFT_CACHE_TTL_PRICE": "300"})
    assert found.ttl_s["price"] == 10.0


@pytest.mark.parametrize("value", ["soon", "-1", "0", "nan", "inf"])
def test_nonsense_is_named_once_and_the_default_taken(value: str, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        assert CompatSettings.from_environment({"DRIFT_CACHE_TTL_FUNDING": value}).ttl_s["funding"] == 30.0
    assert caplog.text.count(f"DRIFT_CACHE_TTL_FUNDING={value!r} makes no sense here: 30 is used") == 1


@pytest.mark.parametrize(("value", "attempts"), [("0", 1), ("1", 1), ("5", 5), ("-2", 3), ("many", 3)])
def test_there_is_always_one_attempt(value: str, attempts: int) -> None:
    assert CompatSettings.from_environment({"DRIFT_MAX_RETRIES": value}).max_retries == attempts


@pytest.mark.parametrize(
    ("name", "ttl_s", "empty"),
    [("FUNDING", 20, ("rate", "rows")), ("PRICE", 8, ("rate", "rows", "mark")), ("MARKETS", 9, ("rows",))],
)
async def test_an_entry_is_absent_when_the_old_ttl_is_over(
    name: str,
    ttl_s: int,
    empty: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    feed = FakeFeed([funding_event(), price_event(), market_event()])
    monkeypatch.setenv(f"DRIFT_CACHE_TTL_{name}", str(ttl_s))
    adapter = DriftAdapter(use_singleton=False)

    def fake(_: CompatSettings) -> AbstractAsyncContextManager[DriftFeed]:
        return feed

    adapter._slot = ClientSlot(lambda: fake)
    assert await adapter.connect()

    async def absent() -> tuple[str, ...]:
        found = {
            "rate": await adapter.get_funding_rate("SOL-PERP"),
            "rows": await adapter.get_all_perp_markets(),
            "mark": await adapter.get_mark_price("SOL-PERP"),
        }
        return tuple(what for what, value in found.items() if not value)

    def confirm_the_others() -> None:
        for kind in ({"funding", "price", "market"}) - {{"MARKETS": "market"}.get(name, name.lower())}:
            feed.confirm(kind)  # type: ignore[arg-type]

    feed.advance(ttl_s - 1)
    confirm_the_others()
    assert await absent() == ()
    for _ in range(3):
        feed.advance(2)
        confirm_the_others()
        assert await absent() == empty
    assert caplog.text.count(f"was neither changed nor confirmed within {ttl_s} s") == 1
    feed.confirm()
    assert await absent() == ()
    await adapter.disconnect()


def test_a_ttl_below_the_publishers_rhythm_is_named(caplog: pytest.LogCaptureFixture) -> None:
    assert CompatSettings.from_environment({"DRIFT_CACHE_TTL_PRICE": "1"}).ttl_s["price"] == 1.0
    assert "DRIFT_CACHE_TTL_PRICE=1: an unchanged price is confirmed every 3.3 s only" in caplog.text
