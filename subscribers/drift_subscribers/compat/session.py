"""One feed behind the old names: opened with patience by the first holder, closed with the last, in any event loop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Final

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from drift_schemas import InvalidPrefix, PriceEvent
from drift_subscribers.compat.client import FeedClient
from drift_subscribers.compat.day import Day, Days
from drift_subscribers.compat.networks import agrees, cluster_of
from drift_subscribers.compat.notes import LOG, NOTES
from drift_subscribers.compat.reader import Reader
from drift_subscribers.compat.settings import CompatSettings
from drift_subscribers.errors import FeedError
from drift_subscribers.feed import DriftFeed
from drift_subscribers.options import FeedOptions
from drift_subscribers.sharing import FeedPool, SharedFeed, shared_feed

__all__ = ["Session", "own_feed", "process_feed"]

_LONGEST_PAUSE_S: Final = 30.0
_LOOK_AGAIN_S: Final = 0.05
_LOOKS: Final = 100

OpenFeed = Callable[[CompatSettings], AbstractAsyncContextManager[DriftFeed]]


def process_feed(settings: CompatSettings) -> AbstractAsyncContextManager[DriftFeed]:
    """The feed that every engine of this process shares."""
    options: FeedOptions = {}  # only what differs, so that it is the feed of those who named nothing else
    if settings.subject_prefix != CompatSettings().subject_prefix:
        options["prefix"] = settings.subject_prefix
    if settings.access is not None:
        options["access"] = settings.access
    return shared_feed(settings.nats_servers, **options)


def own_feed(settings: CompatSettings) -> AbstractAsyncContextManager[DriftFeed]:
    """A feed with a connection of its own."""
    return DriftFeed(settings.nats_servers, prefix=settings.subject_prefix, access=settings.access)


class Session:
    """What the holders of one client share; ``ClientSlot`` counts them.

    A feed belongs to an event loop, so each loop that asks gets one; that of a closed loop is forgotten.

    Args:
        cluster: The cluster that was asked for.
        open_feed: Makes the feed, not yet opened.
    """

    def __init__(self, cluster: str, open_feed: OpenFeed) -> None:
        self.cluster: Final = cluster
        self.client: Final = FeedClient(self.reader_now)
        self.references = 0
        self.waiting = 0
        self._settings = CompatSettings.from_environment()
        self._pool = FeedPool(lambda _: _patiently(open_feed, self._settings, self._max_retries))
        self._leases: dict[asyncio.AbstractEventLoop, SharedFeed[DriftFeed]] = {}
        self._feeds: dict[asyncio.AbstractEventLoop, DriftFeed] = {}
        self._days: dict[asyncio.AbstractEventLoop, Days] = {}
        self._failed = False
        self._max_retries = self._settings.max_retries

    @property
    def connected(self) -> bool:
        """A feed has its connection; where the next call opens one in a new event loop, ``True``."""
        feeds = self._living()
        return any(feed.connected for feed in feeds.values()) if feeds else not self._failed

    async def open(self, *, max_retries: int | None = None) -> bool:
        """Opens the feed in this event loop, once for all who ask; ``False`` (and a log line) where it cannot be.

        Args:
            max_retries: Attempts, where those of the settings are not wanted; whoever opens decides.
        """
        loop = asyncio.get_running_loop()
        for gone in [known for known in list(self._leases) if known.is_closed()]:
            self._leases.pop(gone, None)
            self._feeds.pop(gone, None)
            self._days.pop(gone, None)
        lease = self._leases.get(loop)
        if loop not in self._feeds:
            self._max_retries = _attempts(max_retries, self._settings)
        if lease is None:
            lease = self._leases[loop] = self._pool.lease(self._settings.nats_servers, {})
        self._failed = True
        try:
            feed = self._feeds[loop] = await lease.acquire()
        except (FeedError, InvalidPrefix) as error:
            NOTES.say("open", text=f"no feed: {error}", level=logging.ERROR)
            return False
        except Exception as error:
            text = f"no feed: {type(error).__name__}; look at DRIFT_BUS_NATS_URL and DRIFT_BUS_SUBJECT_PREFIX"
            NOTES.say("open", text=text, level=logging.ERROR)
            return False
        self._failed = False
        NOTES.passed("open")
        found = cluster_of(feed)
        return found is None or agrees(found, self.cluster)

    async def reader(self) -> Reader | None:
        """Reads in this event loop, opening a feed in it where there is none."""
        if self.references and asyncio.get_running_loop() not in self._feeds and not await self.open():
            return None
        return self.reader_now()

    def reader_now(self) -> Reader | None:
        """Reads what is open already, in this thread's event loop or in another."""
        feeds = self._living()
        if not feeds or not self.references:
            return None
        loop = _running_loop()
        feed = feeds[loop] if loop in feeds else next(iter(feeds.values()))
        return Reader(feed, self.cluster, self._settings.ttl_s, lambda price: self._day(loop, price))

    async def reconnect(self) -> bool:
        """Closes the feed and opens it again; one that is reconnecting already is waited for instead."""
        if not self._living() or self.connected:
            await self.close()
            return await self.open()
        for _ in range(_LOOKS):
            await asyncio.sleep(_LOOK_AGAIN_S)
            if any(feed.connected for feed in self._living().values()):
                return True
        return False

    async def close(self) -> None:
        """Gives the feeds back, each in its own event loop."""
        leases, self._leases, self._feeds = self._leases, {}, {}
        days, self._days = self._days, {}
        for loop, lease in leases.items():
            if loop is asyncio.get_running_loop():
                if loop in days:
                    await days[loop].stop()
                await lease.release()
            elif not loop.is_closed():
                if loop in days:
                    asyncio.run_coroutine_threadsafe(days[loop].stop(), loop)
                asyncio.run_coroutine_threadsafe(lease.release(), loop)

    def _day(self, loop: asyncio.AbstractEventLoop | None, price: PriceEvent) -> Day | None:
        """The 24 hours before a price, where they are read in this event loop."""
        if loop is None or (feed := self._feeds.get(loop)) is None:
            return None
        if loop not in self._days:
            self._days[loop] = Days(feed)
        return self._days[loop].before(price)

    def _living(self) -> dict[asyncio.AbstractEventLoop, DriftFeed]:
        return {loop: feed for loop, feed in list(self._feeds.items()) if not loop.is_closed()}


def _attempts(wanted: object, settings: CompatSettings) -> int:
    """Whatever the old code gave: what is not a count is the settings' number, and 0 is one attempt, as there."""
    return max(1, wanted) if isinstance(wanted, int) and not isinstance(wanted, bool) else settings.max_retries


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


@asynccontextmanager
async def _patiently(open_feed: OpenFeed, settings: CompatSettings, attempts: int) -> AsyncIterator[DriftFeed]:
    """Opens a feed, trying again after random pauses that may double each time."""
    retrying = AsyncRetrying(
        stop=stop_after_attempt(attempts),
        wait=wait_random_exponential(multiplier=settings.retry_backoff_s, max=_LONGEST_PAUSE_S),
        retry=retry_if_exception_type((FeedError, OSError)),
        before_sleep=_tell_retry,
        reraise=True,
    )
    async with AsyncExitStack() as stack:

        async def attempt() -> DriftFeed:
            return await stack.enter_async_context(open_feed(settings))

        yield await retrying(attempt)


def _tell_retry(state: RetryCallState) -> None:
    error = None if state.outcome is None else state.outcome.exception()
    LOG.info("attempt %d at opening the feed failed (%s); trying again", state.attempt_number, error)
