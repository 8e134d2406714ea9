"""The funding rule: cases worked by hand, the program's own published cases, and driftpy's estimate."""

from __future__ import annotations

import pytest
from driftpy.decode.utils import decode_name
from driftpy.math.funding import calculate_all_estimated_funding_rate
from driftpy.types import OraclePriceData

from drift_simulator import Cluster, SimulatorConfig
from drift_simulator.amm import reserve_price
from drift_simulator.drift.funding import funding_rate, long_short_rates, settle_funding
from drift_simulator.funding import payment, seconds_until_funding
from drift_simulator.layout import Record, drift_idl
from drift_simulator.oracles import OraclePrice

from .conftest import Clock
from .decoding import decode


@pytest.mark.parametrize(
    ("mark", "oracle", "tier", "rate"),
    [
        # spread 0, offset 100,000,000 / 5000 = 20,000; × 1000 / 24
        (100_000_000, 100_000_000, 0, 833_333),
        # offset 10,200; (47,629,736 − 51,000,000 + 10,200) × 1000 / 24 = −140,002,666.67, cut off
        (47_629_736, 51_000_000, 5, -140_002_666),
        # far above: capped to a 33rd, 3,030,303 × 1000 / 24
        (200_000_000, 100_000_000, 0, 126_262_625),
        (200_000_000, 100_000_000, 1, 126_262_625),
        # a 20th in tier C, a tenth elsewhere; below the oracle the same with a minus
        (200_000_000, 100_000_000, 2, 208_333_333),
        (200_000_000, 100_000_000, 3, 416_666_666),
        (1, 100_000_000, 0, -126_262_625),
        # −1 × 1000 / 24 = −41.67: toward zero, where Python's // gives −42
        (99_979_999, 100_000_000, 0, -41),
    ],
)
def test_rate_of_one_hour(mark: int, oracle: int, tier: int, rate: int) -> None:
    assert funding_rate(mark, oracle, 3600, tier) == rate


def test_a_period_under_an_hour_counts_as_one_and_a_longer_one_pays_more() -> None:
    assert funding_rate(100_000_000, 100_000_000, 5, 0) == 833_333
    assert funding_rate(100_000_000, 100_000_000, 8 * 3600, 0) == 6_666_666


@pytest.mark.parametrize(
    ("now", "last", "period", "wait"),
    [
        (3600, 0, 3600, 0),
        (0, 0, 3600, 3600),
        (7200, 3600, 3600, 0),
        # a third late is still on the hour after; a second more skips to the one after that
        (3600 + 1200, 3600 + 1200, 3600, 2400),
        (3600 + 1201, 3600 + 1201, 3600, 2 * 3600 - 1201),
        (10_000, 3600, 3600, 0),
        (7, 6, 5, 3),
        (9, 7, 5, 6),
        (5, 5, 1, 1),
    ],
)
def test_next_settlement_is_on_the_hour(now: int, last: int, period: int, wait: int) -> None:
    assert seconds_until_funding(now, last, period) == wait


def test_payment_has_the_sign_of_minus_rate_times_base() -> None:
    assert payment(41_666_666, 10**9) == -41_666
    assert payment(41_666_666, -(10**9)) == 41_666
    assert payment(-41_666_666, 10**9) == 41_666
    assert payment(-41_666_666, -(10**9)) == -41_666
    assert payment(0, 10**9) == 0


def _market(**amm: int) -> Record:
    record = drift_idl().account("PerpMarket").record()
    record.update(amm, prefix="amm.")
    return record


def test_receivers_get_only_what_payers_and_a_third_of_the_fees_cover() -> None:
    # more shorts than longs, positive rate, a fee pool of 0.25: the AMM may spend 0.083333
    market = _market(
        base_asset_amount_with_amm=-12_295_081_967,
        base_asset_amount_long=12_295_081_967,
        base_asset_amount_short=-2 * 12_295_081_967,
        total_exchange_fee=500_000,
        total_fee_minus_distributions=500_000,
    )
    long_rate, short_rate, uncapped, actual = long_short_rates(market, 41_666_666)
    assert (long_rate, short_rate, actual) == (41_666_666, 24_222_164, -83_333)
    assert uncapped == -512_295
    # the mirror image: shorts pay, longs receive
    market.update(
        {
            "base_asset_amount_with_amm": 12_295_081_967,
            "base_asset_amount_long": 2 * 12_295_081_967,
            "base_asset_amount_short": -12_295_081_967,
        },
        prefix="amm.",
    )
    assert long_short_rates(market, -41_666_666)[:2] == (-24_222_164, -41_666_666)


def test_rates_are_equal_when_the_amm_earns() -> None:
    market = _market(
        base_asset_amount_with_amm=12_295_081_967,
        base_asset_amount_long=2 * 12_295_081_967,
        base_asset_amount_short=-12_295_081_967,
        total_exchange_fee=500_000,
        total_fee_minus_distributions=500_000,
    )
    assert long_short_rates(market, 41_666_666) == (41_666_666, 41_666_666, 512_295, 512_295)


def test_a_settlement_writes_what_the_rule_says(clock: Clock, program: str) -> None:
    cluster = Cluster(SimulatorConfig(program=program, clock=clock))
    market = cluster.perp("SOL-PERP")
    before = market.copy()
    clock.now += 600
    settled = cluster.settle_funding("SOL-PERP")
    assert settled is not None
    record = cluster.program.idl.account("PerpMarket").record(bytes(market.record))
    mark, oracle = record["last_mark_price_twap"], record["historical_oracle_data.last_oracle_price_twap"]
    assert (settled.mark_price_twap, settled.oracle_price_twap) == (mark, oracle)
    assert record["last_funding_rate"] == settled.funding_rate == market.funding_rate(mark, oracle)
    assert record["last_funding_oracle_twap"] == oracle
    for side in ("long", "short"):
        rate = record[f"last_funding_rate_{side}"]
        assert rate == getattr(settled, f"funding_rate_{side}")
        cumulative = before[f"cumulative_funding_rate_{side}"] + rate
        assert record[f"cumulative_funding_rate_{side}"] == cumulative
        assert getattr(settled, f"cumulative_funding_rate_{side}") == cumulative
    assert market.last_funding_ts == settled.ts == int(clock.now)
    assert record["net_revenue_since_last_funding"] == 0
    assert record["next_funding_rate_record_id"] == settled.record_id + 1 == before["next_funding_rate_record_id"] + 1


@pytest.mark.parametrize(
    ("program", "never"),
    [
        (
            "drift-v2",
            {
                "RLB-PERP",  # funding paused by an operation bit
                "1KWEN-PERP",  # paused by its status
                "TRUMP-WIN-2024-BET",  # in settlement
            },
        ),
        ("velocity-v1", {"PAUSED-PERP", "OVER-PERP"}),
    ],
)
def test_funding_settles_on_the_hour_and_only_there(clock: Clock, program: str, never: set[str]) -> None:
    clock.now = 1_700_002_790.0  # ten seconds before a full hour
    cluster = Cluster(SimulatorConfig(program=program, clock=clock))
    cluster.add_perp_market("PAUSED-PERP", price=1.0, paused_operations=1)
    cluster.add_perp_market("OVER-PERP", price=1.0, status="Delisted")
    funding = [market.name for market in cluster.perp_markets if market.funds]
    assert cluster.advance_slot() == []
    clock.now += 10
    assert clock.now % 3600 == 0
    assert len(cluster.advance_slot()) == len(funding)
    assert cluster.advance_slot() == []
    assert {market.name for market in cluster.perp_markets} - set(funding) == never | {"PAUSED-PERP", "OVER-PERP"}


@pytest.mark.parametrize("name", ["SOL-PERP", "BTC-PERP", "1MBONK-PERP", "HYPE-PERP"])
async def test_driftpys_estimate_agrees(clock: Clock, name: str) -> None:
    cluster = Cluster(SimulatorConfig(clock=clock))
    for _ in range(400):
        clock.now += 0.5
        cluster.step()
    market = cluster.perp(name)
    decoded = decode(bytes(market.record))
    assert decode_name(decoded.name) == name
    now = int(clock.now)
    price = decoded.amm.historical_oracle_data.last_oracle_price
    oracle = OraclePriceData(price, cluster.slot, 0, None, None, True)
    estimate = await calculate_all_estimated_funding_rate(decoded, oracle, price, now)
    mark, oracle_twap, interpolated = estimate[0], estimate[1], estimate[4]
    rate = funding_rate(mark, oracle_twap, 3600, market.record["contract_tier"])
    # driftpy's figure is percent of the price, 1e-6: rate / 1e9 ÷ (twap / 1e6) × 100 × 1e6
    assert interpolated == pytest.approx(rate * 10**5 / oracle_twap, abs=50)


def test_the_programs_published_case(clock: Clock) -> None:
    """An oracle at 51 against a mark of 47.63: the figures the program itself is tested with."""
    clock.now = 3600.0
    market = _market(
        base_asset_reserve=512_295_081_967,
        quote_asset_reserve=488_000_000_000,
        sqrt_k=500_000_000_000,
        peg_multiplier=50_000_000,
        base_asset_amount_with_amm=-512_295_081_967,
        base_asset_amount_long=12_295_081_967,
        base_asset_amount_short=-2 * 12_295_081_967,
        total_exchange_fee=500_000,
        total_fee_minus_distributions=99_999_000_000,
        last_mark_price_twap=50_000_000,
        last_bid_price_twap=0,
        last_ask_price_twap=0,
        funding_period=3600,
    )
    market["contract_tier"] = 4
    market.update(
        {
            "last_oracle_price": 51_000_000,
            "last_oracle_price_twap": 51_000_000,
            "last_oracle_price_twap5min": 51_000_000,
            "last_oracle_price_twap_ts": 3600,
        },
        prefix="amm.historical_oracle_data.",
    )
    settled = settle_funding(market, OraclePrice(51_000_000, 0, 0), 3600)
    assert settled is not None
    assert reserve_price(market) == 47_628_800
    assert settled.mark_price_twap == market["amm.last_mark_price_twap"] == 47_629_736
    assert settled.oracle_price_twap == 51_000_000
    assert settled.funding_rate == settled.funding_rate_long == settled.funding_rate_short == -140_002_666
    assert market["amm.last24h_avg_funding_rate"] == -5_833_443  # a 24th, and one toward the last average
    assert market["amm.total_fee_minus_distributions"] == 100_070_722_677
    assert market["amm.net_unsettled_funding_pnl"] == -71_722_677
    assert market["amm.net_revenue_since_last_funding"] == 0


def test_what_the_amm_cannot_afford_is_not_settled() -> None:
    market = _market(
        base_asset_reserve=500 * 10**9,
        quote_asset_reserve=500 * 10**9,
        sqrt_k=500 * 10**9,
        peg_multiplier=50_000_000,
        base_asset_amount_with_amm=-12_295_081_967,
        base_asset_amount_long=12_295_081_967,
        base_asset_amount_short=-2 * 12_295_081_967,
        total_exchange_fee=1_000_000,
        total_fee_minus_distributions=500_000,
        total_fee_withdrawn=300_000,
        last_mark_price_twap=52_000_000,
        last_mark_price_twap_ts=3600,
        last_bid_price_twap=52_000_000,
        last_ask_price_twap=52_000_000,
        funding_period=3600,
    )
    market.update(
        {
            "last_oracle_price": 50_000_000,
            "last_oracle_price_twap": 50_000_000,
            "last_oracle_price_twap_ts": 3600,
        },
        prefix="amm.historical_oracle_data.",
    )
    assert settle_funding(market, OraclePrice(50_000_000, 0, 0), 3600) is None
    assert market["amm.last_funding_rate"] == 0
