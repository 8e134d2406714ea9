"""Solana JSON-RPC over HTTP: the few reads that the publisher needs."""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Sequence
from typing import Any, Final, Self

from drift_publisher.answers import accounts_in, genesis_in, program_accounts_in, slot_in
from drift_publisher.calls import CallFailed, RpcCalls, RpcRefused
from drift_publisher.endpoints import Endpoint, EndpointPool
from drift_publisher.errors import RpcUnavailable
from drift_publisher.refusals import Meaning
from drift_publisher.source import AccountUpdate

__all__ = ["RpcClient", "RpcRefused"]

_log = logging.getLogger(__name__)
_PATIENCE_S: Final = 5.0
"""A living source has to fail over, connect again or read again within seconds: values run out after ten."""

_SLOT_S: Final = 2.0
_TRIES_BEFORE_THE_FALLBACK: Final = 2
_SPLIT: Final = frozenset({Meaning.TOO_LARGE, Meaning.WRONG})
_EVERY: Final = frozenset(Meaning)


class RpcClient:
    """The HTTP side of the endpoints. Use as ``async with``.

    Args:
        pool: The endpoints; each call goes to the one in use.
        commitment: ``processed``, ``confirmed`` or ``finalized``.
        give_up_after_s: How long one request keeps trying, its waiting included, before it raises. A start, which may
            be more patient, says so with each call.
    """

    def __init__(
        self, pool: EndpointPool, *, commitment: str = "confirmed", give_up_after_s: float = _PATIENCE_S
    ) -> None:
        self.commitment = commitment
        self._pool = pool
        self._calls = RpcCalls(pool, patience_s=give_up_after_s)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._calls.aclose()

    @property
    def name(self) -> str:
        """The endpoint in use, without its secrets."""
        return self._pool.current.name

    async def accounts(self, addresses: Sequence[str], *, patience_s: float | None = None) -> list[AccountUpdate]:
        """Reads accounts in their order; one that does not exist comes with ``data=None``, none is left out.

        A request names as many as the endpoint in use is known to allow. One that is refused for its size is halved
        until it passes, and the endpoint keeps that size.

        Args:
            addresses: Of the accounts.
            patience_s: Keep trying for so long with each request, whatever the answers are like. Without it a request
                is given up after a few seconds, or after a few answers of another form.

        Raises:
            RpcRefused, RpcUnavailable: as :meth:`call` does.
        """
        method, updates = "getMultipleAccounts", list[AccountUpdate]()
        while len(updates) < len(addresses):
            batch = list(addresses[len(updates) : len(updates) + self._pool.current.batch.next()])
            try:
                endpoint, found = await self._calls.ask(
                    method,
                    [batch, self._options()],
                    lambda result, batch=batch: accounts_in(batch, result),  # type: ignore[misc]
                    handled=_SPLIT if len(batch) > 1 else (),
                    patience_s=patience_s,
                )
            except RpcRefused as refused:
                if len(batch) == 1 or refused.refusal.meaning not in _SPLIT:
                    refused.endpoint.batch.give_up()
                    raise
                refused.endpoint.batch.refused(len(batch))
                continue
            updates += found
            if endpoint.batch.passed(len(batch)):
                _log.info("%s: %s takes %d accounts a request", endpoint.name, method, endpoint.batch.learned)
        return updates

    async def program_accounts(self, program_id: str, discriminator: bytes) -> list[AccountUpdate]:
        """Reads every account of a program that begins with ``discriminator``.

        Whoever calls it has another way to find the accounts, so it gives up after two tries.

        Raises:
            RpcRefused: many providers do not serve this method.
            RpcUnavailable: the endpoint gave no useful answer.
        """
        memcmp = {"offset": 0, "bytes": base64.b64encode(discriminator).decode(), "encoding": "base64"}
        options = {**self._options(), "withContext": True, "filters": [{"memcmp": memcmp}]}
        _, updates = await self._calls.ask(
            "getProgramAccounts",
            [program_id, options],
            program_accounts_in,
            handled=_EVERY,
            tries=_TRIES_BEFORE_THE_FALLBACK,
        )
        return updates

    async def genesis_hash(self, *, patience_s: float | None = None) -> str:
        """The chain's genesis hash, by whichever endpoint tells it: it is the same for all of them.

        Whoever calls it has an answer of its own where none does, so each is given up after two tries; one that only
        says that we ask too often is waited for.

        Args:
            patience_s: Keep trying for so long with the endpoint in use; with each other one it is a few seconds.

        Raises:
            RpcRefused, RpcUnavailable: none of them does; what the endpoint in use said.
        """
        in_use, untold = self._pool.current, list[RpcRefused | RpcUnavailable]()
        for endpoint in (in_use, *(one for one in self._pool.endpoints if one is not in_use)):
            try:
                _, genesis = await self._calls.ask(
                    "getGenesisHash",
                    [],
                    genesis_in,
                    handled=_EVERY,
                    tries=_TRIES_BEFORE_THE_FALLBACK,
                    waits_out_throttling=True,
                    only=endpoint,
                    patience_s=patience_s if endpoint is in_use else None,
                )
            except (RpcRefused, RpcUnavailable) as error:
                untold.append(error)
            else:
                return genesis
        raise untold[0]

    async def slot(self, endpoint: Endpoint) -> int | None:
        """The newest slot of one endpoint, asked once; ``None`` where it does not answer."""
        try:
            async with asyncio.timeout(_SLOT_S):
                return await self._calls.once(endpoint, "getSlot", [{"commitment": self.commitment}], slot_in)
        except (CallFailed, RpcRefused, TimeoutError):
            return None

    async def call(self, method: str, params: list[Any]) -> Any:
        """Makes one JSON-RPC call and returns its result.

        What may pass is tried again, with full jitter, and counts against the endpoint. An endpoint that refuses the
        method or the key is left for the next one.

        Raises:
            RpcRefused: every endpoint refuses it for good.
            RpcUnavailable: none answered usefully within ``give_up_after_s``.
        """
        _, result = await self._calls.ask(method, params, _as_it_is)
        return result

    def _options(self) -> dict[str, Any]:
        return {"encoding": "base64", "commitment": self.commitment}


def _as_it_is(result: Any) -> Any:
    return result
