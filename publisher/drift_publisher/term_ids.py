"""Message ids of one term's re-assertions: told apart by a count, never by a clock."""

from __future__ import annotations

import itertools
import secrets

__all__ = ["TermIds"]


class TermIds:
    """Gives out ids that no other message has.

    A clock will not do: it may be set back, or be behind that of the former leader, and then the server takes a new
    re-assertion for a copy of an old one. The epoch alone will not do either: it starts over with a stream that
    somebody deleted, while buckets still know the old ids. So a term has a random mark of its own.

    Args:
        epoch: The term's number.
    """

    __slots__ = ("_count", "_prefix")

    def __init__(self, epoch: int) -> None:
        self._prefix = f"r{epoch}.{secrets.token_hex(4)}"
        self._count = itertools.count(1)

    def next(self) -> str:
        """The next id; it holds a dot, and is to stand behind a name of the subject."""
        return f"{self._prefix}.{next(self._count)}"
