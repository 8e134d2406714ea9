"""Which subscription ought to have been heard by now."""

from __future__ import annotations

import pytest

from drift_publisher.quiet import QuietSubscriptions
from drift_publisher.subscription_table import Request

BUSY, SLOW = Request("account", "busy"), Request("account", "slow")


@pytest.fixture
def quiet() -> QuietSubscriptions:
    """Both were heard until second 100: one each second, the other every ten."""
    quiet = QuietSubscriptions(30)
    for second in range(-200, 101):
        quiet.heard(BUSY, second)
        if second % 10 == 0:
            quiet.heard(SLOW, second)
    return quiet


def test_one_that_keeps_its_rhythm_is_not_quiet(quiet: QuietSubscriptions) -> None:
    assert quiet.take(130) == []


def test_each_is_quiet_by_its_own_rhythm(quiet: QuietSubscriptions) -> None:
    assert quiet.take(131) == [BUSY]
    assert quiet.take(301) == [BUSY, SLOW]


def test_patience_doubles_each_time(quiet: QuietSubscriptions) -> None:
    told = [second for second in range(101, 700) if BUSY in quiet.take(second)]
    assert told == [131, 161, 221, 341, 581]


def test_one_that_was_seldom_heard_has_no_rhythm() -> None:
    quiet = QuietSubscriptions(30)
    for second in range(10):
        quiet.heard(BUSY, second)
    assert quiet.take(10_000) == []


def test_a_new_socket_begins_anew(quiet: QuietSubscriptions) -> None:
    quiet.clear()
    assert quiet.take(10_000) == []
