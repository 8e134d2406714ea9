"""Every oracle source: exact where driftpy goes through floats, and the program's word where driftpy differs from it.

Source of the program's word: drift-labs/protocol-v2, ``programs/drift/src/state/oracle.rs``.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import driftpy.types
import pytest
from driftpy.accounts.oracle import get_oracle_decode_fn
from hypothesis import given, settings
from hypothesis import strategies as st

from drift_publisher.accounts import OraclePrice
from drift_publisher.errors import AccountRefused
from drift_publisher.oracles import QUOTE_ASSET_PRICE, read_oracle
from drift_publisher.profiles.drift_v2 import DRIFT_V2

from .accounts import real_accounts
from .oracle_bytes import OWNERS, aggregator, lazer, legacy, on_demand, prelaunch, pull

MULTIPLES = {"": 1, "1K": 1_000, "1M": 1_000_000}
LAZER = {f"PythLazer{suffix}": multiple for suffix, multiple in MULTIPLES.items()}
PULL = {f"Pyth{suffix}Pull": multiple for suffix, multiple in MULTIPLES.items()}
PUSH = {f"Pyth{suffix}": multiple for suffix, multiple in MULTIPLES.items()}
WRITERS: dict[str, Any] = {
    **dict.fromkeys((*LAZER, "PythLazerStableCoin"), lazer),
    **dict.fromkeys((*PULL, "PythStableCoinPull"), pull),
    **dict.fromkeys((*PUSH, "PythStableCoin"), legacy),
}
"""Every Pyth source and the function that writes its account."""
ACCOUNTS = {
    **{source: write(10**8) for source, write in WRITERS.items()},
    "Prelaunch": prelaunch(10**6),
    "SwitchboardOnDemand": on_demand(10**18),
    "Switchboard": aggregator(10**6, 6),
}

prices = st.integers(-(10**13), 10**13)
confidences = st.integers(0, 10**13)
exponents = st.integers(-12, -7)
slots = st.integers(0, 2**63)


def ours(source: str, data: bytes, owner: str | None = None) -> OraclePrice:
    return read_oracle(DRIFT_V2.oracle_formats[source], owner or OWNERS[source], data)


def theirs(source: str, data: bytes) -> Any:
    """Driftpy's reading."""
    return get_oracle_decode_fn(getattr(driftpy.types.OracleSource, source)())(data)


def exact(value: int, exponent: int, multiple: int = 1) -> int:
    """Value * 10**exponent * multiple in units of 1e-6; ``int`` of a fraction truncates toward zero."""
    return int(Fraction(value * multiple * 10**6, 10 ** abs(exponent)))


def float_error(value: int) -> int:
    """How far off driftpy's way through floats may be."""
    return 1 + abs(value) // 10**15


def test_each_source_of_the_program_has_a_format_but_the_quote_asset() -> None:
    known = DRIFT_V2.perp_market.fields["oracle_source"].variants
    assert {*DRIFT_V2.oracle_formats, "QuoteAsset"} == set(known) == {*ACCOUNTS, "QuoteAsset"}


@pytest.mark.parametrize("source", LAZER)
@settings(max_examples=60, deadline=None)
@given(price=prices, conf=confidences, exponent=exponents, slot=slots)
def test_lazer_is_exact(source: str, price: int, conf: int, exponent: int, slot: int) -> None:
    data = lazer(price, conf, exponent, slot)
    read, other = ours(source, data), theirs(source, data)
    assert read == OraclePrice(exact(price, exponent, LAZER[source]), exact(conf, exponent, LAZER[source]), slot)
    assert abs(other.price - read.price) <= float_error(read.price)
    assert abs(other.confidence - read.confidence) <= float_error(read.confidence)
    assert other.slot == slot


def test_driftpy_reads_lazer_through_floats_and_is_off() -> None:
    data = lazer(1_001, exponent=-3)
    assert ours("PythLazer", data).price == 1_001_000
    assert theirs("PythLazer", data).price == 1_000_999  # int(1.001 * 1e6)


def test_driftpy_calls_the_lazer_price_its_own_twap() -> None:
    read = theirs("PythLazer", lazer(150 * 10**8, conf=10**5))
    assert read.twap == read.twap_confidence == read.price  # so we take no TWAP from an oracle account


@pytest.mark.parametrize("source", PULL)
@settings(max_examples=60, deadline=None)
@given(price=prices, conf=confidences, exponent=exponents, slot=slots, signatures=st.none() | st.integers(0, 255))
def test_pull_is_exact_whatever_its_verification_level(
    source: str, price: int, conf: int, exponent: int, slot: int, signatures: int | None
) -> None:
    data = pull(price, conf, exponent, slot, signatures=signatures)
    read, other = ours(source, data), theirs(source, data)
    assert read == OraclePrice(exact(price, exponent, PULL[source]), exact(conf, exponent, PULL[source]), slot)
    assert abs(other.price - read.price) <= float_error(read.price)
    assert other.slot == slot


def test_driftpy_does_not_scale_the_confidence_of_a_pull_oracle() -> None:
    data = pull(150 * 10**8, conf=12_345_678)
    assert ours("PythPull", data).confidence == 123_456  # 0.12345678, as the program scales it
    assert theirs("PythPull", data).confidence == 12_345_678


@pytest.mark.parametrize("source", PUSH)
@settings(max_examples=60, deadline=None)
@given(price=prices, conf=confidences, exponent=exponents, slot=slots)
def test_push_is_exact(source: str, price: int, conf: int, exponent: int, slot: int) -> None:
    data = legacy(price, conf, exponent, slot)
    read, other = ours(source, data), theirs(source, data)
    assert read == OraclePrice(exact(price, exponent, PUSH[source]), exact(conf, exponent, PUSH[source]), slot)
    assert abs(other.price - read.price) <= float_error(read.price)


def test_driftpy_forgets_the_multiple_of_a_push_oracles_confidence() -> None:
    data = legacy(2_000_000, conf=5_000, exponent=-8)
    assert ours("Pyth1K", data) == OraclePrice(20_000_000, 50_000, 0)
    assert (theirs("Pyth1K", data).price, theirs("Pyth1K", data).confidence) == (20_000_000, 50)


def test_the_slot_of_a_push_oracle_is_its_valid_slot_and_not_as_in_driftpy_its_publishing_slot() -> None:
    data = legacy(10**8, valid_slot=500, pub_slot=497)
    assert ours("Pyth", data).slot == 500
    assert theirs("Pyth", data).slot == 497


@pytest.mark.parametrize(
    ("num", "num_qt", "sufficient"), [(10, 3, True), (10, 2, False), (2, 2, True), (2, 1, False), (0, 0, True)]
)
def test_a_push_oracle_wants_three_quoters_or_all_of_them(num: int, num_qt: int, sufficient: bool) -> None:
    data = legacy(10**8, num=num, num_qt=num_qt)
    assert ours("Pyth", data).has_sufficient_data_points is sufficient
    assert theirs("Pyth", data).has_sufficient_number_of_data_points is True  # driftpy never asks


@settings(max_examples=60, deadline=None)
@given(price=st.integers(-(2**63), 2**63 - 1), conf=st.integers(0, 2**64 - 1), slot=slots)
def test_prelaunch_reads_as_in_driftpy(price: int, conf: int, slot: int) -> None:
    data = prelaunch(price, conf, slot, slot + 9)
    other = theirs("Prelaunch", data)
    assert (
        ours("Prelaunch", data)
        == OraclePrice(price, conf, slot)
        == OraclePrice(other.price, other.confidence, other.slot)
    )


@settings(max_examples=60, deadline=None)
@given(value=st.integers(-(10**30), 10**30), range_=st.integers(0, 10**30), slot=slots)
def test_switchboard_on_demand_truncates_toward_zero_where_driftpy_rounds_down(
    value: int, range_: int, slot: int
) -> None:
    data = on_demand(value, range_, slot)
    read, other = ours("SwitchboardOnDemand", data), theirs("SwitchboardOnDemand", data)
    assert read == OraclePrice(exact(value, 18), exact(range_, 18), slot)
    assert (other.price, other.confidence, other.slot) == (value // 10**12, range_ // 10**12, slot)
    assert read.price - other.price == (value < 0 and value % 10**12 != 0)


@settings(max_examples=60, deadline=None)
@given(
    mantissa=st.integers(-(10**20), 10**20),
    scale=st.integers(0, 20),
    deviation=st.integers(0, 10**20),
    std_scale=st.integers(8, 20),
    successes=st.integers(0, 4),
    slot=slots,
)
def test_a_switchboard_aggregator_reads_as_in_driftpy_but_for_negative_prices(
    mantissa: int, scale: int, deviation: int, std_scale: int, successes: int, slot: int
) -> None:
    price = exact(mantissa, scale)
    if abs(price) >= 2**63:
        return
    data = aggregator(mantissa, scale, deviation, std_scale, slot, num_success=successes)
    read, other = ours("Switchboard", data), theirs("Switchboard", data)
    confidence = max(exact(deviation, std_scale), abs(price) // 1000)
    assert read == OraclePrice(price, confidence, slot, successes >= 2)
    assert (other.slot, other.has_sufficient_number_of_data_points) == (slot, successes >= 2)
    if mantissa >= 0:
        assert (other.price, other.confidence) == (read.price, read.confidence)
    else:
        assert read.price - other.price in (0, 1)  # driftpy's // rounds down


def test_a_negative_deviation_makes_a_switchboard_price_uncertain_and_not_certain() -> None:
    assert ours("Switchboard", aggregator(10**6, 6, std_mantissa=-1)).confidence == 2**64 - 1
    assert theirs("Switchboard", aggregator(10**6, 6, std_mantissa=-1)).confidence == 1_000


@pytest.mark.parametrize("source", WRITERS)
def test_a_negative_price_truncates_toward_zero(source: str) -> None:
    if "Pyth1" in source or "Lazer1" in source:
        multiple = MULTIPLES["1K" if "1K" in source else "1M"]
        assert ours(source, WRITERS[source](-15, exponent=-13)).price == -(15 * multiple // 10**7)
    else:
        assert ours(source, WRITERS[source](-15, exponent=-7)).price == -1
        assert ours(source, WRITERS[source](-9, exponent=-7)).price == 0


@pytest.mark.parametrize("source", ["PythStableCoin", "PythStableCoinPull", "PythLazerStableCoin"])
@pytest.mark.parametrize(
    ("price", "confidence", "read"),
    [
        (999_500, 500, 1_000_000),  # the edge belongs to the snap: <=, as in the program
        (1_000_500, 10_000, 1_000_000),
        (999_499, 10_000, 999_499),  # five basis points at most
        (999_900, 99, 999_900),  # and within the confidence interval
        (999_900, 100, 1_000_000),
        (1_000_000, 0, 1_000_000),
        (980_000, 50_000, 980_000),
    ],
)
def test_a_stable_coin_snaps_to_one(source: str, price: int, confidence: int, read: int) -> None:
    data = WRITERS[source](price * 100, confidence * 100)
    assert ours(source, data) == OraclePrice(read, confidence, 0)


def test_at_the_edge_driftpy_does_not_snap_and_for_pull_and_push_it_never_does() -> None:
    edge = lazer(99_950_000, conf=50_000)
    assert (ours("PythLazerStableCoin", edge).price, theirs("PythLazerStableCoin", edge).price) == (1_000_000, 999_500)
    for source in ("PythStableCoinPull", "PythStableCoin"):
        near = WRITERS[source](99_990_000, 100_000)
        assert (ours(source, near).price, theirs(source, near).price) == (1_000_000, 999_900)


@pytest.mark.parametrize("source", ACCOUNTS)
def test_an_account_of_another_program_is_refused(source: str) -> None:
    assert ours(source, ACCOUNTS[source]).price in (10**6, 10**9, 10**12)
    for owner in {*OWNERS.values(), "11111111111111111111111111111111"} - {OWNERS[source]}:
        with pytest.raises(AccountRefused, match=f"owned by {owner}") as refused:
            ours(source, ACCOUNTS[source], owner)
        assert refused.value.reason == "owner"


@pytest.mark.parametrize("source", ACCOUNTS)
def test_garbage_and_short_accounts_are_refused(source: str) -> None:
    data = ACCOUNTS[source]
    for garbage in (b"", b"\xff" * len(data), bytes(len(data)), data[1:]):
        with pytest.raises(AccountRefused) as refused:
            ours(source, garbage)
        assert refused.value.reason == "discriminator"
    for length in (8, 40, 41, 45):
        with pytest.raises(AccountRefused) as refused:
            ours(source, data[:length])
        assert refused.value.reason == "size"


@pytest.mark.parametrize("source", ACCOUNTS)
def test_a_longer_account_reads_the_same(source: str) -> None:
    assert ours(source, ACCOUNTS[source] + bytes(100)) == ours(source, ACCOUNTS[source])


@pytest.mark.parametrize("source", WRITERS)
@pytest.mark.parametrize("exponent", [-39, 39, -(2**31), 2**31 - 1, -1000])
def test_an_absurd_exponent_is_refused_before_it_is_raised_to(source: str, exponent: int) -> None:
    with pytest.raises(AccountRefused, match=f"exponent {exponent}: no price has so many digits") as refused:
        ours(source, WRITERS[source](10**8, exponent=exponent))
    assert refused.value.reason == "exponent"


@pytest.mark.parametrize("scale", [39, 2**32 - 1])
def test_an_absurd_scale_of_a_switchboard_aggregator_is_refused(scale: int) -> None:
    for data in (aggregator(1, scale), aggregator(1, 6, std_scale=scale)):
        with pytest.raises(AccountRefused) as refused:
            ours("Switchboard", data)
        assert refused.value.reason == "exponent"


@pytest.mark.parametrize(
    ("source", "exponent"),
    [("PythLazer", 0), ("PythLazer1K", -3), ("PythLazer1M", -6), ("Pyth1KPull", -3), ("Pyth", 0)],
)
def test_a_precision_that_the_multiple_uses_up_is_refused_as_the_program_refuses_it(source: str, exponent: int) -> None:
    with pytest.raises(AccountRefused, match="too small for a multiple") as refused:
        ours(source, WRITERS[source](10**8, exponent=exponent))
    assert refused.value.reason == "exponent"
    assert ours(source, WRITERS[source](1, exponent=exponent - 1)).price == 100_000


def test_a_positive_exponent_counts_like_a_negative_one_as_in_the_program() -> None:
    assert ours("PythLazer", lazer(10**8, exponent=8)) == ours("PythLazer", lazer(10**8, exponent=-8))


def test_a_price_beyond_64_bits_is_refused_as_the_program_refuses_it() -> None:
    assert ours("PythLazer1M", lazer(2**63 - 1, exponent=-12)).price == 2**63 - 1
    for data in (lazer(2**63 - 1, exponent=-11), lazer(-(2**63), exponent=-11), lazer(1, conf=2**64 - 1, exponent=-11)):
        with pytest.raises(AccountRefused, match="64 bits") as refused:
            ours("PythLazer1M", data)
        assert refused.value.reason == "range"


def test_the_quote_asset_is_worth_one() -> None:
    assert OraclePrice(1_000_000, 1, 0) == QUOTE_ASSET_PRICE


# --- real accounts ----------------------------------------------------------------------------------------------------


def test_real_pull_oracles() -> None:
    for account_id, data in real_accounts("PriceUpdateV2").items():
        for source in PULL:
            read, other = ours(source, data), theirs(source, data)
            assert abs(other.price - read.price) <= float_error(read.price), account_id
            assert (read.slot, read.price > 0) == (other.slot, True)
            assert read.confidence < read.price


def test_real_prelaunch_oracle() -> None:
    for data in real_accounts("PrelaunchOracle").values():
        other = theirs("Prelaunch", data)
        assert ours("Prelaunch", data) == OraclePrice(other.price, other.confidence, other.slot)


def test_real_push_oracle() -> None:
    for data in real_accounts("PythLegacy").values():
        read, other = ours("Pyth", data), theirs("Pyth", data)
        assert abs(other.price - read.price) <= float_error(read.price)
        assert abs(other.confidence - read.confidence) <= 1
        assert (read.slot, other.slot) == (234_897_840, 234_897_842)  # valid slot and publishing slot


def test_real_switchboard_oracles() -> None:
    for source, kind in (("SwitchboardOnDemand", "PullFeedAccountData"), ("Switchboard", "AggregatorAccountData")):
        for data in real_accounts(kind).values():
            other = theirs(source, data)
            assert ours(source, data)[:3] == (other.price, other.confidence, other.slot)
            assert other.price > 0
