"""Numbers as a trader reads them."""

from __future__ import annotations

from drift_bus import formats


def test_a_price_has_as_many_decimals_as_it_deserves() -> None:
    assert formats.price(97_123_456_789) == "97,123.46"
    assert formats.price(150_123_456) == "150.1235"
    assert formats.price(2_104) == "0.002104"
    assert formats.price(None) == "–"


def test_amounts_are_short() -> None:
    assert formats.amount(0) == "0"
    assert formats.amount(123_456) == "123k"
    assert formats.amount(1_234_567) == "1.23M"
    assert formats.amount(87e9) == "87B"
    assert formats.amount(1.5e12) == "1,500B"


def test_signs_are_shown_and_zero_has_none() -> None:
    assert formats.signed(0.012, 3) == "+0.012"
    assert formats.signed(-1234.5, 1) == "-1,234.5"
    assert formats.signed(-0.0000001, 3) == "0.000"
    assert formats.signed(None, 3) == "–"


def test_ages_and_times_left() -> None:
    assert [formats.age(seconds) for seconds in (None, -0.1, 0.34, 42, 300, 10_000)] == [
        "–",
        "0.0 s",
        "0.3 s",
        "42 s",
        "5 min",
        "3 h",
    ]
    assert [formats.clock(seconds) for seconds in (None, -1, 59, 3_599, 3_723)] == [
        "–",
        "due",
        "00:59",
        "59:59",
        "1:02:03",
    ]
