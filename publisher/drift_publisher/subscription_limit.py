"""How many subscriptions a socket of an endpoint may have: as set, or as it has shown by cutting or refusing."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Final

from drift_publisher.subscription_table import Request

__all__ = ["SubscriptionLimit", "share_out"]

_LEAST: Final = 5


class SubscriptionLimit:
    """The limit of one endpoint; the heartbeat of each socket counts.

    A socket that is cut while it subscribes may have met the limit, or bad luck. So the next one asks one by one from
    there on, and only what happens at the same number twice is taken for the limit. Below five nothing is learned: an
    endpoint that gives so little is broken, and splitting would storm it with sockets.

    Args:
        known: The limit as set; ``None`` where nobody knows one.

    Attributes:
        most: Subscriptions that a socket may have; ``None`` as long as no limit has shown.
    """

    def __init__(self, known: int | None = None) -> None:
        self.most = known
        self._cut_after: int | None = None
        self._is_probed = False

    @property
    def at_once(self) -> int | None:
        """Subscriptions that a new socket may ask for at once, before it goes on one by one; ``None`` means all."""
        return self._cut_after

    def cut_after(self, confirmed: int, *, one_by_one: bool) -> bool:
        """A socket was cut with so many subscriptions, waiting for the next; says whether that taught a limit."""
        is_proven = one_by_one and self._is_probed and confirmed == self._cut_after and confirmed >= _LEAST
        self._cut_after, self._is_probed = confirmed, one_by_one
        return is_proven and self._learn(confirmed)

    def refused_after(self, confirmed: int) -> bool:
        """A socket goes on, and takes no more than so many whatever we wait; says whether that taught a limit."""
        return confirmed >= _LEAST and self._learn(confirmed)

    def made(self) -> None:
        """A socket has all that it was to carry: what went wrong before was no limit."""
        self._cut_after, self._is_probed = None, False

    def _learn(self, most: int) -> bool:
        is_news = self.most is None or most < self.most
        self.most = most
        self.made()
        return is_news


def share_out(
    wanted: Iterable[Request], held: Sequence[Iterable[Request]], most: int | None
) -> list[tuple[Request, ...]]:
    """Which socket carries what, over as few sockets as it takes.

    What a socket has stays where it is as long as that needs no further socket.

    Args:
        wanted: The union, without heartbeats.
        held: What each socket carries now.
        most: Subscriptions that a socket may have, its heartbeat included; ``None`` for no limit.
    """
    union = list(dict.fromkeys(wanted))
    room = len(union) if most is None else max(1, most - 1)
    needed = max(1, math.ceil(len(union) / room)) if union else 1
    left = set(union)
    shares: list[list[Request]] = []
    for carried in held[:needed]:
        kept = [request for request in carried if request in left][:room]
        left.difference_update(kept)
        shares.append(kept)
    shares += [[] for _ in range(needed - len(shares))]
    rest = iter([request for request in union if request in left])
    for share in shares:
        share.extend(islice(rest, room - len(share)))
    return [tuple(share) for share in shares]
