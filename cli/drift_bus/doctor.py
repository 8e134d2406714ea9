"""``drift-bus doctor``: looks at everything that a bus needs, and says what is wrong and what to do."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections import Counter
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from typing import Final

from rich.text import Text

from drift_bus.checks.bus import BusUnderTest, examine_bus
from drift_bus.checks.configuration import examine_configuration, publisher_settings
from drift_bus.checks.finding import Finding, skipped
from drift_bus.checks.rpc import examine_rpc
from drift_bus.errors import CommandError
from drift_bus.redaction import redact
from drift_bus.rendering import OutputConsole
from drift_bus.runtime import Stopped, interrupted_by, run_until_stopped
from drift_bus.settings import CommandSettings

__all__ = ["doctor"]

_MARKS: Final = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "failed": ("✗", "red"), "skipped": ("–", "dim")}
_WIDTH: Final = 28


def doctor(*, flags: Mapping[str, str | None], as_json: bool) -> int:
    """Prints a finding a line as they come; the status is 0 where nothing failed."""
    given = {name: value for name, value in flags.items() if value is not None}
    settings = CommandSettings.load(**given)
    printer = _Printer(as_json=as_json)
    logging.basicConfig(handlers=[logging.NullHandler()], force=True)  # what libraries log, the findings say

    async def run(stop: asyncio.Event) -> int:
        try:
            async with interrupted_by(stop):
                async for finding in _merged(*_examinations(settings, dict(given))):
                    printer.show(finding)
        except Stopped:
            return 130
        return printer.conclude()

    return run_until_stopped(run)


def _examinations(settings: CommandSettings, flags: dict[str, str | None]) -> list[AsyncIterator[Finding]]:
    async def configuration() -> AsyncIterator[Finding]:
        for finding in examine_configuration(settings, flags):
            yield finding

    async def nothing(finding: Finding) -> AsyncIterator[Finding]:
        yield finding

    topology, knows_limits = settings.topology, False
    rpc = nothing(skipped("rpc", "no RPC URL is set; an engine needs none", "set DRIFT_BUS_RPC_URL for a publisher"))
    if settings.has_endpoint:
        try:
            publisher = publisher_settings(flags)
            topology, knows_limits, rpc = publisher.topology(), True, examine_rpc(publisher)
        except CommandError as error:
            rpc = nothing(skipped("rpc", f"not without usable settings: {error}"))
    bus = BusUnderTest(settings.nats_servers, settings.nats_access(), topology, knows_limits, settings.has_endpoint)
    return [configuration(), rpc, examine_bus(bus)]


async def _merged(*examinations: AsyncIterable[Finding]) -> AsyncIterator[Finding]:
    """The findings of all, each as soon as it is there."""
    found: asyncio.Queue[Finding | None] = asyncio.Queue()

    async def drain(examination: AsyncIterable[Finding]) -> None:
        try:
            async for finding in examination:
                found.put_nowait(finding)
        finally:
            found.put_nowait(None)

    async with asyncio.TaskGroup() as tasks:
        for examination in examinations:
            tasks.create_task(drain(examination))
        running = len(examinations)
        while running:
            finding = await found.get()
            if finding is None:
                running -= 1
            else:
                yield finding


class _Printer:
    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._console = OutputConsole()
        self._counts: Counter[str] = Counter()

    def show(self, finding: Finding) -> None:
        self._counts[finding.result] += 1
        if self._as_json:
            sys.stdout.write(json.dumps(finding.as_json()) + "\n")
            sys.stdout.flush()
            return
        mark, style = _MARKS[finding.result]
        line = Text(f"{mark} ", style)
        line.append(f"{finding.check:<{_WIDTH}} ", "bold")
        line.append(redact(finding.what), "dim" if finding.result == "skipped" else "")
        self._console.print(line, soft_wrap=True)
        if finding.remedy:
            self._console.print(Text(f"{'':<{_WIDTH + 3}}→ {redact(finding.remedy)}", style), soft_wrap=True)

    def conclude(self) -> int:
        if not self._as_json:
            words = {"ok": "ok", "warning": "to look at", "failed": "failed", "skipped": "skipped"}
            self._console.print(", ".join(f"{self._counts[result]} {word}" for result, word in words.items()))
        return 1 if self._counts["failed"] else 0
