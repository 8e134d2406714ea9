"""Oracle accounts: driftpy reads from them what the program would."""

from __future__ import annotations

import driftpy.types
import pytest
from driftpy.accounts.oracle import get_oracle_decode_fn
from solders.pubkey import Pubkey

from drift_simulator.layout import LayoutError
from drift_simulator.oracles import Oracle, OraclePrice, multiple_of
from drift_simulator.programs import program_named

ADDRESS = Pubkey.from_bytes(bytes(range(32)))


def _oracle(source: str, price: float, program: str = "drift-v2") -> Oracle:
    return program_named(program).oracle(ADDRESS, source, price)


@pytest.mark.parametrize(
    ("source", "unit_price", "expected"),
    [
        ("PythLazer", 142.5, 142_500_000),
        ("PythLazer1K", 0.00271, 2_710_000),
        ("PythLazer1M", 0.0000145, 14_500_000),
        ("PythLazerStableCoin", 0.9999, 1_000_000),
        ("PythPull", 0.058, 58_000),
        ("Pyth1KPull", 0.0000322, 32_200),
        ("Pyth1MPull", 0.0000118, 11_800_000),
        ("Pyth", 3480.25, 3_480_250_000),
        ("Prelaunch", 0.55, 550_000),
        ("SwitchboardOnDemand", 6.1, 6_100_000),
    ],
)
def test_driftpy_reads_the_same_price(source: str, unit_price: float, expected: int) -> None:
    oracle = _oracle(source, unit_price)
    oracle.post(oracle.raw, oracle.confidence_raw, 1_700_000_000.5, 777)
    read = get_oracle_decode_fn(getattr(driftpy.types.OracleSource, source)())(bytes(oracle.data))
    assert oracle.read(source, 780).price == expected
    assert abs(read.price - expected) <= 1  # driftpy goes through floats
    assert read.slot == 777
    assert oracle.read(source, 780).delay == 3


def test_one_account_reads_differently_under_two_sources() -> None:
    oracle = _oracle("PythLazer1M", 0.0000145)
    assert oracle.read("PythLazer1M", 0).price == 14_500_000
    assert oracle.read("PythLazer", 0).price == 14


def test_a_stable_coin_off_its_peg_is_not_rounded() -> None:
    oracle = _oracle("PythLazerStableCoin", 1.0)
    oracle.post(98_000_000, 10_000, 0, 0)
    assert oracle.read("PythLazerStableCoin", 0).price == 980_000
    oracle.post(99_990_000, 20_000, 0, 0)
    assert oracle.read("PythLazerStableCoin", 0).price == 1_000_000


def test_price_and_raw_are_inverse() -> None:
    for source in ("PythLazer", "PythLazer1M", "PythPull", "Prelaunch"):
        oracle = _oracle(source, 0.5 / multiple_of(source))
        oracle.post(oracle.raw_from_price(612_300, source), 1, 0, 0)
        assert oracle.read(source, 0).price == 612_300


def test_a_quote_asset_is_always_one() -> None:
    oracle = _oracle("PythLazer", 3.0)
    assert oracle.read("QuoteAsset", 9) == OraclePrice(1_000_000, 1, 0)


def test_unknown_sources_are_refused() -> None:
    with pytest.raises(LayoutError, match="no oracle account for source Switchboard"):
        _oracle("Switchboard", 1.0)


def test_velocity_keeps_a_confidence_of_a_five_hundredth_at_least() -> None:
    oracle = _oracle("PythLazer", 100.0, "velocity-v1")
    oracle.post(10_000_000_000, 1, 1_700_000_000.5, 7)
    assert oracle.read("PythLazer", 9) == OraclePrice(100_000_000, 200_000, 2, 1_700_000_000_500_000)
    oracle.post(10_000_000_000, 30_000_000, 1_700_000_000.5, 7)
    assert oracle.read("PythLazer", 9).confidence == 300_000
    layout = program_named("velocity-v1").idl.account("PythLazerOracle")
    record = layout.record(bytes(oracle.data))
    assert (record["price"], record["conf"], record["exponent"]) == (10_000_000_000, 30_000_000, -8)
    assert (record["publish_time"], record["posted_slot"]) == (1_700_000_000_500_000, 7)
