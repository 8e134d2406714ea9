"""``drift-bus up``: everything on one machine, and a view of what an engine sees."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING, Any

from drift_bus.board import Board
from drift_bus.children import Child, running_child
from drift_bus.connection import connected
from drift_bus.errors import CommandError, UsageProblem
from drift_bus.nats_server import LocalNatsServer, NatsServerFailed, NatsServerMissing
from drift_bus.progress import progress
from drift_bus.publish import NO_RPC_URL
from drift_bus.redaction import redact
from drift_bus.runtime import Stopped, interrupted_by, run_until_stopped
from drift_bus.screens import screen_for_stdout, summary
from drift_bus.settings import CommandSettings
from drift_bus.view import Surroundings

if TYPE_CHECKING:
    from drift_subscribers import DriftFeed

__all__ = ["up"]

_SIMULATED = "simulated"
_USUAL_PORT = 4222
_CHILD_READY_S = 20.0
_FEED_READY_S = 20.0


def up(*, demo: bool, seconds: float | None, flags: Mapping[str, str | None]) -> int:
    """Starts what is needed, shows the board until Ctrl-C or for ``seconds``, and stops what it started."""
    settings = CommandSettings.load(**flags)
    if demo and (flags.get("rpc_url") or flags.get("ws_url")):
        raise UsageProblem("--demo brings its own chain: leave out --rpc-url and --ws-url")
    if not demo and not settings.has_endpoint:
        raise UsageProblem(NO_RPC_URL)
    settings.check_program()
    # A demo must not write invented data to a server that some .env file names.
    nats_given = bool(flags.get("nats_url")) or (not demo and "nats_url" in settings.model_fields_set)
    return run_until_stopped(_Run(settings, demo=demo, nats_given=nats_given, seconds=seconds))


class _Run:
    def __init__(self, settings: CommandSettings, *, demo: bool, nats_given: bool, seconds: float | None) -> None:
        self._settings = settings
        self._demo = demo
        self._nats_given = nats_given
        self._seconds = seconds
        self._cluster = _SIMULATED if demo else settings.cluster
        self._board = Board()
        self._notes: list[str] = []
        self._server: LocalNatsServer | None = None

    async def __call__(self, stop: asyncio.Event) -> int:
        self._stop = stop
        logging.basicConfig(handlers=[_NoteLogs(self._hear)], force=True)
        try:
            async with contextlib.AsyncExitStack() as parts:
                async with interrupted_by(stop):
                    nats_url = await self._start_nats(parts)
                    children = await self._start_children(parts, nats_url)
                    deaths = [asyncio.create_task(child.died(), name=f"{child.name}: end") for child in children]
                    parts.push_async_callback(_cancelled, deaths)
                    feed = await self._open_feed(parts, nats_url, deaths)
                await self._show(feed, nats_url, deaths)
        except Stopped:
            return 0
        _say(summary(self._board))
        if not self._board.ever_live and not stop.is_set():
            raise CommandError(f"no data came within {self._seconds:g} s: {self._why_no_data()}")
        return 0

    async def _start_nats(self, parts: contextlib.AsyncExitStack) -> str:
        if self._nats_given:
            async with connected(self._settings.nats_servers):
                _say(f"nats-server at {redact(self._settings.nats_url)}")
            return self._settings.nats_url
        try:
            return await self._start_nats_server(parts, _USUAL_PORT)
        except NatsServerFailed:  # most likely somebody else's server is there
            pass
        except NatsServerMissing as error:
            raise CommandError(str(error)) from None
        try:
            return await self._start_nats_server(parts, 0)
        except NatsServerFailed as error:
            raise CommandError(str(error)) from None

    async def _start_nats_server(self, parts: contextlib.AsyncExitStack, port: int) -> str:
        async with self._step("nats-server") as told:
            server = LocalNatsServer(port=port)
            parts.push_async_exit(server)  # before the start, which may be interrupted half-way
            await server.start()
            self._server = server
            told.append(f" at {server.url}{'' if port else f', for port {_USUAL_PORT} is taken'}")
        return server.url

    async def _start_children(self, parts: contextlib.AsyncExitStack, nats_url: str) -> list[Child]:
        children = []
        rpc_url, ws_url = self._settings.rpc_url or "", self._settings.ws_url
        if self._demo:
            async with self._step("simulated chain") as told:
                simulator = await self._child(
                    parts, "simulator", ["simulate", "--port", "0", "--json", *self._simulated_program()], {}
                )
                first = await simulator.first_line(_CHILD_READY_S)
                urls = json.loads(first)
                told.append(f" of {urls['program']} at {urls['http_url']}")
            rpc_url, ws_url = urls["http_url"], urls["ws_url"]
            children.append(simulator)
        environment = {
            **({} if self._nats_given else {"DRIFT_BUS_NATS_TLS_FIRST": "false"}),
            "DRIFT_BUS_RPC_URL": rpc_url,
            "DRIFT_BUS_RPC_URLS": "" if self._demo else self._settings.rpc_urls or "",
            "DRIFT_BUS_NATS_URL": nats_url,
            "DRIFT_BUS_NATS_DOMAIN": (self._settings.nats_domain or "") if self._nats_given else "",
            "DRIFT_BUS_SUBJECT_PREFIX": self._settings.subject_prefix,
            **({"DRIFT_BUS_WS_URL": ws_url} if ws_url else {}),
            **({"DRIFT_BUS_CAPTURE": self._settings.capture} if self._settings.capture else {}),
            **({"DRIFT_BUS_PROGRAM": self._settings.program} if self._settings.program else {}),
            **({"DRIFT_BUS_CLUSTER": self._cluster} if self._cluster else {}),
        }
        all_markets = ["--markets", ""] if self._demo else []
        arguments = ["publish", "--log-level", "warning", *all_markets]
        children.append(await self._child(parts, "publisher", arguments, environment))
        _say("publisher started")
        return children

    def _simulated_program(self) -> list[str]:
        program = self._settings.program
        return ["--program", program] if program and program != "auto" else []

    async def _child(
        self,
        parts: contextlib.AsyncExitStack,
        name: str,
        arguments: list[str],
        environment: Mapping[str, str],
    ) -> Child:
        child = running_child(name, arguments, environment=environment, on_line=self._hear)
        return await parts.enter_async_context(child)

    async def _open_feed(
        self, parts: contextlib.AsyncExitStack, nats_url: str, deaths: list[asyncio.Task[CommandError]]
    ) -> DriftFeed:
        from drift_subscribers import DriftFeed, FeedError

        deadline = time.monotonic() + _FEED_READY_S
        async with progress("opening an engine's feed"):
            while True:
                try:
                    access = self._settings.nats_access() if self._nats_given else None
                    return await parts.enter_async_context(
                        DriftFeed(nats_url.split(","), prefix=self._settings.subject_prefix, access=access)
                    )
                except FeedError as error:
                    self._raise_death(deaths)
                    if time.monotonic() > deadline:
                        raise CommandError(f"the feed cannot be opened: {error}") from None
                    await asyncio.sleep(0.2)

    async def _show(self, feed: DriftFeed, nats_url: str, deaths: list[asyncio.Task[CommandError]]) -> None:
        about = Surroundings(redact(nats_url), self._cluster == _SIMULATED, self._seconds, self._notes)
        deadline = None if self._seconds is None else time.monotonic() + self._seconds
        stopped = asyncio.create_task(self._stop.wait(), name="stop")
        try:
            with screen_for_stdout() as screen:
                while not stopped.done() and (deadline is None or time.monotonic() < deadline):
                    self._board.update(feed)
                    about.simulated = about.simulated or self._is_simulated()
                    screen.show(self._board, about)
                    await asyncio.wait({stopped, *deaths}, timeout=screen.every_s, return_when=asyncio.FIRST_COMPLETED)
                    if not self._stop.is_set():
                        self._raise_death(deaths)
        finally:
            await _cancelled([stopped])

    def _raise_death(self, deaths: list[asyncio.Task[CommandError]]) -> None:
        for death in deaths:
            if death.done():
                raise death.result()
        if self._server is not None and not self._server.running:
            raise CommandError("the nats-server ended")

    def _is_simulated(self) -> bool:
        return self._board.status is not None and self._board.status.cluster == _SIMULATED

    def _why_no_data(self) -> str:
        status = self._board.status
        if status is None:
            return f"the publisher sent no heartbeat{': ' + self._notes[-1] if self._notes else ''}"
        return f"the source is {status.source_state}{': ' + status.reason if status.reason else ''}"

    def _hear(self, name: str, line: str) -> None:
        self._notes.append(f"{name}: {line.removeprefix('drift-bus: ')}")
        del self._notes[:-50]
        told_at_the_end = line.startswith("drift-bus: error: ")
        if not sys.stdout.isatty() and not told_at_the_end:
            sys.stderr.write(self._notes[-1] + "\n")
            sys.stderr.flush()

    @contextlib.asynccontextmanager
    async def _step(self, what: str) -> AsyncIterator[list[str]]:
        started, told = time.monotonic(), list[str]()
        async with progress(f"starting the {what}"):
            yield told
        _say(f"{what}{''.join(told)} ready ({time.monotonic() - started:.1f} s)")


class _NoteLogs(logging.Handler):
    """Shows warnings of our own libraries where those of the children are shown."""

    def __init__(self, hear: Callable[[str, str], None]) -> None:
        super().__init__(logging.WARNING)
        self._hear = hear

    def emit(self, record: logging.LogRecord) -> None:
        self._hear("engine", redact(record.getMessage()))


async def _cancelled(tasks: list[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
