"""One client for many holders: made by the first, the same for all, gone with the last."""

from __future__ import annotations

import threading
from collections.abc import Callable

from drift_subscribers.compat.networks import known_cluster
from drift_subscribers.compat.notes import NOTES
from drift_subscribers.compat.session import OpenFeed, Session

__all__ = ["ClientSlot"]


class ClientSlot:
    """Holds at most one session and counts who holds it; threads with event loops of their own may share it.

    Args:
        open_feed: Tells how a feed is made, at each new session.
    """

    def __init__(self, open_feed: Callable[[], OpenFeed]) -> None:
        self._open_feed = open_feed
        self._lock = threading.Lock()
        self._session: Session | None = None

    @property
    def session(self) -> Session | None:
        """What is held, or being opened, now."""
        return self._session

    @property
    def references(self) -> int:
        """Takes that succeeded, minus returns."""
        session = self._session
        return 0 if session is None else session.references

    async def take(self, network: object, *, max_retries: int | None = None) -> Session | None:
        """One more reference; ``None`` where nothing could be opened, or another network's client is held.

        Args:
            network: The network that is wanted.
            max_retries: Attempts at opening, where the settings' are not wanted.
        """
        cluster = known_cluster(network)
        if cluster is None:
            return None
        with self._lock:
            session = self._session
            if session is None:
                session = self._session = Session(cluster, self._open_feed())
            if session.cluster != cluster:
                text = f"{session.cluster} is held, {cluster} was asked for: release it first, or use another process"
                NOTES.say("other network held", session.cluster, cluster, text=text)
                return None
            session.waiting += 1
        opened = False
        try:
            opened = await session.open(max_retries=max_retries)
        finally:
            with self._lock:
                session.waiting -= 1
                session.references += opened
            await self._close_unused(session)
        return session if opened else None

    async def give_back(self) -> None:
        """One reference less; the last one closes the feed. Without one it does nothing but say so once."""
        with self._lock:
            session = self._session
            if session is None or not session.references:
                NOTES.say("released too often", text="a client was released that nobody holds")
                return
            session.references -= 1
        await self._close_unused(session)

    async def reopen(self) -> bool:
        """Reconnects under the same client; ``False`` where nothing is held or there is no connection afterwards."""
        session = self._session
        return session is not None and session.references > 0 and await session.reconnect()

    async def _close_unused(self, session: Session) -> None:
        with self._lock:
            if session.references or session.waiting:
                return
            if self._session is session:
                self._session = None
        await session.close()
