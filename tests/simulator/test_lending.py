"""Interest: the program's curve against driftpy's, and accrual over a year."""

from __future__ import annotations

import pytest
from driftpy.math.spot_balance import calculate_borrow_rate, calculate_utilization

from drift_simulator import Cluster, SimulatorConfig
from drift_simulator.layout import drift_idl
from drift_simulator.lending import Cut, accrue, borrow_rate, scaled_balance, token_amount, utilization
from drift_simulator.oracles import OraclePrice

from .conftest import Clock
from .decoding import decode

CURVE = {"optimal_utilization": 800_000, "optimal_borrow_rate": 60_000, "max_borrow_rate": 1_500_000}


@pytest.mark.parametrize(
    ("used", "rate"),
    [
        (0, 5_000),  # the floor: 1 × 0.5 %
        (400_000, 30_000),
        (800_000, 60_000),
        (825_000, 60_000 + 36_000),  # half of the first segment: 1,440,000 × 5 % / 2
        (850_000, 60_000 + 72_000),
        (900_000, 60_000 + 72_000 + 144_000),
        (1_000_000, 1_500_000),
    ],
)
def test_the_rate_rises_by_segments(used: int, rate: int) -> None:
    record = drift_idl().account("SpotMarket").record()
    record.update({**CURVE, "min_borrow_rate": 1})
    assert borrow_rate(record, used) == rate


def test_utilization_without_deposits() -> None:
    assert utilization(0, 0) == 0
    assert utilization(0, 5) == 1_000_000
    assert utilization(200, 50) == 250_000


def test_balances_round_in_the_pools_favour(clock: Clock, program: str) -> None:
    market = Cluster(SimulatorConfig(program=program, clock=clock)).market("SOL").record
    tokens = 123_456_789
    market["deposit_balance"] = scaled_balance(market, tokens, "deposit")
    market["borrow_balance"] = scaled_balance(market, tokens, "borrow")
    assert token_amount(market, "deposit") in {tokens - 1, tokens}
    assert token_amount(market, "borrow") in {tokens, tokens + 1}


def test_driftpy_reads_the_same_utilization_and_rate(clock: Clock) -> None:
    cluster = Cluster(SimulatorConfig(clock=clock))
    for market in cluster.spot_markets:
        decoded = decode(bytes(market.record))
        used = utilization(token_amount(market.record, "deposit"), token_amount(market.record, "borrow"))
        assert calculate_utilization(decoded) == pytest.approx(used, abs=1)
        assert calculate_borrow_rate(decoded) == pytest.approx(borrow_rate(market.record, used), abs=2)


@pytest.mark.parametrize(
    ("program", "cuts", "lenders_part"),
    [
        # a tenth goes to the insurance fund; in Velocity a twentieth more to the protocol
        ("drift-v2", (("insurance_fund.total_factor", "revenue_pool"),), 0.9),
        (
            "velocity-v1",
            (("insurance_fund.if_fee_factor", "revenue_pool"), ("protocol_fee_factor", "protocol_fee_pool")),
            0.85,
        ),
    ],
)
def test_a_year_of_interest(clock: Clock, program: str, cuts: tuple[Cut, ...], lenders_part: float) -> None:
    market = Cluster(SimulatorConfig(program=program, clock=clock)).market("SOL").record
    start = market["cumulative_borrow_interest"], market["cumulative_deposit_interest"]
    pools = {pool: market[f"{pool}.scaled_balance"] for _, pool in cuts}
    used = utilization(token_amount(market, "deposit"), token_amount(market, "borrow"))
    rate = borrow_rate(market, used)
    accrue(market, OraclePrice(142_500_000, 30_000, 0), int(clock.now) + 31_536_000, cuts)
    assert market["cumulative_borrow_interest"] / start[0] == pytest.approx(1 + rate / 1e6, rel=1e-6)
    lenders = rate / 1e6 * used / 1e6 * lenders_part
    assert market["cumulative_deposit_interest"] / start[1] == pytest.approx(1 + lenders, rel=1e-4)
    assert market["last_interest_ts"] == int(clock.now) + 31_536_000
    for pool, before in pools.items():
        assert market[f"{pool}.scaled_balance"] > before, pool
