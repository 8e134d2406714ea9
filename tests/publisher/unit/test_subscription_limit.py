"""The limit of subscriptions a socket: learned from what happens twice; over as few sockets as it takes."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drift_publisher.subscription_limit import SubscriptionLimit, share_out
from drift_publisher.subscription_table import Request

REQUESTS = [Request("account", f"Account{number}") for number in range(60)]
UNIONS = st.lists(st.sampled_from(REQUESTS), unique=True)


@given(UNIONS, UNIONS, st.none() | st.integers(2, 40), st.none() | st.integers(2, 40))
def test_everything_is_carried_once_over_as_few_sockets_as_it_takes(
    before: list[Request], after: list[Request], most_before: int | None, most: int | None
) -> None:
    held = share_out(before, [], most_before)
    shares = share_out(after, held, most)
    carried = [request for share in shares for request in share]
    assert sorted(carried) == sorted(after)
    room = len(after) if most is None else most - 1
    assert all(len(share) <= room for share in shares), "with the heartbeat"
    assert len(shares) == max(1, math.ceil(len(after) / room) if after else 1)


@given(UNIONS, st.integers(2, 40), st.data())
def test_what_stays_wanted_stays_where_it_is(union: list[Request], most: int, data: st.DataObject) -> None:
    held = share_out(union, [], most)
    more = data.draw(st.lists(st.sampled_from(REQUESTS), unique=True))
    shares = share_out([*union, *(request for request in more if request not in union)], held, most)
    for before, now in zip(held, shares, strict=False):
        assert set(before) <= set(now)


def learned(limit: SubscriptionLimit, *cuts: tuple[int, bool]) -> list[bool]:
    return [limit.cut_after(count, one_by_one=one_by_one) for count, one_by_one in cuts]


def test_a_cut_at_the_same_number_twice_one_by_one_is_the_limit() -> None:
    limit = SubscriptionLimit()
    assert learned(limit, (0, False)) == [False]
    assert limit.at_once == 0, "what was confirmed before a cut may be lost with it, so it counts from there"
    assert learned(limit, (100, True)) == [False]
    assert limit.at_once == 100
    assert learned(limit, (100, True)) == [True]
    assert limit.most == 100


@pytest.mark.parametrize(
    "cuts",
    [
        [(100, False), (100, False), (100, False)],  # how many were on their way is not known
        [(0, False), (37, True), (61, True), (12, True)],  # a bad line, not a limit
        [(0, False), (3, True), (3, True), (3, True)],  # an endpoint that gives so little is broken
        [(0, False), (2, True), (2, True)],
    ],
    ids=repr,
)
def test_other_cuts_teach_nothing(cuts: list[tuple[int, bool]]) -> None:
    limit = SubscriptionLimit()
    assert not any(learned(limit, *cuts))
    assert limit.most is None


def test_a_socket_that_got_everything_clears_the_suspicion() -> None:
    limit = SubscriptionLimit()
    learned(limit, (0, False), (100, True))
    limit.made()
    assert limit.at_once is None
    assert learned(limit, (100, True)) == [False]


def test_a_limit_that_is_set_is_corrected_by_a_smaller_one_that_shows() -> None:
    limit = SubscriptionLimit(1000)
    assert learned(limit, (100, True), (100, True)) == [False, True]
    assert limit.most == 100
    assert limit.refused_after(50)
    assert limit.most == 50
    assert not limit.refused_after(1)
    assert limit.most == 50
