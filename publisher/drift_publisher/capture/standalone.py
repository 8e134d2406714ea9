"""A capture without a bus: the publisher's source, supervision and budget, and no NATS."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from drift_publisher.capture.capturing import Capture, capturing
from drift_publisher.capture.file import CaptureFile
from drift_publisher.chain import Chain
from drift_publisher.chain_setup import open_chain
from drift_publisher.settings import PublisherSettings

__all__ = ["run_capture"]


async def run_capture(
    settings: PublisherSettings,
    file: CaptureFile,
    stop: asyncio.Event,
    *,
    on_ready: Callable[[Chain, Capture], None],
) -> Capture:
    """Captures until ``stop`` is set or the file is full; then the file has its final name.

    Args:
        settings: The endpoints and how to use them; NATS is not touched.
        file: Where to.
        stop: Set it to end the capture.
        on_ready: Called when every market has been read once.

    Raises:
        PublisherError: the endpoint cannot be used, or the file not be written.
    """
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(file.close)
        chain = await stack.enter_async_context(open_chain(settings))
        await chain.cluster(settings.cluster)
        async with capturing(chain, file) as capture:
            on_ready(chain, capture)
            async with asyncio.TaskGroup() as tasks:
                reading = tasks.create_task(chain.run(), name="source")
                waiting = [asyncio.create_task(event.wait()) for event in (stop, capture.ended)]
                try:
                    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for task in (reading, *waiting):
                        task.cancel()
    if capture.error is not None:
        raise capture.error
    return capture
