"""One feed for all engines of a process: the first reference opens it, the last one closes it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Final, Generic, TypeVar, Unpack, cast

from drift_subscribers.errors import FeedClosed
from drift_subscribers.feed import DriftFeed
from drift_subscribers.holding import Holding
from drift_subscribers.options import FeedOptions
from drift_subscribers.servers import server_list

__all__ = ["FeedPool", "SharedFeed", "shared_feed", "shared_feed_references"]

_F = TypeVar("_F")
_Url = str | Sequence[str]
_Key = tuple[asyncio.AbstractEventLoop, tuple[str, ...], Hashable]


class SharedFeed(Generic[_F]):
    """One reference to a shared feed; made by :func:`shared_feed`, for one holder.

    >>> async with shared_feed("nats://127.0.0.1:4222") as feed:
    ...     feed.price("SOL-PERP")

    Where lifetimes do not nest, ``acquire`` and ``release`` do the same. A reference that is never released
    keeps the feed open until its event loop ends.
    """

    def __init__(self, pool: FeedPool[_F], url: _Url, options: Mapping[str, Any]) -> None:
        self._pool = pool
        self._url = url
        self._options = options
        self._holding: Holding[_F] | None = None
        self._waiting = 0
        self._acquired = False

    async def acquire(self) -> _F:
        """Returns the open feed, the same for every reference to it; a second call does not count again.

        Raises:
            CannotConnect, SnapshotIncomplete: it could not be opened; the next call tries again.
            FeedClosed: this reference was released while the feed was being opened.
            RuntimeError: this reference is held in another event loop.
        """
        holding = self._held()
        if holding is None:
            holding = self._holding = self._pool._refer(self._url, self._options)
            self._acquired = False
        self._waiting += 1
        try:
            feed = await holding.resource()
        except BaseException:
            self._waiting -= 1
            if self._holding is holding and not self._waiting and not self._acquired:
                await self.release()
            raise
        self._waiting -= 1
        if self._holding is not holding:
            raise FeedClosed("this reference was released while it was being acquired")
        self._acquired = True
        return feed

    async def release(self) -> None:
        """Gives the reference back; the last one closes the feed. Does nothing where none is held.

        Raises:
            RuntimeError: this reference is held in another event loop.
        """
        holding, self._holding = self._held(), None
        if holding is not None:
            await self._pool._drop(holding)

    def _held(self) -> Holding[_F] | None:
        """What this reference holds; nothing when its event loop was closed under it."""
        if self._holding is None or self._holding.loop.is_closed():
            return None
        if self._holding.loop is not asyncio.get_running_loop():
            raise RuntimeError("this reference to a shared feed is held in another event loop: use it there")
        return self._holding

    async def __aenter__(self) -> _F:
        return await self.acquire()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.release()


class FeedPool(Generic[_F]):
    """The feeds that are shared: one for each event loop, address and set of options.

    Args:
        opener: Makes a feed from an address and options, as ``DriftFeed`` does; entering it opens it.
    """

    def __init__(self, opener: Callable[..., AbstractAsyncContextManager[_F]]) -> None:
        self._opener = opener
        self._holdings: dict[_Key, Holding[_F]] = {}
        self._lock = threading.Lock()  # event loops of several threads may meet here

    def lease(self, url: _Url, options: Mapping[str, Any]) -> SharedFeed[_F]:
        """Makes one reference, not yet acquired."""
        return SharedFeed(self, url, options)

    def references(self, url: _Url | None = None) -> int:
        """Counts the references acquired and not yet released, to one address or to any."""
        with self._lock:
            self._forget_closed_loops()
            wanted = None if url is None else _addresses(url)
            return sum(
                holding.references
                for (_, addresses, _), holding in self._holdings.items()
                if wanted is None or addresses == wanted
            )

    def _refer(self, url: _Url, options: Mapping[str, Any]) -> Holding[_F]:
        key = (asyncio.get_running_loop(), _addresses(url), _frozen(options))
        with self._lock:
            self._forget_closed_loops()
            holding = self._holdings.get(key)
            if holding is None:
                holding = self._holdings[key] = Holding(lambda: self._opener(url, **options), self._forget)
            holding.references += 1
            return holding

    async def _drop(self, holding: Holding[_F]) -> None:
        with self._lock:
            holding.references -= 1
            unused = not holding.references
        if unused:
            self._forget(holding)
            await holding.close()

    def _forget(self, holding: Holding[_F]) -> None:
        with self._lock:
            self._keep(lambda other: other is not holding)

    def _forget_closed_loops(self) -> None:
        self._keep(lambda holding: not holding.loop.is_closed())

    def _keep(self, wanted: Callable[[Holding[_F]], bool]) -> None:
        self._holdings = {key: holding for key, holding in self._holdings.items() if wanted(holding)}


_POOL: Final = FeedPool(DriftFeed)


def shared_feed(nats_url: _Url = "nats://127.0.0.1:4222", **options: Unpack[FeedOptions]) -> SharedFeed[DriftFeed]:
    """Makes a reference to this process's feed of one bus, for ``async with`` or ``acquire`` and ``release``.

    The first reference connects, the last release disconnects, and whoever comes while the feed is being
    opened waits for that one connection. The same address and options, compared as they are given, mean the
    same feed; other options mean another feed with a connection of its own. A feed belongs to the event loop
    in which it was acquired: another loop gets another feed.

    Args:
        nats_url: NATS server, or several of one cluster.
        options: Those of ``DriftFeed``.
    """
    given: dict[str, Any] = dict(options)
    for name in ("markets", "kinds"):
        if given.get(name) is not None:
            given[name] = tuple(given[name])
    return _POOL.lease(nats_url, given)


def shared_feed_references(nats_url: _Url | None = None) -> int:
    """Counts the references to shared feeds in this process: to those of one address, or to all."""
    return _POOL.references(nats_url)


def _addresses(url: _Url) -> tuple[str, ...]:
    return tuple(server_list(url))


def _frozen(value: Any) -> Hashable:
    """Something that is equal where options are equal; an object that cannot be compared is equal to itself."""
    if isinstance(value, Mapping):
        return frozenset((name, _frozen(part)) for name, part in value.items())
    if isinstance(value, list | tuple):
        return tuple(_frozen(part) for part in value)
    if isinstance(value, set | frozenset):
        return frozenset(_frozen(part) for part in value)
    try:
        hash(value)
    except TypeError:
        return id(value)
    return cast(Hashable, value)
