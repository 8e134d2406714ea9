"""A storm of faults: every few seconds another one, chosen by a seed, through the node's control API."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Any, Final

import httpx

__all__ = ["Storm"]

_SEED: Final = 20261121
_PAUSE_S: Final = (3.0, 7.0)
_LASTS_S: Final = (0.5, 4.0)
_SOCKET: Final = (
    "silent_stall", "close_after_accept", "close_after_messages", "garbage_ws", "half_open", "slot_stuck",
    "slot_backwards", "ws_refused", "ws_429", "delay", "reorder_confirmations",
)  # fmt: skip
_HTTP: Final = ("http_429", "http_html_429", "http_5xx", "jsonrpc_error", "refuse_get_program_accounts")
_ACCOUNT: Final = ("missing_account", "garbage_account", "short_account", "wrong_layout", "unknown_enum")
_ONLY_NEW_SOCKETS: Final = frozenset({"close_after_accept", "ws_refused", "ws_429", "reorder_confirmations", *_HTTP})


class Storm:
    """Injects a fault, lets it last, clears it, rests, and again.

    A fault that only a new socket or an HTTP request would meet comes with the loss of the socket.

    Attributes:
        injected: Faults by kind.
    """

    def __init__(self, control_url: str) -> None:
        self.injected: Counter[str] = Counter()
        self._url = control_url
        self._random = random.Random(_SEED)

    async def run(self) -> None:
        """Rages until cancelled; leaves no fault in force."""
        async with httpx.AsyncClient(base_url=self._url) as control:
            markets = (await control.get("/markets")).json()
            try:
                while True:
                    await asyncio.sleep(self._random.uniform(*_PAUSE_S))
                    await self._strike(control, markets)
            finally:
                await asyncio.shield(control.delete("/faults"))

    async def _strike(self, control: httpx.AsyncClient, markets: list[dict[str, Any]]) -> None:
        kind = self._random.choice((*_SOCKET, *_HTTP, *_ACCOUNT))
        fault: dict[str, Any] = {"kind": kind}
        if kind in _ACCOUNT:
            market = self._random.choice(markets)
            fault["pubkey"] = market[self._random.choice(("pubkey", "oracle"))]
        self.injected[kind] += 1
        (await control.post("/faults", json=fault)).raise_for_status()
        if kind in _ONLY_NEW_SOCKETS:
            cut = {"kind": "close_after_messages", "messages": 1, "count": 1}
            (await control.post("/faults", json=cut)).raise_for_status()
        await asyncio.sleep(self._random.uniform(*_LASTS_S))
        (await control.delete("/faults")).raise_for_status()
