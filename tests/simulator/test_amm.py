"""The AMM's averages by hand, its spreads against driftpy, its reserves against mainnet."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from driftpy.math.amm import calculate_spread_bn

from drift_simulator import Cluster, SimulatorConfig, SimulatorError
from drift_simulator.amm import reserve_price, swap_base
from drift_simulator.arithmetic import new_twap, quotient, rolling_sum, sanitize_price, weighted_average
from drift_simulator.layout import Record, drift_idl
from drift_simulator.spread import spread_reserves, spreads

from .conftest import Clock
from .decoding import decode
from .test_layout import REAL_ACCOUNTS


@pytest.mark.parametrize(("numerator", "denominator", "result"), [(7, 2, 3), (-7, 2, -3), (7, -2, -3), (-7, -2, 3)])
def test_division_truncates(numerator: int, denominator: int, result: int) -> None:
    assert quotient(numerator, denominator) == result


@pytest.mark.parametrize(
    ("price", "last", "elapsed", "twap"),
    [
        (100, 100, 0, 100),
        # half a period each: (200 × 1800 + 100 × 1800) / 3600 = 150, and one toward the heavier product
        (200, 100, 1800, 149),
        (100, 200, 1800, 151),
        # (100 × 900 + 101 × 2700) / 3600 = 100.75, cut off, and one up
        (100, 101, 900, 101),
        # a whole period leaves the old average one part in 3,601; a weight of one has no bias
        (200, 100, 3600, 199),
        (500, 100, 359_999, 499),
    ],
)
def test_averages_move_with_time(price: int, last: int, elapsed: int, twap: int) -> None:
    assert new_twap(price, 10_000 + elapsed, last, 10_000, 3600) == twap


def test_the_bias_lets_an_average_arrive() -> None:
    # products 100 × 10 and 101 × 3590: the heavier one wins a unit over the truncated mean
    assert weighted_average(100, 101, 10, 3590) == (1000 + 101 * 3590) // 3600 + 1
    assert weighted_average(100, 100, 3599, 1) == 100
    assert weighted_average(7, 9, 0, 5) == 9
    assert weighted_average(7, 9, 5, 0) == 7
    assert weighted_average(1, 0, 1, 10, -1) == 0


def test_a_price_is_kept_near_its_average() -> None:
    assert sanitize_price(200, 100, 10) == 110
    assert sanitize_price(10, 100, 10) == 90
    assert sanitize_price(105, 100, 10) == 105
    assert sanitize_price(200, 100, None) == 133
    assert sanitize_price(200, 0, 10) == 200


def test_a_sum_decays() -> None:
    assert rolling_sum(1_000, 5, 1800, 3600) == 505
    assert rolling_sum(1_000, 5, 7200, 3600) == 5


def test_trading_keeps_the_invariant(clock: Clock, program: str) -> None:
    market = Cluster(SimulatorConfig(program=program, clock=clock)).perp("SOL-PERP").record
    before, net = reserve_price(market), market["base_asset_amount_with_amm"]
    size = market["sqrt_k"] // 500
    paid = swap_base(market, size)
    assert market["base_asset_amount_with_amm"] == net + size
    assert reserve_price(market) > before
    assert paid == pytest.approx(size * before / 1e9, rel=0.01)
    product = market["base_asset_reserve"] * market["quote_asset_reserve"]
    assert product == pytest.approx(market["sqrt_k"] ** 2, rel=1e-9)


def _driftpys_spreads(record: Record) -> Any:
    amm = decode(bytes(record)).amm
    return calculate_spread_bn(
        amm.base_spread,
        amm.last_oracle_reserve_price_spread_pct,
        amm.last_oracle_conf_pct,
        amm.max_spread,
        amm.quote_asset_reserve,
        amm.terminal_quote_asset_reserve,
        amm.peg_multiplier,
        amm.base_asset_amount_with_amm,
        reserve_price(record),
        amm.total_fee_minus_distributions,
        amm.net_revenue_since_last_funding,
        amm.base_asset_reserve,
        amm.min_base_asset_reserve,
        amm.max_base_asset_reserve,
        amm.mark_std,
        amm.oracle_std,
        amm.long_intensity_volume,
        amm.short_intensity_volume,
        amm.volume24h,
        amm.amm_inventory_spread_adjustment,
    )


def test_driftpy_computes_the_same_spreads(clock: Clock) -> None:
    cluster = Cluster(SimulatorConfig(clock=clock, perp_markets=85))
    for _ in range(2_000):
        clock.now += 0.2
        cluster.step()
    for market in cluster.perp_markets:
        ours = spreads(market.record, reserve_price(market.record))
        assert ours == pytest.approx(_driftpys_spreads(market.record), abs=2), market.name


def test_spread_reserves_of_real_markets() -> None:
    if not REAL_ACCOUNTS.exists():
        pytest.skip("no real accounts beside the checkout")
    layout = drift_idl().account("PerpMarket")
    entries = [e for e in json.loads(REAL_ACCOUNTS.read_text())["accounts"] if e["account"] == "PerpMarket"]
    assert len(entries) >= 5
    for entry in entries:
        record = layout.record(base64.b64decode(entry["data"]))
        offset = record["amm.reference_price_offset"]
        ask = spread_reserves(record, record["amm.long_spread"] + offset, is_ask=True)
        bid = spread_reserves(record, offset - record["amm.short_spread"], is_ask=False)
        assert ask == (record["amm.ask_base_asset_reserve"], record["amm.ask_quote_asset_reserve"]), entry["id"]
        assert bid == (record["amm.bid_base_asset_reserve"], record["amm.bid_quote_asset_reserve"]), entry["id"]


def test_an_oracle_at_zero_stops_its_markets(clock: Clock, program: str) -> None:
    cluster = Cluster(SimulatorConfig(program=program, clock=clock, funding_period_s=5))
    market = cluster.perp("SOL-PERP")
    cluster.set_oracle_price("SOL-PERP", 0)
    assert cluster.oracles[market.oracle].read("PythLazer", cluster.slot).price == 0
    before = bytes(market.record)
    clock.now += 10
    assert {entry.market_index for entry in cluster.advance_slot()}.isdisjoint({market.index})
    for _ in range(200):
        cluster.step()
    assert bytes(market.record) == before
    cluster.set_oracle_price("SOL-PERP", 150_000_000)
    assert market.record["historical_oracle_data.last_oracle_price"] == 150_000_000
    with pytest.raises(SimulatorError, match="negative"):
        cluster.set_oracle_price("SOL-PERP", -1)


@pytest.mark.parametrize("factor", [0.0001, 0.1, 10, 1_000])
def test_shocks_break_nothing(clock: Clock, program: str, factor: float) -> None:
    cluster = Cluster(SimulatorConfig(program=program, clock=clock, funding_period_s=60))
    for market in {entry.oracle: entry for entry in cluster.markets}.values():
        price = cluster.oracles[market.oracle].read(market.oracle_source, cluster.slot).price
        cluster.set_oracle_price(market.name, max(1, round(price * factor)))
    for _ in range(1_500):
        clock.now += 1
        cluster.step()
        cluster.advance_slot()
