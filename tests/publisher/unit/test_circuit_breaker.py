"""The circuit breaker: shut after failures in a row, one request tries, and only an answer opens it to all."""

from __future__ import annotations

import pytest

from drift_publisher.budget import CircuitBreaker
from tests.publisher.unit.virtual_time import VirtualTime


@pytest.fixture
def time() -> VirtualTime:
    return VirtualTime()


@pytest.fixture
def breaker(time: VirtualTime, monkeypatch: pytest.MonkeyPatch) -> CircuitBreaker:
    """Its waits are as long as they may be: 0.5 s, 1 s, 2 s, …"""
    monkeypatch.setattr("random.uniform", lambda low, high: high)
    return CircuitBreaker(limit=3, clock=time)


def fail(breaker: CircuitBreaker, times: int = 3) -> None:
    for _ in range(times):
        breaker.failed()


def test_it_opens_after_failures_in_a_row(breaker: CircuitBreaker) -> None:
    fail(breaker, 2)
    assert breaker.admit()
    breaker.failed()
    assert breaker.is_open
    assert breaker.retry_in_s == 0.5
    assert not breaker.admit()
    assert breaker.opened_total == 1


def test_an_answer_between_them_starts_the_count_again(breaker: CircuitBreaker) -> None:
    fail(breaker, 2)
    breaker.succeeded()
    fail(breaker, 2)
    assert not breaker.is_open


def test_after_the_wait_one_request_tries_and_the_others_wait_for_it(
    breaker: CircuitBreaker, time: VirtualTime
) -> None:
    fail(breaker)
    time.now += 0.5
    assert not breaker.is_open
    assert breaker.admit()
    assert not breaker.admit()
    breaker.succeeded()
    assert all(breaker.admit() for _ in range(10))


def test_a_try_that_fails_waits_longer_each_time(breaker: CircuitBreaker, time: VirtualTime) -> None:
    fail(breaker)
    waits = [breaker.retry_in_s]
    for _ in range(3):
        time.now += breaker.retry_in_s
        assert breaker.admit()
        breaker.failed()
        waits.append(breaker.retry_in_s)
    assert waits == [0.5, 1, 2, 4]
    assert breaker.opened_total == 4


def test_time_alone_does_not_reset_it(breaker: CircuitBreaker, time: VirtualTime) -> None:
    fail(breaker)
    time.now += 3600
    assert breaker.admit()
    breaker.failed()
    assert breaker.is_open, "one failure is enough as long as nothing succeeded"


def test_failures_that_were_on_their_way_do_not_make_the_wait_longer(breaker: CircuitBreaker) -> None:
    fail(breaker, 20)
    assert (breaker.opened_total, breaker.retry_in_s) == (1, 0.5)


def test_a_try_that_nobody_waits_for_any_more_makes_room_for_another(
    breaker: CircuitBreaker, time: VirtualTime
) -> None:
    fail(breaker)
    time.now += 0.5
    assert breaker.admit()
    breaker.abandoned()
    assert breaker.admit()


def test_a_try_that_is_never_heard_of_blocks_nobody_for_ever(breaker: CircuitBreaker, time: VirtualTime) -> None:
    fail(breaker)
    time.now += 0.5
    assert breaker.admit()
    time.now += 60
    assert breaker.admit()
