"""What every replay can be told while it runs."""

from __future__ import annotations

from drift_subscribers.replay.pacing import Pacer, Speed

__all__ = ["Paced"]


class Paced:
    """Replayed time, and the handles on it."""

    def __init__(self, pacer: Pacer) -> None:
        self._pacer = pacer

    @property
    def now_ns(self) -> int:
        """Replayed time in nanoseconds since the epoch; 0 before it began."""
        return self._pacer.now_ns

    @property
    def speed(self) -> Speed:
        """Replayed seconds per second, or ``"max"``; may be set at any time."""
        return self._pacer.speed

    @speed.setter
    def speed(self, speed: Speed) -> None:
        self._pacer.speed = speed

    @property
    def is_paused(self) -> bool:
        """Replayed time stands still until :meth:`resume`."""
        return self._pacer.is_paused

    def pause(self) -> None:
        """Stops replayed time."""
        self._pacer.pause()

    def resume(self) -> None:
        """Lets replayed time go on from where it is."""
        self._pacer.resume()
