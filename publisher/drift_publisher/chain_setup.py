"""The chain as the settings want it, for whoever follows it: the publisher, and the capture."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable

from drift_publisher.chain import Chain
from drift_publisher.lag import LagLimits
from drift_publisher.program_choice import choose_program
from drift_publisher.rpc import RpcClient
from drift_publisher.settings import PublisherSettings
from drift_publisher.store import Touched

__all__ = ["open_chain"]


@contextlib.asynccontextmanager
async def open_chain(
    settings: PublisherSettings, on_update: Callable[[Touched], None] = lambda _: None
) -> AsyncIterator[Chain]:
    """The chain at the settings' endpoints; of the accounts, only which program they are of has been asked.

    Args:
        settings: The endpoints and how to use them.
        on_update: Called with what each update touched.

    Raises:
        SettingsError: the endpoint serves another program.
        RpcUnavailable: it does not answer.
    """
    pool = settings.endpoints()
    async with RpcClient(pool, commitment=settings.commitment) as rpc:
        profile = await choose_program(rpc, settings.program, patience_s=settings.start_timeout_s)
        async with Chain(
            profile,
            pool,
            rpc,
            markets=settings.markets,
            mode=settings.source,
            poll_every_s=settings.poll_every_s,
            silence_s=settings.slot_silence_s,
            quiet_s=settings.subscription_silence_s,
            limits=LagLimits(settings.max_lag_slots, settings.max_lag_s),
            ping_s=settings.ws_ping_s,
            start_timeout_s=settings.start_timeout_s,
            on_update=on_update,
        ) as chain:
            yield chain
