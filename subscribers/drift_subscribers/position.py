"""Whether the stream behind the messages is still the one we knew."""

from __future__ import annotations

from drift_subscribers.deliveries import Envelope

__all__ = ["StreamPosition"]


class StreamPosition:
    """The newest message seen of the stream, and an *anchor*: the newest change, which stays in the stream.

    In one stream a smaller sequence was stored earlier. A message with a smaller sequence and a later time
    stamp is a sign of another stream under the same name; looking up the anchor then tells for sure.
    """

    def __init__(self) -> None:
        self.newest = 0
        self.anchor = 0
        self.anchor_stamp_ns = 0
        self._newest_stamp_ns = 0

    def went_back(self, envelope: Envelope) -> bool:
        """This message should not come from the stream that we know."""
        return envelope.sequence <= self.newest and envelope.stamp_ns > self._newest_stamp_ns

    def observe(self, envelope: Envelope) -> None:
        """Moves forward with a message that was taken."""
        if envelope.sequence > self.newest:
            self.newest, self._newest_stamp_ns = envelope.sequence, envelope.stamp_ns
        if envelope.sequence > self.anchor and not envelope.reassertion:
            self.anchor, self.anchor_stamp_ns = envelope.sequence, envelope.stamp_ns

    def restart(self) -> None:
        """Begins anew with another stream."""
        self.__init__()  # type: ignore[misc]
