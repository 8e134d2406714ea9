"""The form of a finding, and the way from a failed check to one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, Literal

import nats.errors

from drift_bus.errors import CommandError, first_cause
from drift_bus.redaction import redact

__all__ = ["Examination", "Finding", "Result", "checked", "failed", "failed_by", "ok", "skipped", "warning"]

Result = Literal["ok", "warning", "failed", "skipped"]
LIMIT_S: Final = 20.0


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.

    Attributes:
        check: Its name: ``rpc reachable``, ``nats canary``, ….
        result: ``ok``, ``warning``, ``failed``, ``skipped``.
        what: What is so, in one line.
        remedy: What to do about it; empty where nothing is to be done.
        took_s: How long the check took, in seconds.
        details: Figures, by name.
    """

    check: str
    result: Result
    what: str
    remedy: str = ""
    took_s: float = 0.0
    details: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The same as JSON has it, without secrets."""
        fields = asdict(self).items()
        return {name: redact(value) if isinstance(value, str) else value for name, value in fields}


Examination = AsyncIterator[Finding]


def ok(check: str, what: str, **details: Any) -> Finding:
    """All is well."""
    return Finding(check, "ok", what, details=details)


def warning(check: str, what: str, remedy: str, **details: Any) -> Finding:
    """It works, and should be looked at."""
    return Finding(check, "warning", what, remedy, details=details)


def failed(check: str, what: str, remedy: str, **details: Any) -> Finding:
    """It does not work."""
    return Finding(check, "failed", what, remedy, details=details)


def failed_by(check: str, error: CommandError) -> Finding:
    """It does not work, as the command's own errors say it: what, a colon, the remedy."""
    what, _, remedy = str(error).rpartition(": ")
    return failed(check, what, remedy) if what else failed(check, remedy, "")


def skipped(check: str, what: str, remedy: str = "") -> Finding:
    """It was not looked at, and why."""
    return Finding(check, "skipped", what, remedy)


async def checked(check: str, look: Callable[[], Awaitable[Finding]], *, limit_s: float = LIMIT_S) -> Finding:
    """Runs one check within a time limit; whatever it raises is a finding too."""
    began = time.monotonic()
    try:
        async with asyncio.timeout(limit_s):
            finding = await look()
    except (TimeoutError, nats.errors.TimeoutError):
        finding = failed(check, f"no answer within {limit_s:g} s", "look at the server's log, its load and the network")
    except CommandError as error:
        finding = failed_by(check, error)
    except Exception as error:
        cause = first_cause(error)
        finding = failed(check, f"{type(cause).__name__}: {cause}", "see what the line says; --debug shows where")
    return replace(finding, check=check, took_s=round(time.monotonic() - began, 3))
