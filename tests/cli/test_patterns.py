"""Subjects may be typed short."""

from __future__ import annotations

import pytest

from drift_bus.errors import UsageProblem
from drift_bus.patterns import matches, subject_patterns
from drift_schemas import Subjects


@pytest.mark.parametrize(
    ("typed", "pattern"),
    [
        ("drift.funding.SOL-PERP", "drift.funding.SOL-PERP"),
        ("drift.>", "drift.>"),
        (">", "drift.>"),
        ("funding", "drift.funding.*"),
        ("SOL-PERP", "drift.*.SOL-PERP"),
        ("price.SOL", "drift.price.SOL"),
        ("*.SOL", "drift.*.SOL"),
        ("status", "drift.status"),
        ("drift.status", "drift.status"),
    ],
)
def test_what_is_typed_becomes_a_subject(typed: str, pattern: str) -> None:
    assert subject_patterns([typed], Subjects()) == [pattern]


def test_nothing_typed_means_everything_under_the_prefix() -> None:
    assert subject_patterns([], Subjects("devnet")) == ["devnet.>"]


@pytest.mark.parametrize("typed", ["", "a b", "drift.>.x", "other.thing", "price..SOL"])
def test_nonsense_is_refused(typed: str) -> None:
    with pytest.raises(UsageProblem):
        subject_patterns([typed], Subjects())


@pytest.mark.parametrize(
    ("pattern", "subject", "expected"),
    [
        ("drift.>", "drift.price.SOL", True),
        ("drift.>", "drift.status", True),
        ("drift.>", "drift", False),
        ("drift.*.SOL", "drift.price.SOL", True),
        ("drift.*.SOL", "drift.price.SOL-PERP", False),
        ("drift.price.*", "drift.status", False),
        ("drift.price.SOL", "drift.price.SOL", True),
    ],
)
def test_matching_is_that_of_nats(pattern: str, subject: str, expected: bool) -> None:
    assert matches(pattern, subject) is expected
