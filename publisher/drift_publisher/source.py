"""Where account updates come from: the form that every source has, and what it tells about itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, Protocol

from drift_publisher.redact import redact

__all__ = ["AccountUpdate", "Deliver", "Source", "SourceState", "SourceStatus", "Subscriptions", "Tap"]

_LEAP_SLOTS: Final = 1_000
_MOST_SLOTS_PER_S: Final = 10

SourceState = Literal["connecting", "live", "polling", "stalled", "stopped"]


class AccountUpdate(NamedTuple):
    """One account as the chain had it at ``slot``.

    Attributes:
        address: Base58.
        owner: Program that owns it, base58.
        slot: Slot of the context in which the node reported it.
        data: The account's bytes, ``None`` where the account does not exist.
        received_ns: When the answer or notification arrived, Unix nanoseconds.
        was_read: We asked for it; a notification of the same slot is at least as new.
    """

    address: str
    owner: str
    slot: int
    data: bytes | None
    received_ns: int
    was_read: bool = False


Deliver = Callable[[AccountUpdate], None]


@dataclass(slots=True)
class Subscriptions:
    """What a source is to deliver.

    Attributes:
        programs: Program id and account discriminator: every account that begins with it.
        accounts: Single accounts, by address.
    """

    programs: tuple[tuple[str, bytes], ...] = ()
    accounts: tuple[str, ...] = ()


@dataclass(slots=True)
class SourceStatus:
    """What a source tells about itself; counts are totals since the start.

    ``slot`` and what follows from it is of nodes that were proven current, and of nobody else.

    Attributes:
        silence_s: Longest time without a new slot before the source counts as stalled.
        has_heard_slots: Some node told one, proven or not.
        histories: Histories of slots: 0 before a node was proven; one more each time that slots start over lower.
        renewed: Subscriptions that fell silent and were made anew.
        notified: Reports about accounts that came by subscription, without a request.
        reread: Accounts that were read again because nobody told of them.
        rereads_failed: Requests for them without an answer of use.
        on_slot: Hears every slot that is told, new or not, proven or not.
        on_account: Hears every report about an account likewise.
        on_history: Called when a history of slots begins.
    """

    silence_s: float = 5.0
    state: SourceState = "connecting"
    reason: str = "opening the first socket"
    slot: int = 0
    slot_at_ns: int | None = None
    slot_at: float = 0.0
    has_heard_slots: bool = False
    histories: int = 0
    sockets: int = 0
    subscriptions: int = 0
    reconnects: int = 0
    renewed: int = 0
    notified: int = 0
    reread: int = 0
    rereads_failed: int = 0
    on_slot: Callable[[int], None] | None = None
    on_account: Callable[[AccountUpdate], None] | None = None
    on_history: Callable[[], None] | None = None

    @property
    def is_alive(self) -> bool:
        """New slots prove that what the source delivers is current."""
        return self.state in ("live", "polling") and self.silent_for_s() <= self.silence_s

    def silent_for_s(self) -> float:
        """Seconds since the last new slot; endless before the first."""
        return time.monotonic() - self.slot_at if self.slot_at else float("inf")

    def is_from_the_future(self, slot: int) -> bool:
        """It is further ahead than the chain can have come since the last slot.

        Taken in, it would make every true slot after it look old.
        """
        if self.slot_at_ns is None:
            return False
        since_s = max(self.silent_for_s(), (time.time_ns() - self.slot_at_ns) / 1e9)
        return slot - self.slot > _LEAP_SLOTS + _MOST_SLOTS_PER_S * since_s

    def note_slot(self, slot: int) -> bool:
        """Takes in a slot of a proven node; says whether it is a new one."""
        if slot <= self.slot:
            return False
        self.slot, self.slot_at_ns, self.slot_at = slot, time.time_ns(), time.monotonic()
        return True

    def note_alive(self) -> None:
        """A proven node goes on, and has not caught up with the newest slot yet."""
        self.slot_at = time.monotonic()

    def begin_history(self, slot: int) -> None:
        """From now on slots are counted from here, whatever was known before."""
        self.histories += 1
        self.slot, self.slot_at_ns, self.slot_at = slot, time.time_ns(), time.monotonic()
        if self.on_history is not None:
            self.on_history()

    def hear_slot(self, slot: int) -> None:
        """Lets whoever listens hear a slot."""
        self.has_heard_slots = True
        if self.on_slot is not None:
            self.on_slot(slot)

    def hear_account(self, update: AccountUpdate) -> None:
        """Lets whoever listens hear a report about an account."""
        if self.on_account is not None:
            self.on_account(update)

    def lost(self, reason: str) -> None:
        """The source delivers nothing more for now."""
        self.state = "stalled" if self.slot or self.has_heard_slots else "connecting"
        self.reason = redact(reason)

    def explain(self, reason: str) -> None:
        """Says why it is not alive, where it is not."""
        if self.state in ("connecting", "stalled"):
            self.reason = redact(reason)


class Source(Protocol):
    """Delivers account updates and slots until it is cancelled; survives whatever the endpoint does."""

    async def run(self, deliver: Deliver) -> None:
        """Runs until cancelled, and hands each update to ``deliver``."""


class Tap(Protocol):
    """Hears what a source tells, before anybody judges it."""

    def account(self, update: AccountUpdate) -> None:
        """One report about an account, read or notified."""

    def slot(self, slot: int) -> None:
        """One slot."""
