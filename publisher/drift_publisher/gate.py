"""What a node tells waits here until the node is proven current."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from drift_publisher.source import AccountUpdate, Deliver

__all__ = ["Gate"]

_MOST_ACCOUNTS: Final = 10_000


class Gate:
    """Holds the newest report of each account while it is shut; hands on everything at once while it is open.

    Memory is bounded by the number of accounts: an older report of the same account is replaced, and beyond
    ``most_accounts`` a report of another one is dropped, which the read that opens the gate makes up for.

    Args:
        deliver: Takes what is let through.
        most_accounts: So many accounts are held at most.

    Attributes:
        is_open: What is told goes through.
        dropped: Reports that found no room.
    """

    def __init__(self, deliver: Deliver, *, most_accounts: int = _MOST_ACCOUNTS) -> None:
        self.is_open = False
        self.dropped = 0
        self._deliver = deliver
        self._most_accounts = most_accounts
        self._held: dict[str, AccountUpdate] = {}

    def tell(self, update: AccountUpdate) -> None:
        """Hands a report on, or holds it."""
        if self.is_open:
            self._deliver(update)
            return
        held = self._held.get(update.address)
        if held is None and len(self._held) >= self._most_accounts:
            self.dropped += 1
        elif held is None or update.slot >= held.slot:
            self._held[update.address] = update

    def open(self, reads: Iterable[AccountUpdate]) -> None:
        """Lets everything through from now on: first the newer of what was read and what was held of each account.

        A notification of the slot of a read is at least as new as the read.
        """
        self.is_open = True
        for read in reads:
            held = self._held.get(read.address)
            if held is None or held.slot < read.slot:
                self._held.pop(read.address, None)
                self._deliver(read)
        held_back, self._held = self._held, {}
        for update in held_back.values():
            self._deliver(update)
