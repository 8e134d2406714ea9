"""Where messages are put: the bus, or whatever else takes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from drift_publisher.lanes import Message

__all__ = ["Outbox"]


class Outbox(Protocol):
    """Takes messages and never waits.

    Attributes:
        on_reassertion: Told of each acknowledged re-assertion and its sequence in the stream.
    """

    on_reassertion: Callable[[Message, int], None] | None

    def submit(self, message: Message) -> None:
        """Takes a message."""
