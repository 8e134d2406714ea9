"""A bench process: a stock DriftClient on driftpy's own websocket subscription, as each engine had one before."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import sys
import time
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from driftpy.account_subscription_config import AccountSubscriptionConfig
from driftpy.drift_client import DriftClient
from solana.rpc.async_api import AsyncClient
from solders.keypair import Keypair

from benchmarks.processes import say, serve

__all__: list[str] = []

_PATIENCE_S: Final = 30.0
_Decode = Callable[[bytes], Any]


class _Arrivals:
    """Notes when the client had decoded each account; it stores it in the same breath."""

    def __init__(self) -> None:
        self._moments = array("q")
        self._contents: list[bytes] = []

    def __len__(self) -> int:
        return len(self._moments)

    def noted(self, decode: _Decode) -> _Decode:
        """The same decoder, with a note of each call."""

        def call(data: bytes) -> Any:
            decoded = decode(data)
            self._moments.append(time.monotonic_ns())
            self._contents.append(data)
            return decoded

        return call

    def write(self, path: Path) -> None:
        """Writes a line per account: moment and digest of its bytes."""
        with path.open("w") as file:
            for moment, content in zip(self._moments, self._contents, strict=True):
                file.write(f"{moment} {hashlib.blake2b(content, digest_size=16).hexdigest()}\n")


async def _note_arrivals(client: DriftClient, arrivals: _Arrivals) -> None:
    """Listens in on the decoders of a subscribed client, once its own tasks have made them."""
    subscriber = client.account_subscriber
    maps = (subscriber.perp_market_map, subscriber.spot_market_map)
    async with asyncio.timeout(_PATIENCE_S):
        while not all(one.subscription.subscriber for one in maps):
            await asyncio.sleep(0.01)
    decoders = subscriber.oracle_subscriber.decode_map
    for address, decode in decoders.items():
        decoders[address] = arrivals.noted(decode)
    for one in maps:
        one.subscription.subscriber.decode = arrivals.noted(one.subscription.subscriber.decode)


def main() -> int:
    """Holds a client of all markets until stdin closes; says when it was built and subscribed."""
    parser = argparse.ArgumentParser(prog="benchmarks.stock")
    parser.add_argument("--rpc-url", required=True)
    parser.add_argument("--arrivals", type=Path)
    options = parser.parse_args()

    heard = sys.stdout

    def tell(**values: object) -> None:
        with contextlib.redirect_stdout(heard):
            say(**values)

    async def work(stop: asyncio.Event) -> None:
        arrivals = _Arrivals()
        async with AsyncClient(options.rpc_url) as connection:
            config = AccountSubscriptionConfig("websocket")
            client = DriftClient(connection, Keypair(), account_subscription=config, sub_account_ids=[])
            tell(built=True)
            await client.subscribe()
            if options.arrivals:
                await _note_arrivals(client, arrivals)
            tell(subscribed=True)
            await stop.wait()
        if options.arrivals:
            arrivals.write(options.arrivals)
        tell(updates=len(arrivals))

    with contextlib.redirect_stdout(sys.stderr):  # driftpy prints, and stdout is where we are heard
        return serve(work)


if __name__ == "__main__":
    sys.exit(main())
