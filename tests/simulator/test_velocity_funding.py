"""Velocity's funding rule by cases worked by hand: offset, dead zone, ramp, caps, and the AMM's budget."""

from __future__ import annotations

import base64
from fractions import Fraction

import pytest

from drift_simulator import Cluster, SimulatorConfig
from drift_simulator.funding import payment
from drift_simulator.layout import Record, velocity_idl
from drift_simulator.oracles import OraclePrice
from drift_simulator.velocity.funding import funding_rate, long_short_rates, settle_funding

from .conftest import Clock

HOUR = 3_600
TIER_A, TIER_B, TIER_C, SPECULATIVE, HIGHLY_SPECULATIVE, ISOLATED = range(6)


@pytest.mark.parametrize(
    ("mark", "tier", "rate"),
    [
        # flat: 100,000,000 / 3333 = 30,003 (cut off); × 1000 / 24 = 1,250,125
        (100_000_000, TIER_B, 1_250_125),
        # the dead zone reaches to 100,000,000 × 5 / 10,000 = 50,000 on both sides, its edge included
        (100_050_000, TIER_B, 1_250_125),
        (99_950_000, TIER_B, 1_250_125),
        # one beyond counts as one: 30,004 × 1000 / 24 = 1,250,166.67, and 30,002 × 1000 / 24 = 1,250,083.33
        (100_050_001, TIER_B, 1_250_166),
        (99_949_999, TIER_B, 1_250_083),
        # 50,000 beyond below: −50,000 + 30,003 = −19,997; × 1000 / 24 = −833,208.33, toward zero
        (99_900_000, TIER_B, -833_208),
        # −1 × 1000 / 24 = −41.67: toward zero, where Python's // gives −42
        (99_919_996, TIER_B, -41),
        # capped to a 33rd, 3,030,303 × 1000 / 24, in tiers A and B; a 20th in C; a tenth in the others
        (200_000_000, TIER_A, 126_262_625),
        (200_000_000, TIER_B, 126_262_625),
        (200_000_000, TIER_C, 208_333_333),
        (200_000_000, SPECULATIVE, 416_666_666),
        (200_000_000, HIGHLY_SPECULATIVE, 416_666_666),
        (200_000_000, ISOLATED, 416_666_666),
        (1, TIER_A, -126_262_625),
        (1, TIER_C, -208_333_333),
        # the last premium under the cap: spread − 50,000 + 30,003 = 3,030,302; then at it, then over it
        (103_050_299, TIER_A, 126_262_583),
        (103_050_300, TIER_A, 126_262_625),
        (103_050_301, TIER_A, 126_262_625),
    ],
)
def test_rate_of_one_hour(mark: int, tier: int, rate: int) -> None:
    assert funding_rate(mark, 100_000_000, HOUR, tier) == rate


@pytest.mark.parametrize("oracle", [142_500_000, 104_250_000_000, 37_800_000])
def test_a_flat_market_pays_a_3333rd_a_day(oracle: int) -> None:
    hourly = Fraction(funding_rate(oracle, oracle, HOUR, TIER_B), 1_000 * oracle)
    assert float(hourly) == pytest.approx(1 / 3333 / 24, rel=1e-4)  # 0.00125 % an hour, 10.95 % a year


def test_threshold_and_slope_are_the_markets_own() -> None:
    oracle = 100_000_000
    # no dead zone: −1 + 30,003
    assert funding_rate(oracle - 1, oracle, HOUR, TIER_A, clamp_threshold_bps=0) == 30_002_000 // 24
    # half a slope: (150,000 − 50,000) / 2 + 30,003 = 80,003
    assert funding_rate(oracle + 150_000, oracle, HOUR, TIER_A, ramp_slope=500_000) == 80_003_000 // 24
    # half of −1 is nothing, toward zero
    assert funding_rate(oracle - 50_001, oracle, HOUR, TIER_A, ramp_slope=500_000) == 1_250_125
    # a double slope: 2 × 100,000 + 30,003
    assert funding_rate(oracle + 150_000, oracle, HOUR, TIER_A, ramp_slope=2_000_000) == 230_003_000 // 24


def test_a_period_under_an_hour_counts_as_one_and_a_longer_one_pays_more() -> None:
    assert funding_rate(100_000_000, 100_000_000, 5, TIER_A) == 1_250_125
    assert funding_rate(100_000_000, 100_000_000, 8 * HOUR, TIER_A) == 10_001_000  # 30,003 × 1000 / 3


def _market(*, longs: int, shorts: int, fees: int) -> Record:
    record = velocity_idl().account("PerpMarket").record()
    record.update(
        {
            "base_asset_amount_long": longs,
            "base_asset_amount_short": -shorts,
            "base_asset_amount_with_amm": longs - shorts,
            "total_fee_minus_distributions": fees,
        }
    )
    return record


BASE = 12_295_081_967


@pytest.mark.parametrize(
    ("longs", "shorts", "fees", "rate", "expected"),
    [
        # longs pay 512,295 and the AMM as much again, of which it may spend 250,000 / 3 = 83,333:
        # (−83,333 − 512,295 + 1) × 10¹² / −24,590,163,934
        (BASE, 2 * BASE, 250_000, 41_666_666, (41_666_666, 24_222_164, -512_295, -83_333)),
        # the mirror image: shorts pay, longs receive
        (2 * BASE, BASE, 250_000, -41_666_666, (-24_222_164, -41_666_666, -512_295, -83_333)),
        # no fees, or a loss: what the payers pay is all there is, (−512,295 + 1) × 10¹² / −24,590,163,934
        (BASE, 2 * BASE, 0, 41_666_666, (41_666_666, 20_833_289, -512_295, 0)),
        (BASE, 2 * BASE, -1, 41_666_666, (41_666_666, 20_833_289, -512_295, 0)),
        # the budget covers it to the last unit, 3 × 512,295; with one less: −1,024,588 × 10¹² / −24,590,163,934
        (BASE, 2 * BASE, 1_536_885, 41_666_666, (41_666_666, 41_666_666, -512_295, -512_295)),
        (BASE, 2 * BASE, 1_536_884, 41_666_666, (41_666_666, 41_666_578, -512_295, -512_294)),
        # the AMM earns: both sides alike
        (2 * BASE, BASE, 0, 41_666_666, (41_666_666, 41_666_666, 512_295, 512_295)),
        (BASE, BASE, 0, 41_666_666, (41_666_666, 41_666_666, 0, 0)),
    ],
)
def test_receivers_get_what_payers_and_a_third_of_the_fees_cover(
    longs: int, shorts: int, fees: int, rate: int, expected: tuple[int, int, int, int]
) -> None:
    market = _market(longs=longs, shorts=shorts, fees=fees)
    split = long_short_rates(market, rate)
    assert split == expected
    spent = -payment(split.long, longs) - payment(split.short, -shorts)
    assert spent >= -max(0, fees) // 3  # the AMM never pays out more than its budget


def test_averages_that_nobody_wrote_for_long_are_the_oracles(clock: Clock) -> None:
    """No premium then: the market pays the offset alone, whatever the mark was before."""
    for silent_s, expected in ((3 * HOUR, False), (3 * HOUR + 1, True)):
        cluster = Cluster(SimulatorConfig(program="velocity-v1", clock=clock))
        market = cluster.perp("SOL-PERP")
        market.record["last_mark_price_twap_ts"] = int(clock.now) - silent_s
        market.record["last_bid_price_twap"] += 5_000_000
        market.record["last_ask_price_twap"] += 5_000_000
        settled = settle_funding(market.record, OraclePrice(142_500_000, 285_000, 0), int(clock.now))
        assert (settled.mark_price_twap == settled.oracle_price_twap) == expected
        flat = funding_rate(settled.oracle_price_twap, settled.oracle_price_twap, HOUR, TIER_B)
        assert (settled.funding_rate == flat) == expected


def test_several_periods_settle_while_the_clock_runs(clock: Clock) -> None:
    """A day in fast motion: every market settles each hour on the hour, and its record says what its account holds."""
    clock.now = 1_700_000_123.0
    config = SimulatorConfig(program="velocity-v1", clock=clock, slot_interval_s=30)
    cluster = Cluster(config)
    starts = {market.index: market.copy() for market in cluster.perp_markets}
    settlements = []
    for _ in range(24 * 120):
        clock.now += 30
        cluster.step()
        settlements += cluster.advance_slot()
    layout = velocity_idl().event("FundingRateRecord")
    for market in cluster.perp_markets:
        own = [entry for entry in settlements if entry.market_index == market.index]
        assert len(own) == 24, market.name
        assert all(entry.ts % HOUR < 30 for entry in own)
        assert [entry.record_id for entry in own] == [own[0].record_id + number for number in range(24)]
        for side in ("long", "short"):
            path = f"cumulative_funding_rate_{side}"
            total = sum(getattr(entry, f"funding_rate_{side}") for entry in own)
            assert market.record[path] == starts[market.index][path] + total == getattr(own[-1], path)
            assert market.record[f"last_{path}"] == market.record[path]  # the AMM's own position is settled with it
        entries = cluster.transactions.mentioning(str(market.pubkey))
        events = [base64.b64decode(entry.logs[2].removeprefix("Program data: ")) for entry in reversed(entries)]
        assert [layout.record(event).values() for event in events] == [vars(entry) for entry in own]
        assert {len(event) for event in events} == {130}
