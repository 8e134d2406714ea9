"""``drift-bus watch``: events as they come, a line each."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence

from nats.aio.msg import Msg

from drift_bus import errors
from drift_bus.connection import connected
from drift_bus.patterns import matches, subject_patterns
from drift_bus.rendering import OutputConsole, event_line, json_line
from drift_bus.runtime import run_until_stopped, wait_for_stop
from drift_bus.settings import CommandSettings
from drift_schemas import REASSERTION_HEADER, Event, MessageError, Subjects, decode_event, decode_status

__all__ = ["watch"]

_SILENCE_S = 3.0


def watch(
    subjects: Sequence[str],
    *,
    nats_url: str | None,
    nats_domain: str | None,
    prefix: str | None,
    as_json: bool,
    seconds: float | None,
    count: int | None,
) -> int:
    """Prints every event on ``subjects`` until Ctrl-C, ``seconds`` or ``count`` end it."""
    settings = CommandSettings.load(nats_url=nats_url, nats_domain=nats_domain, subject_prefix=prefix)
    names = settings.topology.subjects
    patterns = subject_patterns(subjects, names)
    show = _as_json if as_json else _as_line(OutputConsole())

    async def run(stop: asyncio.Event) -> int:
        watcher = _Watcher(names, patterns, show, count, stop)
        async with connected(settings.nats_servers) as client:
            # Patterns may overlap, and each event is to be shown once: of several, we choose, not the server.
            await client.subscribe(patterns[0] if len(patterns) == 1 else names.everything, cb=watcher.on_message)
            await client.flush()
            first_wait_s = _SILENCE_S if seconds is None else min(_SILENCE_S, seconds)
            if not await wait_for_stop(stop, first_wait_s) and not watcher.seen and first_wait_s == _SILENCE_S:
                errors.complain(f"nothing on {', '.join(patterns)} yet: is a publisher running with this prefix?")
            await wait_for_stop(stop, None if seconds is None else seconds - first_wait_s)
        watcher.tell_refused()
        return 0

    return run_until_stopped(run)


Show = Callable[[str, Event, bool], None]


class _Watcher:
    def __init__(
        self, names: Subjects, patterns: Sequence[str], show: Show, count: int | None, stop: asyncio.Event
    ) -> None:
        self.seen = 0
        self._refused = 0
        self._names = names
        self._patterns = patterns
        self._show = show
        self._left = count
        self._stop = stop

    async def on_message(self, message: Msg) -> None:
        """Shows one message; never raises, for that would end the client's read loop."""
        if self._stop.is_set() or not any(matches(pattern, message.subject) for pattern in self._patterns):
            return
        self.seen += 1
        try:
            event = self._decode(message)
            if event is not None:
                self._show(message.subject, event, REASSERTION_HEADER in (message.headers or {}))
                self._count_down()
        except MessageError as error:
            self._refused += 1
            errors.complain(f"refused a message on {message.subject}: {error}")
        except (OSError, ValueError):
            errors.forget_stdout()
            self._stop.set()

    def tell_refused(self) -> None:
        """One last line where messages were refused."""
        if self._refused:
            errors.complain(f"refused {self._refused} malformed message{'s' if self._refused > 1 else ''} in all")

    def _decode(self, message: Msg) -> Event | None:
        if message.subject == self._names.status:
            return decode_status(message.data, message.headers)
        parsed = self._names.parse(message.subject)
        return decode_event(parsed[0], message.data, message.headers) if parsed else None

    def _count_down(self) -> None:
        if self._left is not None:
            self._left -= 1
            if self._left <= 0:
                self._stop.set()


def _as_json(subject: str, event: Event, _reassertion: bool) -> None:
    sys.stdout.write(json_line(event, subject=subject) + "\n")
    sys.stdout.flush()


def _as_line(console: OutputConsole) -> Show:
    def show(_subject: str, event: Event, reassertion: bool) -> None:
        console.print(event_line(event, reassertion=reassertion), soft_wrap=True)

    return show
