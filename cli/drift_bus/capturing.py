"""Runs a capture, alone or beside the publisher, and tells how it grows."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drift_bus.errors import CommandError, UsageProblem, complain, first_cause
from drift_bus.progress import progress
from drift_bus.publish import NO_RPC_URL
from drift_bus.runtime import Stopped, also_stopped_by_stdin, interrupted_by, run_until_stopped
from drift_bus.settings import CommandSettings

if TYPE_CHECKING:
    from drift_publisher.capture import Capture, CaptureFile
    from drift_publisher.chain import Chain

__all__ = ["capture", "path_now"]

_TELL_EVERY_S = {True: 0.5, False: 10.0}
"""By whether stderr is a terminal."""


def path_now(pattern: Path) -> Path:
    """The file that a pattern means now: codes as of strftime stand for the time in UTC."""
    return Path(time.strftime(str(pattern), time.gmtime())) if "%" in str(pattern) else pattern


def capture(
    output: Path,
    *,
    flags: Mapping[str, str | None],
    seconds: float | None,
    max_bytes: int | None,
    force: bool,
    as_json: bool,
    until_stdin_closes: bool,
) -> int:
    """Captures into ``output`` until a signal, for ``seconds``, or up to ``max_bytes``; then tells what it holds."""
    settings = CommandSettings.load(**flags)
    if not settings.has_endpoint:
        raise UsageProblem(NO_RPC_URL.replace("'drift-bus up --demo'", "'drift-bus simulate'"))
    settings.check_program()

    async def run(stop: asyncio.Event) -> int:
        from drift_publisher import PublisherError
        from drift_publisher.capture import CaptureFile

        try:
            with contextlib.closing(CaptureFile(path_now(output), overwrite=force, max_bytes=max_bytes)) as file:
                async with also_stopped_by_stdin(stop, wanted=until_stdin_closes):
                    done = await _capture(settings, file, stop, seconds)
        except (PublisherError, ExceptionGroup) as error:
            cause = first_cause(error)
            if isinstance(cause, PublisherError):
                raise CommandError(str(cause)) from error
            raise
        if done is None:
            raise CommandError("stopped before the node had told anything: nothing was captured")
        _tell_result(done, as_json=as_json)
        return 0

    return run_until_stopped(run)


async def _capture(
    settings: CommandSettings, file: CaptureFile, stop: asyncio.Event, seconds: float | None
) -> Capture | None:
    """The ended capture; ``None`` where it was stopped while the chain was still being read.

    The ``seconds`` count from when the chain has been read once.
    """
    from drift_publisher import PublisherSettings
    from drift_publisher.capture import run_capture

    ready: asyncio.Future[tuple[Chain, Capture]] = asyncio.get_running_loop().create_future()
    chosen = PublisherSettings(
        rpc_url=settings.rpc_url,
        rpc_urls=settings.rpc_urls,
        ws_url=settings.ws_url,
        source=settings.source,
        program=settings.program,
        markets=settings.market_names,
        cluster=settings.cluster,
    )
    work = run_capture(chosen, file, stop, on_ready=lambda chain, begun: ready.set_result((chain, begun)))
    capturing = asyncio.create_task(work, name="capture")
    try:
        try:
            async with interrupted_by(stop), progress("reading every market once"):
                either: set[asyncio.Future[Any]] = {capturing, ready}
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        except Stopped:
            if not ready.done():
                return None
        if ready.done():
            complain(_begun(*ready.result()))
            async with _ended_after(seconds, stop):
                await _tell_progress(*ready.result(), capturing)
        return await capturing
    finally:
        capturing.cancel()
        ready.cancel()
        await asyncio.gather(capturing, return_exceptions=True)


@contextlib.asynccontextmanager
async def _ended_after(seconds: float | None, stop: asyncio.Event) -> AsyncIterator[None]:
    timer = None if seconds is None else asyncio.get_running_loop().call_later(seconds, stop.set)
    try:
        yield
    finally:
        if timer is not None:
            timer.cancel()


async def _tell_progress(chain: Chain, begun: Capture, capturing: asyncio.Task[Capture]) -> None:
    """A line that grows on a terminal; elsewhere one now and then."""
    on_terminal, started = sys.stderr.isatty(), time.monotonic()
    while not (await asyncio.wait({capturing}, timeout=_TELL_EVERY_S[on_terminal]))[0]:
        state = chain.status.state if not chain.status.reason else f"{chain.status.state}: {chain.status.reason}"
        line = f"{time.monotonic() - started:.0f} s, {_amounts(begun)}, {state}"
        if on_terminal:
            sys.stderr.write(f"\r\x1b[2K{line}")
            sys.stderr.flush()
        else:
            complain(line)
    if on_terminal:
        sys.stderr.write("\r\x1b[2K")
        sys.stderr.flush()


def _begun(chain: Chain, begun: Capture) -> str:
    markets = len(chain.store.market_names())
    return (
        f"capturing {markets} markets of {chain.profile.name} on {chain.cluster_name} "
        f"from {chain.pool.current.name} into {begun.file.path}; Ctrl-C ends it"
    )


def _amounts(begun: Capture) -> str:
    return f"{begun.accounts:,} account updates, {begun.slots:,} slots, {begun.file.size:,} bytes"


def _tell_result(done: Capture, *, as_json: bool) -> None:
    if as_json:
        told = {
            "file": str(done.file.path),
            "accounts": done.accounts,
            "slots": done.slots,
            "bytes": done.file.size,
            "is_full": done.is_full,
        }
        sys.stdout.write(json.dumps(told) + "\n")
    else:
        why = " (it is full: --max-bytes)" if done.is_full else ""
        sys.stdout.write(f"{done.file.path}: {_amounts(done)}{why}\n")
    sys.stdout.flush()
