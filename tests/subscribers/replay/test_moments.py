"""Points in time as people write them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drift_subscribers.history import BadMoment, format_moment, parse_moment

NOW_NS = 1_795_248_000_000_000_000


@pytest.mark.parametrize(
    ("text", "moment_ns"),
    [
        ("2026-11-21T08:00:00Z", NOW_NS),
        ("2026-11-21 08:00", NOW_NS),
        ("2026-11-21T09:00:00+01:00", NOW_NS),
        ("2026-11-21T08:00:00.000000001Z", NOW_NS + 1),
        ("2026-11-21", NOW_NS - 8 * 3600 * 10**9),
        ("1795248000", NOW_NS),
        ("1795248000.25", NOW_NS + 250_000_000),
        ("1795248000001", NOW_NS + 1_000_000),
        ("1795248000000001", NOW_NS + 1_000),
        ("1795248000000000001", NOW_NS + 1),
        ("-2h", NOW_NS - 7200 * 10**9),
        ("-1d12h", NOW_NS - 36 * 3600 * 10**9),
        ("-1.5s", NOW_NS - 1_500_000_000),
        ("-250ms", NOW_NS - 250_000_000),
        (" now ", NOW_NS),
    ],
)
def test_a_moment_is_read(text: str, moment_ns: int) -> None:
    assert parse_moment(text, now_ns=NOW_NS) == moment_ns


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "2h", "-2", "-2y", "2026-13-01", "2026-11-21T25:00", "-100000w", "99999999999999999999", "1e9"],
)
def test_what_is_no_moment_is_refused_with_the_forms_that_are(text: str) -> None:
    with pytest.raises(BadMoment, match="time"):
        parse_moment(text, now_ns=NOW_NS)


@given(st.integers(0, 2**62))
def test_what_is_written_is_read_back(moment_ns: int) -> None:
    assert parse_moment(format_moment(moment_ns)) == moment_ns


@given(st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1)).map(lambda moment: moment.replace(tzinfo=UTC)))
def test_every_datetime_is_a_moment(moment: datetime) -> None:
    seconds = int(moment.replace(microsecond=0).timestamp())
    assert parse_moment(moment.isoformat()) == seconds * 10**9 + moment.microsecond * 1000
