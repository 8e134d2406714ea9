"""``drift-bus publish``: the publisher alone, until a signal stops it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from drift_bus.connection import connected
from drift_bus.errors import CommandError, UsageProblem, first_cause
from drift_bus.logs import configure_logs, log_with
from drift_bus.runtime import Stopped, also_stopped_by_stdin, interrupted_by, run_until_stopped
from drift_bus.settings import CommandSettings
from drift_schemas.access import end

if TYPE_CHECKING:
    from drift_publisher import Publisher
    from drift_publisher.capture import CaptureFile

__all__ = ["NO_RPC_URL", "publish"]

NO_RPC_URL = (
    "no RPC URL: give --rpc-url https://… or set DRIFT_BUS_RPC_URL (also in .env); "
    "without a chain, try 'drift-bus up --demo'"
)

_log = logging.getLogger(__name__)
_TELL_EVERY_S = 5.0


def publish(*, flags: Mapping[str, str | None], until_stdin_closes: bool) -> int:
    """Runs the publisher until SIGINT or SIGTERM; then it has sent what it took in, and the status is 0."""
    import drift_publisher  # noqa: F401 - whether it is installed is known before anything is asked

    settings = CommandSettings.load(**flags)
    if not settings.has_endpoint:
        raise UsageProblem(NO_RPC_URL)
    settings.check_program()
    configure_logs(level=settings.log_level, log_format=settings.log_format)

    async def run(stop: asyncio.Event) -> int:
        async with also_stopped_by_stdin(stop, wanted=until_stdin_closes):
            try:
                async with interrupted_by(stop), connected(settings.nats_servers):
                    pass  # a server is there: known in seconds, before anything heavy begins
            except Stopped:
                return 0
            await _publish(settings, stop)
        return 0

    return run_until_stopped(run)


async def _publish(settings: CommandSettings, stop: asyncio.Event) -> None:
    from drift_publisher import Publisher, PublisherError, PublisherSettings

    try:
        publisher = Publisher(
            PublisherSettings(
                rpc_url=settings.rpc_url,
                rpc_urls=settings.rpc_urls,
                ws_url=settings.ws_url,
                source=settings.source,
                program=settings.program,
                nats_url=settings.nats_url,
                nats_domain=settings.nats_domain,
                markets=settings.market_names,
                cluster=settings.cluster,
                subject_prefix=settings.subject_prefix,
            )
        )
        log_with(publisher.health.log_context)
        async with contextlib.AsyncExitStack() as parts:
            file = parts.enter_context(_capture_file(settings)) if settings.capture else None
            await _run(publisher, stop, file)
    except (PublisherError, ExceptionGroup) as error:
        cause = first_cause(error)
        if isinstance(cause, PublisherError):
            raise CommandError(str(cause)) from error
        raise


def _capture_file(settings: CommandSettings) -> contextlib.closing[CaptureFile]:
    from drift_bus.capturing import path_now
    from drift_publisher.capture import CaptureFile

    return contextlib.closing(CaptureFile(path_now(Path(settings.capture or ""))))


async def _run(publisher: Publisher, stop: asyncio.Event, capture_into: CaptureFile | None) -> None:
    """Lets the publisher end by itself once it publishes, and cancels it where it is still starting."""
    ready, started = asyncio.Event(), time.monotonic()
    publishing = asyncio.create_task(publisher.run(stop, on_ready=ready.set), name="publisher")
    others = [asyncio.create_task(event.wait()) for event in (stop, ready)]
    try:
        while True:
            done, _ = await asyncio.wait(
                (publishing, *others), timeout=_TELL_EVERY_S, return_when=asyncio.FIRST_COMPLETED
            )
            if done:
                break
            _log.warning("still starting after %.0f s: the chain gives no answer", time.monotonic() - started)
        if ready.is_set() and capture_into is not None and publisher.chain is not None:
            from drift_publisher.capture import capturing

            async with capturing(publisher.chain, capture_into):
                _log.info("capturing into %s", capture_into.path)
                await asyncio.wait((publishing,))
        if ready.is_set() or publishing.done():
            await publishing
    finally:
        await end(publishing, *others)
