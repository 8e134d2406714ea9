"""The endpoint in use: left after three failures or at once, returned to when it works, and never left alone."""

from __future__ import annotations

import logging

import pytest

from drift_publisher.endpoints import Endpoint, EndpointPool
from tests.publisher.unit.virtual_time import VirtualTime

KEY = "SECRETKEY12345"


@pytest.fixture
def time() -> VirtualTime:
    return VirtualTime()


def pool_of(count: int, time: VirtualTime) -> EndpointPool:
    urls = [f"https://rpc{number}.example.com/{KEY}" for number in range(count)]
    endpoints = [Endpoint(url, url.replace("https", "wss")) for url in urls]
    return EndpointPool(endpoints, return_after_s=60, clock=time)


@pytest.fixture
def pool(time: VirtualTime) -> EndpointPool:
    return pool_of(3, time)


def used(pool: EndpointPool) -> int:
    return pool.endpoints.index(pool.current)


def test_the_first_is_used_as_long_as_it_works(pool: EndpointPool) -> None:
    for _ in range(10):
        pool.failed(pool.current, "once")
        pool.failed(pool.current, "twice")
        pool.worked(pool.current)
    assert used(pool) == 0
    assert pool.failovers_total == 0
    assert not pool.changed.is_set()


def test_three_failures_in_a_row_bring_the_next(pool: EndpointPool) -> None:
    first = pool.current
    for _ in range(3):
        assert pool.current is first
        pool.failed(first, "it failed")
    assert used(pool) == 1
    assert pool.failovers_total == 1
    assert pool.changed.is_set()


def test_an_endpoint_that_says_no_is_left_at_once(pool: EndpointPool) -> None:
    pool.failed(pool.current, "too many requests", at_once=True)
    assert used(pool) == 1


def test_after_the_last_comes_the_first(pool: EndpointPool) -> None:
    for expected in (1, 2, 0, 1):
        pool.failed(pool.current, "down", at_once=True)
        assert used(pool) == expected


def test_late_failures_of_an_endpoint_that_was_left_count_for_nobody(pool: EndpointPool) -> None:
    first = pool.current
    pool.failed(first, "down", at_once=True)
    for _ in range(10):
        pool.failed(first, "still down", at_once=True)
    assert used(pool) == 1
    pool.failed(pool.current, "once")
    pool.failed(pool.current, "twice")
    assert used(pool) == 1, "the first one's failures are not the second one's"


def test_a_late_success_of_another_endpoint_forgives_nothing(pool: EndpointPool) -> None:
    first = pool.current
    pool.failed(first, "down", at_once=True)
    for _ in range(3):
        pool.failed(pool.endpoints[1], "down too")
        pool.worked(first)
    assert used(pool) == 2


def test_the_first_is_looked_at_after_a_while_and_returned_to(pool: EndpointPool, time: VirtualTime) -> None:
    assert not pool.should_try_first, "it is in use"
    pool.failed(pool.current, "down", at_once=True)
    time.now += 59
    assert not pool.should_try_first
    time.now += 1
    assert pool.should_try_first
    pool.try_first(is_back=False)
    assert (used(pool), pool.should_try_first) == (1, False)
    time.now += 60
    assert pool.should_try_first
    pool.changed.clear()
    pool.try_first(is_back=True)
    assert used(pool) == 0
    assert pool.changed.is_set()


def test_a_return_to_where_we_are_is_none(pool: EndpointPool) -> None:
    """The pool came round by itself while somebody asked whether the first endpoint is back."""
    pool.try_first(is_back=True)
    assert pool.failovers_total == 0
    assert not pool.changed.is_set()


def test_a_single_endpoint_is_never_left(time: VirtualTime) -> None:
    pool = pool_of(1, time)
    for _ in range(10):
        pool.failed(pool.current, "down", at_once=True)
    assert (used(pool), pool.failovers_total, pool.changed.is_set()) == (0, 0, False)
    time.now += 3600
    assert not pool.should_try_first


def test_no_key_is_told(pool: EndpointPool, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        pool.failed(pool.current, f"no such key {KEY}", at_once=True)
    assert "rpc0.example.com" in caplog.text
    assert "rpc1.example.com" in caplog.text
    assert KEY not in caplog.text + repr(pool.endpoints) + "".join(one.name for one in pool.endpoints)
