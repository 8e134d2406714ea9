"""The options of a feed, for those who pass them on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypedDict

from drift_schemas import Kind
from drift_schemas.access import NatsAccess

__all__ = ["FeedOptions", "Markets"]

Markets = str | Iterable[str] | None
"""Which markets a stream gives: one by its name, several by theirs, every one where ``None``."""


class FeedOptions(TypedDict, total=False):
    """The keyword arguments of ``DriftFeed``, which tells what they mean."""

    markets: Iterable[str] | None
    kinds: Iterable[Kind] | None
    prefix: str
    connect_timeout_s: float
    snapshot_timeout_s: float
    ping_interval_s: float
    reconcile_every_s: float
    inbox_prefix: str
    nats_options: Mapping[str, Any] | None
    access: NatsAccess | None
    domain: str | None
    clock: Callable[[], float]
    wall_clock: Callable[[], float]
