"""A capture through store and projection, offline: the same messages as the publisher made of the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from drift_publisher.lanes import Message
from drift_publisher.profile import AnyProfile
from drift_publisher.profiles import PROFILES
from drift_publisher.projector import Projector
from drift_publisher.source import AccountUpdate
from drift_publisher.store import AccountStore
from drift_schemas import Topology
from drift_schemas.capture import CapturedSlot, CaptureError, CaptureHeader, CaptureRecord

__all__ = ["profile_of", "project_capture"]


def project_capture(
    records: Iterable[CaptureRecord],
    header: CaptureHeader,
    *,
    topology: Topology | None = None,
    epoch: int = 0,
    store: AccountStore | None = None,
) -> Iterator[Message]:
    """Yields the messages that a publisher would have sent, in order, with the recorded times as the only clock.

    The reads before the first slot or notification fill the store; what they hold is published at the first slot, as
    a publisher does when its source gets live. Nothing is re-asserted, so the messages do not depend on when or how
    fast they are made: the same records give the same bytes. A message's ``expires_at`` is on the records' clock.

    Args:
        records: A capture's.
        header: The capture's: which program and cluster it is of.
        topology: Names of subjects; by default those of the prefix ``drift``.
        epoch: What the events say.
        store: Where the accounts go, for a look at what it refused; by default a new one.

    Raises:
        CaptureError: the capture is of a program that we have no profile of.
    """
    store = store or AccountStore(profile_of(header))
    now_ns = slot = 0
    outbox = _Outbox()
    projector = Projector(
        store,
        outbox,
        topology or Topology(),
        cluster=header.cluster,
        epoch=epoch,
        chain_slot=lambda: slot,
        clock=lambda: now_ns / 1e9,
        wall_ns=lambda: now_ns,
    )
    is_started = is_live = False
    for record in records:
        now_ns = record.received_ns
        if isinstance(record, CapturedSlot):
            slot = max(slot, record.slot)
            if not is_live:
                projector.publish_all()
            is_started = is_live = True
        else:
            is_started = is_started or not record.was_read
            touched = store.apply(AccountUpdate(*record))
            if is_started:
                projector.publish(touched)
        yield from outbox.take()


def profile_of(header: CaptureHeader) -> AnyProfile:
    """The profile of the program that a capture is of.

    Raises:
        CaptureError: there is none of that name.
    """
    profile = PROFILES.get(header.program)
    if profile is None:
        known = ", ".join(PROFILES)
        raise CaptureError(f"it is of the program {header.program!r}, which is none of {known}: update drift-bus")
    return profile


class _Outbox:
    """Keeps what the projector submits until it is taken."""

    def __init__(self) -> None:
        self.on_reassertion: Callable[[Message, int], None] | None = None
        self._messages: list[Message] = []

    def submit(self, message: Message) -> None:
        """Keeps a message."""
        self._messages.append(message)

    def take(self) -> list[Message]:
        """What was submitted since the last call."""
        taken, self._messages = self._messages, []
        return taken
