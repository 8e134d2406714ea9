"""What stands between the feed and one consumer: one buffer per policy, each with its bound."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque

from drift_subscribers.deliveries import Delivery

__all__ = ["Buffer", "ConflatingBuffer", "DroppingBuffer"]


class Buffer(ABC):
    """Takes changes from the feed without waiting or growing without bound; gives them to one consumer."""

    def __init__(self) -> None:
        self.conflated = 0
        self.dropped = 0
        self.repaired = 0

    @property
    def behind(self) -> bool:
        """There is something to read from the stream before live goes on."""
        return False

    @abstractmethod
    def __len__(self) -> int:
        """Changes in memory."""

    @abstractmethod
    def offer(self, delivery: Delivery) -> None:
        """Takes one change from the feed."""

    @abstractmethod
    def take(self) -> Delivery | None:
        """Gives the next change in memory to the consumer; ``None`` when there is none."""

    @abstractmethod
    def oldest(self) -> Delivery | None:
        """The change that has waited longest."""

    @abstractmethod
    def put_first(self, delivery: Delivery) -> None:
        """Takes a value that was in memory when the stream was opened."""

    @abstractmethod
    def mark_hole(self, token: str, sequence: int) -> None:
        """Hears that the feed missed the message at ``sequence``, maybe others before; the stream has them."""

    @abstractmethod
    def restart(self) -> None:
        """Hears that the stream was recreated: sequences begin anew."""

    @abstractmethod
    async def catch_up(self) -> None:
        """Reads something from the stream into memory; may return without, for the caller to look again."""


class _LiveBuffer(Buffer):
    """A buffer whose policy does not ask for what was missed."""

    def put_first(self, delivery: Delivery) -> None:
        """Takes it like a change."""
        self.offer(delivery)

    def mark_hole(self, token: str, sequence: int) -> None:
        """Nothing to do: the next change is what counts."""

    def restart(self) -> None:
        """Nothing to do: no sequence is kept."""

    async def catch_up(self) -> None:
        """Nothing to do: there is never a hole to read."""


class ConflatingBuffer(_LiveBuffer):
    """The latest change of each market, in the order in which the markets changed first."""

    def __init__(self) -> None:
        super().__init__()
        self._latest: dict[str, Delivery] = {}

    def __len__(self) -> int:
        """Markets with a change."""
        return len(self._latest)

    def offer(self, delivery: Delivery) -> None:
        """Takes a change in place of an older one of the same market."""
        token = delivery.envelope.token
        self.conflated += token in self._latest
        self._latest[token] = delivery

    def take(self) -> Delivery | None:
        """Gives the latest of the market that has waited longest."""
        return self._latest.pop(next(iter(self._latest))) if self._latest else None

    def oldest(self) -> Delivery | None:
        """The change that came first of those that wait."""
        return min(self._latest.values(), key=lambda delivery: delivery.received_at, default=None)


class DroppingBuffer(_LiveBuffer):
    """The last changes; the oldest makes room for the newest."""

    def __init__(self, capacity: int) -> None:
        super().__init__()
        self._waiting: deque[Delivery] = deque(maxlen=capacity)

    def __len__(self) -> int:
        """Changes that wait."""
        return len(self._waiting)

    def offer(self, delivery: Delivery) -> None:
        """Takes a change; the oldest goes when there is no room."""
        self.dropped += len(self._waiting) == self._waiting.maxlen
        self._waiting.append(delivery)

    def take(self) -> Delivery | None:
        """Gives the oldest change."""
        return self._waiting.popleft() if self._waiting else None

    def oldest(self) -> Delivery | None:
        """The change at the head."""
        return self._waiting[0] if self._waiting else None
