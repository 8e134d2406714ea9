"""The chain as the settings want it, for whoever follows it: the publisher, and the capture."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable

from drift_publisher.chain import Chain
from drift_publisher.lag import LagLimits
from drift_publisher.profiles import DRIFT_V2
from drift_publisher.rpc import RpcClient
from drift_publisher.settings import PublisherSettings
from drift_publisher.store import Touched

__all__ = ["open_chain"]


@contextlib.asynccontextmanager
async def open_chain(
    settings: PublisherSettings, on_update: Callable[[Touched], None] = lambda _: None
) -> AsyncIterator[Chain]:
    """The chain at the settings' endpoints; nothing is asked of them yet.

    Args:
        settings: The endpoints and how to use them.
        on_update: Called with what each update touched.
    """
    pool = settings.endpoints()
    async with (
        RpcClient(pool, commitment=settings.commitment, give_up_after_s=settings.start_timeout_s) as rpc,
        Chain(
            DRIFT_V2,
            pool,
            rpc,
            markets=settings.markets,
            mode=settings.source,
            poll_every_s=settings.poll_every_s,
            silence_s=settings.slot_silence_s,
            quiet_s=settings.subscription_silence_s,
            limits=LagLimits(settings.max_lag_slots, settings.max_lag_s),
            on_update=on_update,
        ) as chain,
    ):
        yield chain
