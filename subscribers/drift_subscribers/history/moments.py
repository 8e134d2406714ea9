"""Points in time as people write them, in whole nanoseconds since the Unix epoch."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from drift_subscribers.history.errors import BadMoment

__all__ = ["format_moment", "parse_moment"]

_NS: Final = 1_000_000_000
_UNITS_NS: Final = {"ms": _NS // 1000, "s": _NS, "m": 60 * _NS, "h": 3600 * _NS, "d": 86_400 * _NS, "w": 604_800 * _NS}
_AGO: Final = re.compile(r"-((?:\d+(?:\.\d+)?(?:ms|[smhdw]))+)", re.ASCII)
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdw])", re.ASCII)
_EPOCH: Final = re.compile(r"\d{1,19}(?:\.\d{1,9})?", re.ASCII)
_ISO: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d)?)(?:\.(\d{1,9}))?)?\s?(Z|[+-]\d\d:?\d\d)?", re.ASCII | re.IGNORECASE
)
_LATEST_NS: Final = 2**63 - 1


def parse_moment(text: str, *, now_ns: int | None = None) -> int:
    """Returns the nanoseconds since the epoch that ``text`` says.

    ``2026-11-21T08:00:00.5Z``, ``2026-11-21 08:00+01:00``, ``2026-11-21``: ISO 8601; without a zone it is UTC.
    ``1795248000``, ``1795248000.25``: epoch; integers of 12 to 14 digits are milliseconds, 15 to 17
    microseconds, 18 and 19 nanoseconds. ``-2h``, ``-1d12h``, ``-90s``, ``now``: before ``now_ns``, by default
    this machine's wall clock.

    Raises:
        BadMoment: it is none of these.
    """
    text = text.strip()
    now_ns = time.time_ns() if now_ns is None else now_ns
    if text == "now":
        return now_ns
    if ago := _AGO.fullmatch(text):
        return _checked(text, now_ns - sum(_duration_ns(*part) for part in _PART.findall(ago[1])))
    if _EPOCH.fullmatch(text):
        return _checked(text, _epoch_ns(text))
    if iso := _ISO.fullmatch(text):
        return _checked(text, _iso_ns(text, *iso.groups()))
    raise BadMoment(f"{text!r} is no time: write 2026-11-21T08:00:00Z, an epoch such as 1795248000, or -2h")


def format_moment(moment_ns: int) -> str:
    """The moment as RFC 3339 in UTC, with as many decimals as it needs: ``2026-11-21T08:00:00.25Z``."""
    seconds, rest = divmod(moment_ns, _NS)
    fraction = f".{rest:09}".rstrip("0") if rest else ""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}{fraction}Z"


def _duration_ns(number: str, unit: str) -> int:
    return int(Decimal(number) * _UNITS_NS[unit])


def _epoch_ns(text: str) -> int:
    digits = len(text)
    if "." in text or digits < 12:
        return int(Decimal(text) * _NS)
    return int(text) * (1_000_000 if digits < 15 else 1000 if digits < 18 else 1)


def _iso_ns(text: str, date: str, clock: str | None, fraction: str | None, zone: str | None) -> int:
    try:
        whole = datetime.fromisoformat(f"{date}T{clock or '00:00'}{(zone or 'Z').upper()}")
    except ValueError as error:
        raise BadMoment(f"{text!r} is no time: {error}") from None
    return int(whole.timestamp()) * _NS + int((fraction or "0").ljust(9, "0"))


def _checked(text: str, moment_ns: int) -> int:
    if not 0 <= moment_ns <= _LATEST_NS:
        raise BadMoment(f"{text!r} is out of range: times go from 1970 to 2262")
    return moment_ns
