"""The token bucket: never more than the rate and one burst, first come first served, silence when told so."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drift_publisher.budget import TokenBucket
from tests.publisher.unit.virtual_time import VirtualTime, let_run

RATE, BURST = 4.0, 5


@dataclass
class Till:
    """A bucket, those who wait at it, and who went through when."""

    time: VirtualTime = field(default_factory=VirtualTime)
    passed: list[tuple[float, int, int]] = field(default_factory=list)
    """When, which one, how many tokens."""
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.bucket = TokenBucket(RATE, BURST, clock=self.time, sleep=self.time.sleep)

    def ask(self, tokens: int = 1) -> asyncio.Task[None]:
        """Somebody asks for tokens."""
        task = asyncio.create_task(self._ask(len(self.tasks), tokens))
        self.tasks.append(task)
        return task

    async def _ask(self, number: int, tokens: int) -> None:
        await self.bucket.acquire(tokens)
        self.passed.append((self.time.now, number, tokens))

    def seconds(self) -> list[float]:
        """Seconds from the start at which they went through."""
        return [round(when - 1000, 6) for when, _, _ in self.passed]


@pytest.fixture
def till() -> Till:
    return Till()


async def test_a_burst_goes_at_once_and_the_rest_at_the_rate(till: Till) -> None:
    for _ in range(8):
        till.ask()
    await till.time.advance(10)
    assert till.seconds() == [0, 0, 0, 0, 0, 0.25, 0.5, 0.75]


async def test_a_rest_fills_the_bucket_and_no_more_than_the_bucket(till: Till) -> None:
    await till.bucket.acquire(BURST)
    assert till.bucket.level == 0
    await till.time.advance(0.5)
    assert till.bucket.level == pytest.approx(2)
    await till.time.advance(1000)
    assert till.bucket.level == BURST


async def test_a_small_request_does_not_overtake_a_large_one(till: Till) -> None:
    await till.bucket.acquire(BURST - 1)
    till.ask(3)
    till.ask(1)
    await till.time.advance(10)
    assert [number for _, number, _ in till.passed] == [0, 1]


async def test_a_pause_holds_back_everyone_those_who_wait_already_too(till: Till) -> None:
    """HTTP 429 arrives while others are in the queue: none of them may go before Retry-After is over."""
    await till.bucket.acquire(BURST)
    for _ in range(3):
        till.ask()
    await let_run()
    till.bucket.pause(10)
    await till.time.advance(9.99)
    assert till.passed == []
    await till.time.advance(5)
    assert till.seconds() == [10.25, 10.5, 10.75]


async def test_a_pause_ends_with_an_empty_bucket_not_with_a_burst(till: Till) -> None:
    till.bucket.pause(60)
    assert till.bucket.level == 0
    for _ in range(3):
        till.ask()
    await till.time.advance(100)
    assert till.seconds() == [60.25, 60.5, 60.75]


async def test_a_shorter_pause_does_not_end_a_longer_one(till: Till) -> None:
    till.bucket.pause(20)
    till.bucket.pause(1)
    till.ask()
    await till.time.advance(30)
    assert till.seconds() == [20.25]


async def test_whoever_gives_up_has_taken_nothing(till: Till) -> None:
    """The next in line goes when the cancelled one would have gone, and not earlier."""
    await till.bucket.acquire(BURST)
    first = till.ask()
    till.ask()
    await till.time.advance(0.1)
    first.cancel()
    await till.time.advance(10)
    assert [number for _, number, _ in till.passed] == [1]
    assert till.seconds() == [0.25]
    await till.time.advance(10)
    assert till.bucket.level == BURST


async def test_a_batch_larger_than_the_bucket_goes_and_is_paid_for_by_those_after_it(till: Till) -> None:
    till.ask(3 * BURST)
    till.ask()
    await till.time.advance(10)
    assert till.seconds() == [0, (2 * BURST + 1) / RATE]


_STEPS = st.one_of(
    st.tuples(st.just("ask"), st.integers(1, BURST)),
    st.tuples(st.just("wait"), st.floats(0, 3)),
    st.tuples(st.just("pause"), st.floats(0, 4)),
    st.tuples(st.just("cancel"), st.integers(0, 40)),
)


@settings(max_examples=150, deadline=None)
@given(steps=st.lists(_STEPS, max_size=40))
async def test_no_window_lets_more_through_than_the_rate_and_one_burst(steps: list[tuple[str, float]]) -> None:
    till = Till()
    pauses: list[tuple[float, float]] = []
    for step, amount in steps:
        if step == "ask":
            till.ask(int(amount))
        elif step == "wait":
            await till.time.advance(amount)
        elif step == "pause":
            await let_run()
            till.bucket.pause(amount)
            pauses.append((till.time.now, till.time.now + amount))
        elif till.tasks:
            till.tasks[int(amount) % len(till.tasks)].cancel()
    await till.time.advance(1000)
    assert all(task.done() for task in till.tasks), "nobody waits for ever"
    assert len(till.passed) == sum(not task.cancelled() for task in till.tasks)
    assert [number for _, number, _ in till.passed] == sorted(number for _, number, _ in till.passed)
    for (begins, _, _), last in itertools.product(till.passed, range(len(till.passed))):
        window_s = till.passed[last][0] - begins
        spent = sum(tokens for when, _, tokens in till.passed[: last + 1] if when >= begins)
        assert spent <= RATE * max(0.0, window_s) + BURST + 1e-3
    for when, _, _ in till.passed:
        assert not any(begins < when < ends - 1e-5 for begins, ends in pauses)
    assert till.bucket.level == BURST, "no token is lost for good"
