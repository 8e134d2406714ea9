"""An engine written against the old names reads a simulated cluster of either program, without a change to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from drift_bus.nats_server import LocalNatsServer
from drift_simulator import PerpMarket, Simulator, SimulatorConfig
from drift_subscribers.compat import DriftAdapter, DriftClientManager, DriftFundingFeed
from tests.support.publishing import running_publisher
from tests.support.wait import wait_until

MARKETS = ["SOL-PERP", "BTC-PERP", "ETH-PERP"]


async def old_engine() -> dict[str, Any]:
    """What an engine did before the bus: connect, look at funding, prices and markets, release. It knows no program."""
    client = await DriftClientManager.get_client("mainnet")
    assert client is not None
    adapter = DriftAdapter("mainnet")
    try:
        assert await adapter.connect()
        funding = DriftFundingFeed(adapter)
        return {
            "initialized": await DriftClientManager.is_initialized(),
            "rate": await DriftClientManager.get_funding_rate("SOL-PERP"),
            "rows": await DriftClientManager.get_all_perp_markets(),
            "stats": await adapter.get_market_stats("SOL-PERP"),
            "oracle": await adapter.get_oracle_price("SOL-PERP"),
            "mark": await adapter.get_mark_price("SOL-PERP"),
            "wait": await adapter.get_time_to_funding(),
            "rates": await funding.get_all_funding_rates(),
            "account": client.get_perp_market_account(0),
            "oracle data": client.get_oracle_price_data_for_perp_market(0),
        }
    finally:
        await adapter.disconnect()
        await DriftClientManager.release_client()


def chain_has(market: PerpMarket) -> Callable[[str], int]:
    """The market's own figures, by their names in the program, wherever the program keeps them."""
    return lambda name: int(market.record[name])


async def test_old_code_reads_both_programs(engine: LocalNatsServer, program: str) -> None:
    config = SimulatorConfig(program=program, seed=11, updates_per_second=200.0, perp_markets=3, spot_markets=2)
    async with Simulator(config) as sim, running_publisher(sim, engine, program=program) as publisher:
        assert publisher.chain is not None
        assert publisher.chain.profile.name == program
        sim.settle_funding("SOL-PERP")
        sim.pause_walk()
        perp = sim.cluster.perp("SOL-PERP")
        chain, oracle = chain_has(perp), sim.cluster.oracles[perp.oracle]
        seen: dict[str, Any] = {}

        async def caught_up() -> bool:
            nonlocal seen
            seen = await old_engine()
            account, data = seen["account"], seen["oracle data"]
            return (
                account is not None
                and data is not None
                and len(seen["rates"]) == len(MARKETS)
                and account.amm.last_funding_rate_ts == chain("last_funding_rate_ts")
                and account.amm.last_mark_price_twap == chain("last_mark_price_twap")
                and data.slot == oracle.posted_slot
            )

        await wait_until(caught_up, 60, "the last word of the paused chain")

    hourly = chain("last_funding_rate") / 1e9 / (chain("last_funding_oracle_twap") / 1e6) * 100
    assert seen["initialized"] is True
    assert seen["rate"]["rate_8h"] == pytest.approx(hourly * 8)
    assert seen["rates"]["SOL-PERP"].rate_8h == pytest.approx(hourly * 8)
    assert seen["stats"]["fundingRate"] == pytest.approx(hourly)
    assert [row["symbol"] for row in seen["rows"]] == MARKETS
    assert seen["rows"][0]["baseAssetAmountLong"] == pytest.approx(chain("base_asset_amount_long") / 1e9)
    assert seen["rows"][0]["baseAssetAmountShort"] == pytest.approx(-chain("base_asset_amount_short") / 1e9)
    assert seen["oracle"] == pytest.approx(seen["oracle data"].price / 1e6)
    assert seen["mark"] == pytest.approx(seen["oracle"], rel=0.05)
    assert 0 <= seen["wait"] <= 2 * chain("funding_period")
    amm = seen["account"].amm
    assert bytes(seen["account"].name).decode().strip() == "SOL-PERP"
    for name in ("last_funding_rate_long", "last_funding_rate_short", "funding_period", "base_asset_amount_long"):
        assert getattr(amm, name) == chain(name), name
