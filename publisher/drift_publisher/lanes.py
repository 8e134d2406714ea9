"""One lane per subject: what is on its way, in order, and the newest message that waits behind it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from drift_publisher.asking import WRONG_SEQUENCE

__all__ = ["LONGEST_WAIT_S", "WINDOW", "Ack", "Lane", "Message", "Sent", "parse_ack"]

WINDOW: Final = 32
"""Messages of one subject that may be on their way at once."""

LONGEST_WAIT_S: Final = 0.5
"""After so long without an acknowledgement, nothing more is sent on a subject."""


def _nothing(_: bool) -> None:
    """What most messages do when they turn out to be duplicates."""


class Message(NamedTuple):
    """One event on its way to the stream.

    Attributes:
        subject: Ingress subject.
        payload: Packed event.
        headers: NATS headers; they hold the message id, so that a retry stays one message.
        expires_at: Monotonic time after which the message is stale and must not be sent any more.
        on_stored: Called once the stream has acknowledged it as new.
        on_duplicate: Called in its place when the stream has had a message of this id before; told whether this very
            message was sent before, so that it may be the one.
        made_at: Monotonic time at which it was made.
        news_age_s: How long ago the notification arrived that brought it, at that time; ``None`` where none did.
        is_reassertion: It confirms what the stream has.
        is_withdrawn: Tells that its subject is another market's by now, so that it must not be sent any more.
    """

    subject: str
    payload: bytes
    headers: dict[str, str]
    expires_at: float
    on_stored: Callable[[], None]
    made_at: float = 0.0
    news_age_s: float | None = None
    is_reassertion: bool = False
    is_withdrawn: Callable[[], bool] = bool
    on_duplicate: Callable[[bool], None] = _nothing

    def is_pointless(self, now: float) -> bool:
        """It is stale, or its subject is not its market's any more."""
        return now > self.expires_at or self.is_withdrawn()


class Sent(NamedTuple):
    """A message on its way.

    Attributes:
        at: Monotonic time of its sending.
        fence: Number of the fence that it has taken along; ``None`` once the server has answered.
    """

    message: Message
    at: float
    fence: int | None


class Ack(NamedTuple):
    """The stream's answer.

    Attributes:
        error: Why the message is not stored; empty where it is.
        duplicate: It was stored before.
        sequence: Where; 0 unless it was wanted.
        is_fenced: The fence that the message carried has moved on.
        is_heard: A stream answered, and not NATS in its place.
    """

    error: str
    duplicate: bool = False
    sequence: int = 0
    is_fenced: bool = False
    is_heard: bool = True


_STORED: Final = Ack("")


@dataclass(slots=True)
class Lane:
    """A subject's traffic.

    Attributes:
        number: Names the lane in acknowledgement subjects.
        sent: What is on its way by serial, oldest first.
        queued: Messages handed to the sender that it has not sent yet.
        waiting: The newest message that found no room; a newer one replaces it.
        is_retrying: The last message is being sent again, so nothing may overtake it.
        acked: Messages acknowledged since somebody last counted them, with the times of sending and acknowledgement.
    """

    number: int
    sent: dict[int, Sent] = field(default_factory=dict)
    queued: int = 0
    waiting: Message | None = None
    is_retrying: bool = False
    acked: list[tuple[Message, float, float]] = field(default_factory=list)
    _serial: int = 0

    def has_room(self, now: float) -> bool:
        """Another message may go: few are on their way, and the oldest of them not for long.

        A server that has stopped reading gets no more than it would have to store late.
        """
        if self.is_retrying or len(self.sent) + self.queued >= WINDOW:
            return False
        oldest = next(iter(self.sent.values()), None)
        return oldest is None or now - oldest.at < LONGEST_WAIT_S

    @property
    def is_empty(self) -> bool:
        """Everything is acknowledged or given up."""
        return not (self.sent or self.queued or self.waiting or self.is_retrying)

    def clear(self) -> None:
        """Forgets all of it; answers that still come find nothing."""
        self.sent.clear()
        self.queued, self.waiting, self.is_retrying = 0, None, False

    def note_sent(self, message: Message, now: float, fence: int) -> int:
        """Notes that ``message`` goes out now, behind ``fence``; returns its serial."""
        self._serial += 1
        self.sent[self._serial] = Sent(message, now, fence)
        return self._serial

    def overdue(self, sent_before: float) -> list[int]:
        """Serials of the messages sent before that time and not acknowledged."""
        return [serial for serial, sent in self.sent.items() if sent.at < sent_before]

    def is_newest(self, serial: int) -> bool:
        """No later message of this subject is on its way or waits."""
        return self.waiting is None and not self.queued and serial == next(reversed(self.sent), None)


def parse_ack(data: bytes, status: str | None, *, with_sequence: bool = False) -> Ack:
    """Reads a publish acknowledgement, or the status line that NATS sends in its place."""
    if status:
        return Ack(f"status {status}: no stream listens", is_heard=False)
    if not with_sequence and data.startswith(b'{"stream":') and b'"duplicate"' not in data:
        return _STORED
    try:
        answer = json.loads(data)
    except ValueError:
        return Ack("an acknowledgement that is no JSON")
    if error := answer.get("error"):
        code = error.get("err_code")
        return Ack(f"{code} {error.get('description')}", is_fenced=code == WRONG_SEQUENCE)
    return Ack("", bool(answer.get("duplicate", False)), int(answer.get("seq", 0)))
