"""``drift-bus replay``: history once more, to stdout or onto a bus of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing

from nats.aio.client import Client

from drift_bus.connection import connected
from drift_bus.errors import CommandError, UsageProblem, complain
from drift_bus.history import chosen_kinds, chosen_markets, history_errors_in_one_line
from drift_bus.rendering import OutputConsole, event_line, json_line
from drift_bus.runtime import Stopped, interrupted_by, run_until_stopped
from drift_bus.settings import CommandSettings
from drift_schemas import MarketDataEvent, MessageError, decode_event
from drift_subscribers.history import StoredMessage, format_moment
from drift_subscribers.replay import (
    BadReplayName,
    BadSpeed,
    BusReplay,
    Replay,
    ReplayError,
    ReplayOptions,
    Speed,
)

__all__ = ["replay"]

_INTERRUPTED = 130
Show = Callable[[StoredMessage, MarketDataEvent], None]


def replay(
    *,
    nats_url: str | None,
    nats_domain: str | None,
    prefix: str | None,
    since: str | None,
    until: str | None,
    first_sequence: int | None,
    last_sequence: int | None,
    kinds: Sequence[str] | None,
    markets: Sequence[str] | None,
    speed: str | None,
    onto: str | None,
    replace: bool,
    funding_history: bool,
    count: int | None,
    as_json: bool,
) -> int:
    """Prints the events of a part of the history, or publishes them under ``replay.<onto>``; 130 where stopped."""
    settings = CommandSettings.load(nats_url=nats_url, nats_domain=nats_domain, subject_prefix=prefix)
    if onto is None and replace:
        raise UsageProblem("--replace is for --onto NAME")
    if onto is not None and count is not None:
        raise UsageProblem("--count is for stdout; end a replay onto a bus with --to or --last-sequence")
    options: ReplayOptions = {
        "since": since,
        "until": until,
        "first_sequence": first_sequence,
        "last_sequence": last_sequence,
        "kinds": chosen_kinds(kinds),
        "markets": chosen_markets(markets),
        "prefix": settings.subject_prefix,
        "domain": settings.nats_domain,
        "stream": settings.topology.funding_history if funding_history else None,
    }

    async def run(stop: asyncio.Event) -> int:
        with _errors_in_one_line():
            async with connected(settings.nats_servers) as client:
                if onto is not None:
                    pace = _speed(speed, "1")
                    return await _onto_bus(client, onto, pace, options, stop, replace=replace, as_json=as_json)
                return await _to_stdout(client, _speed(speed, "max"), options, stop, count=count, as_json=as_json)

    return run_until_stopped(run)


async def _to_stdout(
    client: Client, speed: Speed, options: ReplayOptions, stop: asyncio.Event, *, count: int | None, as_json: bool
) -> int:
    show = _as_json if as_json else _as_line(OutputConsole())
    printed = refused = 0
    try:
        async with (
            interrupted_by(stop),
            Replay(client, speed=speed, **options) as replaying,
            aclosing(replaying.messages()) as messages,
        ):
            async for message in messages:
                event = _decoded(message)
                if event is None:
                    refused += 1
                    continue
                show(message, event)
                if speed != "max":
                    sys.stdout.flush()
                printed += 1
                if printed == count:
                    break
    except Stopped:
        complain(f"stopped after {printed} event{'' if printed == 1 else 's'}")
        return _INTERRUPTED
    finally:
        sys.stdout.flush()
    if refused:
        complain(f"{refused} message{'' if refused == 1 else 's'} could not be read, and left out")
    return 0


async def _onto_bus(
    client: Client,
    name: str,
    speed: Speed,
    options: ReplayOptions,
    stop: asyncio.Event,
    *,
    replace: bool,
    as_json: bool,
) -> int:
    async with BusReplay(client, name, speed=speed, replace=replace, **options) as replaying:
        complain(
            f"replaying {replaying.selection.describe()} onto replay.{name}.>; an engine reads it with "
            f'DriftFeed(prefix="replay.{name}", clock=ReplayClock())'
        )
        stopping = asyncio.create_task(_stop_when(stop, replaying), name="stop")
        try:
            complete = await replaying.run()
        finally:
            stopping.cancel()
            await asyncio.gather(stopping, return_exceptions=True)
        at = format_moment(replaying.now_ns)
    if as_json:
        facts = {"replay": name, "changes": replaying.changes, "complete": complete, "replayed_until": at}
        sys.stdout.write(json.dumps(facts) + "\n")
    else:
        changes = f"{replaying.changes} change{'' if replaying.changes == 1 else 's'}"
        sys.stdout.write(f"{'complete' if complete else 'interrupted'} at {at}: {changes} on replay.{name}.>\n")
    return 0 if complete else _INTERRUPTED


async def _stop_when(stop: asyncio.Event, replaying: BusReplay) -> None:
    await stop.wait()
    replaying.stop()


def _speed(typed: str | None, default: str) -> Speed:
    text = (typed or default).strip().lower()
    if text == "max":
        return "max"
    try:
        return float(text)
    except ValueError:
        raise UsageProblem(f"--speed {typed!r}: give a number above 0, or max") from None


def _decoded(message: StoredMessage) -> MarketDataEvent | None:
    if message.kind is None:
        return None
    try:
        return decode_event(message.kind, message.payload, message.headers)
    except MessageError as error:
        complain(f"refused sequence {message.sequence} on {message.subject}: {error}")
        return None


def _as_json(message: StoredMessage, event: MarketDataEvent) -> None:
    more = {"subject": message.subject, "replay": True, "sequence": message.sequence}
    sys.stdout.write(json_line(event, **more, stored_at_ns=message.stored_at_ns) + "\n")


def _as_line(console: OutputConsole) -> Show:
    def show(message: StoredMessage, event: MarketDataEvent) -> None:
        console.print(event_line(event, now_ns=message.stored_at_ns), soft_wrap=True)

    return show


@contextlib.contextmanager
def _errors_in_one_line() -> Iterator[None]:
    with history_errors_in_one_line():
        try:
            yield
        except BadReplayName as error:
            raise UsageProblem(f"--onto: {error}") from None
        except BadSpeed as error:
            raise UsageProblem(f"--speed: {error}") from None
        except ReplayError as error:
            raise CommandError(str(error)) from None
