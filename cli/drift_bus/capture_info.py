"""``drift-bus capture info``: what a capture file holds."""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drift_bus.errors import CommandError

if TYPE_CHECKING:
    from drift_publisher.profile import AnyProfile
    from drift_schemas.capture import CapturedAccount, CaptureReader

__all__ = ["info", "opened"]


def opened(file: Path) -> CaptureReader:
    """The capture, or a clear error."""
    from drift_publisher.capture import open_capture
    from drift_schemas.capture import CaptureError

    try:
        return open_capture(file)
    except CaptureError as error:
        raise CommandError(f"{file}: {error}") from None
    except OSError as error:
        raise CommandError(f"cannot read {file}: {error.strerror or error}") from None


def info(file: Path, *, as_json: bool) -> int:
    """Reads the whole file and prints what it holds.

    Raises:
        CommandError: it is no capture, of an unknown program, or damaged; the text names the frame.
    """
    from drift_schemas.capture import CaptureError

    reader = opened(file)
    try:
        found = _count(reader)
    except CaptureError as error:
        raise CommandError(f"{file}: {error}") from None
    if as_json:
        sys.stdout.write(json.dumps(found) + "\n")
    else:
        sys.stdout.write("\n".join(_lines(file, found)) + "\n")
    sys.stdout.flush()
    return 0


@dataclass
class _Span:
    """The smallest and the largest of what was added."""

    first: int | None = None
    last: int | None = None

    def add(self, value: int) -> None:
        self.first = value if self.first is None else min(self.first, value)
        self.last = value if self.last is None else max(self.last, value)


def _count(reader: CaptureReader) -> dict[str, Any]:
    from drift_publisher.capture import profile_of
    from drift_schemas.capture import CapturedAccount

    profile = profile_of(reader.header)
    kinds: Counter[str] = Counter()
    addresses: set[str] = set()
    slots, times = _Span(), _Span()
    reads = accounts = told = 0
    frames = 1  # the header's
    for _, records in reader.frames():
        frames += 1
        for record in records:
            slots.add(record.slot)
            times.add(record.received_ns)
            if isinstance(record, CapturedAccount):
                accounts += 1
                reads += record.was_read
                kinds[_kind(record, profile)] += 1
                addresses.add(record.address)
            else:
                told += 1
    size = reader.path.stat().st_size
    seconds = 0.0 if times.first is None or times.last is None else (times.last - times.first) / 1e9
    return {
        **reader.header._asdict(),
        "bytes": size,
        "frames": frames,
        "begin_ns": times.first,
        "end_ns": times.last,
        "seconds": round(seconds, 3),
        "slots": told,
        "first_slot": slots.first,
        "last_slot": slots.last,
        "accounts": accounts,
        "reads": reads,
        "addresses": len(addresses),
        "by_kind": dict(kinds.most_common()),
        "updates_per_s": round((accounts - reads) / seconds, 1) if seconds else None,
        "bytes_per_update": round(size / accounts, 1) if accounts else None,
        "cut_short": None if reader.cut_short is None else str(reader.cut_short),
    }


def _kind(record: CapturedAccount, profile: AnyProfile) -> str:
    if record.data is None:
        return "missing"
    if record.owner == profile.program_id:
        for layout in (profile.perp_market, profile.spot_market, profile.state):
            if record.data[:8] == layout.discriminator:
                return layout.name
    return "oracle or other"


def _lines(file: Path, found: dict[str, Any]) -> list[str]:
    lines = [
        f"{file}: {found['program']} of {found['cluster']}, {found['commitment']}, by {found['source']}",
        f"  written by {found['software']}, genesis hash {found['genesis'] or 'not told'}",
        f"  {found['bytes']:,} bytes in {found['frames']:,} frames",
    ]
    if found["begin_ns"] is not None:
        begin, end = (datetime.fromtimestamp(found[name] / 1e9, UTC) for name in ("begin_ns", "end_ns"))
        lines += [
            f"  {begin:%Y-%m-%d %H:%M:%S} to {end:%Y-%m-%d %H:%M:%S} UTC, {found['seconds']:,.0f} s",
            f"  {found['slots']:,} slots told, from {found['first_slot']} to {found['last_slot']}",
        ]
    lines.append(
        f"  {found['accounts']:,} account updates of {found['addresses']:,} accounts, {found['reads']:,} of them reads"
    )
    lines += [f"    {kind:<16} {count:>10,}" for kind, count in found["by_kind"].items()]
    if found["updates_per_s"] is not None:
        lines.append(
            f"  {found['updates_per_s']:,} notifications a second, {found['bytes_per_update']} bytes an update"
        )
    if found["cut_short"] is not None:
        lines.append(f"  {found['cut_short']}")
    return lines
