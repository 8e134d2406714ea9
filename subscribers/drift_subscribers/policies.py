"""What a stream does when its consumer is slower than the bus: chosen by name, bounded in every case."""

from __future__ import annotations

from dataclasses import dataclass

from drift_schemas import Kind

__all__ = ["Conflate", "DropOldest", "Lossless", "Policy", "default_policy"]


@dataclass(frozen=True, slots=True)
class Conflate:
    """Keeps the latest event of each market; a newer one replaces what is not yet delivered.

    Bounded by the number of markets. After an outage the consumer gets the latest value, not the ones
    between.
    """


@dataclass(frozen=True, slots=True)
class DropOldest:
    """Keeps the last ``capacity`` events; when they are full, the oldest goes and is counted.

    After an outage the consumer gets the latest value of each market, not the ones between.

    Attributes:
        capacity: Most events held for the consumer.
    """

    capacity: int = 1024

    def __post_init__(self) -> None:
        if self.capacity < 1:
            raise ValueError(f"DropOldest(capacity={self.capacity}): at least 1")


@dataclass(frozen=True, slots=True)
class Lossless:
    """Delivers every stored change once, in the stream's order per market.

    Memory stays bounded: a consumer that falls more than ``capacity`` events behind reads what it missed from
    the stream itself, at its own pace, and runs into live again. The same happens after an outage, and after
    a gap that could not be repaired at once. What the stream's limits have removed by then is gone.

    Attributes:
        capacity: Most events held in memory for the consumer.
    """

    capacity: int = 1024

    def __post_init__(self) -> None:
        if self.capacity < 1:
            raise ValueError(f"Lossless(capacity={self.capacity}): at least 1")


Policy = Conflate | DropOldest | Lossless


def default_policy(kind: Kind) -> Policy:
    """``Conflate`` for prices, whose latest is what counts; ``Lossless`` for everything else."""
    return Conflate() if kind == "price" else Lossless()
