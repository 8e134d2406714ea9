"""Quiet accounts are read again before what rests on them runs out: evenly, in few requests, and busy ones never."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from drift_publisher.heard import CONFIRMED_S, HeardAccounts
from tests.publisher.unit.virtual_time import VirtualTime

TICK_S = 0.25


@pytest.fixture
def time() -> VirtualTime:
    return VirtualTime()


@pytest.fixture
def heard(time: VirtualTime) -> HeardAccounts:
    return HeardAccounts(time)


def requests(
    heard: HeardAccounts,
    time: VirtualTime,
    addresses: list[str],
    lasts_s: float,
    each: Callable[[], None] = lambda: None,
) -> list[tuple[float, list[str]]]:
    """What is read again, and when, with an answer to every request; no account may ever be overdue."""
    made, ends = [], time.now + lasts_s
    while time.now < ends:
        time.now += TICK_S
        each()
        if due := heard.to_read(addresses):
            made.append((time.now, due))
            for address in due:
                heard.note(address, was_read=True)
        assert heard.overdue(addresses) == []
    return made


def all_heard(heard: HeardAccounts, count: int) -> list[str]:
    addresses = [f"account{number}" for number in range(count)]
    for address in addresses:
        heard.note(address, was_read=False)
    return addresses


@pytest.mark.parametrize(("count", "per_minute"), [(1, 8), (50, 8), (99, 8), (100, 16), (285, 24), (1000, 88)])
def test_quiet_accounts_cost_few_requests_at_equal_distances(
    heard: HeardAccounts, time: VirtualTime, count: int, per_minute: int
) -> None:
    """285 accounts cost about one request in three seconds."""
    made = requests(heard, time, all_heard(heard, count), 120)
    assert len(made) / 2 <= per_minute
    distances = [later[0] - earlier[0] for earlier, later in itertools.pairwise(made[2:])]
    assert max(distances) <= 2 * min(distances), "no bursts"
    assert max(len(due) for _, due in made) <= 99


def test_busy_accounts_cost_nothing(heard: HeardAccounts, time: VirtualTime) -> None:
    addresses = all_heard(heard, 285)

    def each() -> None:
        all_heard(heard, 285)

    assert requests(heard, time, addresses, 60, each) == []


def test_only_the_quiet_ones_are_read(heard: HeardAccounts, time: VirtualTime) -> None:
    addresses = all_heard(heard, 285)
    busy = addresses[:200]

    def each() -> None:
        for address in busy:
            heard.note(address, was_read=False)

    made = requests(heard, time, addresses, 60, each)
    assert len(made) <= 8
    assert not {address for _, due in made for address in due} & set(busy)


def test_what_nobody_answers_for_is_overdue_and_asked_for_again(heard: HeardAccounts, time: VirtualTime) -> None:
    addresses = all_heard(heard, 3)
    assert heard.is_confirmed(addresses[0])
    time.now += CONFIRMED_S + 0.1
    assert heard.overdue(addresses) == addresses
    asked = 0
    for _ in range(40):
        time.now += TICK_S
        asked += bool(heard.to_read(addresses))
    assert 5 <= asked <= 11, "about once a second"


def test_an_account_that_is_refused_each_time_is_not_asked_for_each_second(
    heard: HeardAccounts, time: VirtualTime
) -> None:
    asked = 0
    for _ in range(240):
        time.now += TICK_S
        if due := heard.to_read(["A"]):
            asked += 1
            heard.note_answer(due)
    assert asked <= 9
    assert heard.overdue(["A"]) == ["A"]


def test_what_was_heard_in_another_history_counts_no_longer(heard: HeardAccounts) -> None:
    addresses = all_heard(heard, 2)
    heard.forget()
    assert heard.overdue(addresses) == addresses


def test_what_is_no_longer_followed_is_forgotten(heard: HeardAccounts) -> None:
    addresses = all_heard(heard, 2)
    heard.to_read(addresses[:1])
    assert heard.overdue(addresses) == addresses[1:]
