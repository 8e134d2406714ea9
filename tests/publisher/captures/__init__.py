"""Captures of oddities, and what the pipeline makes of them: a bug that was seen becomes a file here, and a test.

``run("name")`` sends ``name.capture.zst`` of this folder through the real store and projection, with the recorded times
as the clock. ``python -m tests.publisher.captures.oddities`` says how the file beside it was made.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from drift_publisher.capture import open_capture, project_capture
from drift_publisher.profiles import PROFILES
from drift_publisher.store import AccountStore
from drift_schemas import MarketDataEvent, decode_event
from drift_schemas.capture import CaptureHeader, CaptureRecord
from tests.support.captures import HEADER

__all__ = ["Outcome", "pipeline", "run"]


@dataclass
class Outcome:
    """What the pipeline made of a capture: events by ``kind.market`` in order, and the store as it was left."""

    store: AccountStore
    events: defaultdict[str, list[MarketDataEvent]] = field(default_factory=lambda: defaultdict(list))


def pipeline(records: Iterable[CaptureRecord], header: CaptureHeader = HEADER) -> Outcome:
    """Sends records through store and projection."""
    outcome = Outcome(AccountStore(PROFILES[header.program]))
    for message in project_capture(records, header, store=outcome.store):
        _, _, kind, market = message.subject.split(".", 3)
        event = decode_event(kind, message.payload, message.headers)  # type: ignore[arg-type]
        outcome.events[f"{kind}.{market}"].append(event)
    return outcome


def run(name: str) -> Outcome:
    """Sends a capture of this folder through store and projection; fails where the file is not whole."""
    reader = open_capture(Path(__file__).with_name(f"{name}.capture.zst"))
    outcome = pipeline(reader.records(), reader.header)
    assert reader.cut_short is None
    return outcome
