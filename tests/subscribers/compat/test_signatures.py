"""Old names, argument orders and defaults, and which of them are coroutines."""

from __future__ import annotations

import inspect
import subprocess
import sys
from dataclasses import fields

import pytest

from drift_subscribers import compat
from drift_subscribers.compat import DriftAdapter, DriftClientManager, DriftFundingFeed, FundingInfo, FundingMarket

COROUTINES = {
    DriftClientManager.get_client: "(network='mainnet')",
    DriftClientManager.release_client: "()",
    DriftClientManager.get_funding_rate: "(market)",
    DriftClientManager.get_all_perp_markets: "()",
    DriftClientManager.is_initialized: "()",
    DriftClientManager.force_reconnect: "()",
    DriftAdapter.connect: "(self, wallet=None, sub_account=0, max_retries=None)",
    DriftAdapter.disconnect: "(self)",
    DriftAdapter.get_funding_rate: "(self, market)",
    DriftAdapter.get_time_to_funding: "(self)",
    DriftAdapter.get_all_perp_markets: "(self)",
    DriftAdapter.get_market_stats: "(self, market)",
    DriftAdapter.get_oracle_price: "(self, market)",
    DriftAdapter.get_mark_price: "(self, market)",
    DriftFundingFeed.get_funding_rate: "(self, market)",
    DriftFundingFeed.get_all_funding_rates: "(self)",
    DriftFundingFeed.find_best_opportunity: "(self, min_rate_pct=None)",
    DriftFundingFeed.get_funding_markets: "(self)",
    DriftFundingFeed.get_market_stats: "(self, market=None)",
}
PLAIN = {
    DriftAdapter: "(network='mainnet', use_singleton=True)",
    DriftFundingFeed: "(drift_adapter=None)",
    DriftFundingFeed.get_funding_rates_sync: "(self)",
    FundingInfo: "(market, rate_8h, rate_annual, is_positive, mark_price, time_to_next_funding)",
    FundingMarket: "(symbol, rate_1h, rate_8h, apr, direction, open_interest, volume_24h)",
}


def _untyped(call: object) -> str:
    signature = inspect.signature(call)  # type: ignore[arg-type]
    bare = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in signature.parameters.values()]
    return str(inspect.Signature(bare)).replace(" = ", "=")


@pytest.mark.parametrize("call", COROUTINES, ids=lambda call: call.__qualname__)
def test_data_calls_are_coroutines_with_the_old_arguments(call: object) -> None:
    assert inspect.iscoroutinefunction(call)
    assert _untyped(call) == COROUTINES[call]


@pytest.mark.parametrize("call", PLAIN, ids=lambda call: call.__qualname__)
def test_the_others_are_plain(call: object) -> None:
    assert not inspect.iscoroutinefunction(call)
    assert _untyped(call) == PLAIN[call]


def test_records_are_what_they_were() -> None:
    assert isinstance(inspect.getattr_static(DriftAdapter, "connected"), property)
    assert [field.name for field in fields(FundingInfo)][:2] == ["market", "rate_8h"]
    assert FundingInfo("SOL-PERP", -0.5, -547.9, False, 150.0, 60).direction == "LONG_PERP"
    assert FundingInfo("SOL-PERP", -0.5, -547.9, False, 150.0, 60).expected_8h_usd == 0.5
    assert DriftFundingFeed.MARKETS == ["SOL-PERP", "BTC-PERP", "ETH-PERP"]


def test_what_the_package_offers() -> None:
    assert sorted(compat.__all__) == compat.__all__
    for name in compat.__all__:
        assert getattr(compat, name).__doc__


def test_importing_needs_neither_nats_nor_driftpy() -> None:
    code = (
        "import sys; sys.modules['driftpy'] = sys.modules['solders'] = None;"
        "import drift_subscribers.compat as c; print(c.DriftAdapter().connected)"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("False", "")
