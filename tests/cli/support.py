"""Runs the real command as a process, and puts sample events on a real server."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from nats.aio.client import Client

from drift_schemas import (
    REASSERTION_HEADER,
    SCHEMA_HEADER,
    FundingEvent,
    MarketDataEvent,
    MarketEvent,
    PriceEvent,
    SpotMarketEvent,
    StatusEvent,
    Topology,
    encode,
    schema_of,
)
from tests.cli.forked import ForkedCommand, forked_command
from tests.support.buckets import buckets_follow
from tests.support.connecting import nats_client
from tests.support.publishing import PATIENT_LEASE_S

__all__ = [
    "Bus",
    "Finished",
    "Running",
    "command",
    "drift_bus",
    "drift_bus_anew",
    "funding",
    "market",
    "price",
    "spot",
    "started",
    "started_anew",
    "status",
]

_LINE_LIMIT = 2**22

Running: TypeAlias = asyncio.subprocess.Process | ForkedCommand
"""A command that was started and may still run."""


@dataclass(frozen=True)
class Finished:
    """What a run of the command left behind."""

    status: int
    stdout: str
    stderr: str

    @property
    def objects(self) -> list[dict[str, Any]]:
        """stdout as one JSON object a line."""
        return [json.loads(line) for line in self.stdout.splitlines()]

    @property
    def complaint(self) -> str:
        """The one line on stderr that is there beside progress; fails where there are several."""
        lines = [line for line in self.stderr.splitlines() if not line.endswith("…")]
        assert len(lines) == 1, f"one clear line was to be expected: {self.stderr!r}"
        assert "Traceback" not in self.stderr
        return lines[0]


def command(*arguments: str) -> list[str]:
    """The command line that runs ``drift-bus`` in this Python."""
    return [sys.executable, "-m", "drift_bus", *arguments]


@asynccontextmanager
async def started(*arguments: str, cwd: Path | None = None, **environment: str) -> AsyncIterator[Running]:
    """The running command, killed at the end if it is still there.

    A process of its own, forked from one with all imports done: they are most of what a short command costs.
    """
    process = await forked_command(arguments, cwd=cwd, environment=_clean() | environment, limit=_LINE_LIMIT)
    async with _ended(process):
        yield process


@asynccontextmanager
async def started_anew(*arguments: str, cwd: Path | None = None, **environment: str) -> AsyncIterator[Running]:
    """The same in a new Python, as its users have it; each command has a test that starts it so."""
    process = await asyncio.create_subprocess_exec(
        *command(*arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=cwd,
        env=_clean() | environment,
        limit=_LINE_LIMIT,
    )
    async with _ended(process):
        yield process


async def drift_bus(
    *arguments: str,
    interrupt_after_line: str | None = None,
    timeout_s: float = 150,
    cwd: Path | None = None,
    **environment: str,
) -> Finished:
    """Runs ``drift-bus arguments`` to its end, as :func:`started` does.

    With ``interrupt_after_line`` it gets a SIGINT once a line of stdout or stderr holds that text.
    """
    async with started(*arguments, cwd=cwd, **environment) as process, asyncio.timeout(timeout_s):
        return await _finished(process, interrupt_after_line)


async def drift_bus_anew(
    *arguments: str,
    interrupt_after_line: str | None = None,
    timeout_s: float = 150,
    cwd: Path | None = None,
    **environment: str,
) -> Finished:
    """The same as :func:`started_anew` does."""
    async with started_anew(*arguments, cwd=cwd, **environment) as process, asyncio.timeout(timeout_s):
        return await _finished(process, interrupt_after_line)


def _clean() -> dict[str, str]:
    """None of the settings of whoever runs the tests; a lease that a machine with other work does not let lapse."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("DRIFT_BUS_")}
    return {**others, "DRIFT_BUS_LEASE_TTL_S": str(PATIENT_LEASE_S)}


@asynccontextmanager
async def _ended(process: Running) -> AsyncIterator[None]:
    try:
        yield
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def _finished(process: Running, interrupt_after_line: str | None) -> Finished:
    assert process.stdout is not None
    assert process.stderr is not None

    async def read(stream: asyncio.StreamReader) -> str:
        lines = []
        while line := (await stream.readline()).decode():
            lines.append(line)
            if interrupt_after_line is not None and interrupt_after_line in line:
                process.send_signal(signal.SIGINT)
        return "".join(lines)

    stdout, stderr = await asyncio.gather(read(process.stdout), read(process.stderr))
    return Finished(await process.wait(), stdout, stderr)


class Bus:
    """Plays the publisher: makes stream and buckets, publishes events as it would."""

    def __init__(self, client: Client, prefix: str = "drift") -> None:
        self.client = client
        self.topology = Topology(prefix)

    @classmethod
    @asynccontextmanager
    async def on(cls, url: str, prefix: str = "drift") -> AsyncIterator[Bus]:
        """A bus on the server at ``url``, with its stream and buckets."""
        async with nats_client(url) as client:
            bus = cls(client, prefix)
            for config in bus.topology.configs():
                subject = f"$JS.API.STREAM.CREATE.{config['name']}"
                reply = await client.request(subject, json.dumps(config).encode(), timeout=30)
                assert "error" not in json.loads(reply.data), reply.data
            yield bus

    async def publish(self, event: MarketDataEvent, *, reassertion: bool = False) -> None:
        """Publishes one event and waits until the stream has it, and its bucket."""
        headers = {SCHEMA_HEADER: schema_of(event.kind)}
        if reassertion:
            headers[REASSERTION_HEADER] = "1"
        subject = self.topology.subjects.ingress(event.kind, event.market)
        await self.client.jetstream(timeout=30).publish(subject, encode(event), headers=headers)
        await buckets_follow(self.client, self.topology)

    async def publish_status(self, event: StatusEvent) -> None:
        """Sends one heartbeat."""
        await self.client.publish(self.topology.subjects.status, encode(event), headers={SCHEMA_HEADER: "status/1"})


def _common() -> dict[str, Any]:
    return {
        "program": "drift-v2",
        "cluster": "simulated",
        "epoch": 3,
        "slot": 350_000_123,
        "published_at_ns": time.time_ns(),
    }


def _of_market(name: str, index: int, market_type: str = "perp") -> dict[str, Any]:
    return {
        **_common(),
        "market": name,
        "market_type": market_type,
        "market_index": index,
        "observed_at_ns": time.time_ns(),
    }


def funding(name: str = "SOL-PERP", index: int = 0, **changes: Any) -> FundingEvent:
    """A funding event: 0.01 % an hour."""
    fields = {
        "funding_rate": 15_000_000,
        "funding_rate_long": 15_000_000,
        "funding_rate_short": 15_000_000,
        "funding_rate_ts": int(time.time()) - 600,
        "funding_period": 3600,
        "oracle_twap_at_funding": 150_000_000,
        "funding_rate_24h_avg": 12_000_000,
        "cumulative_funding_rate_long": 10**21,
        "cumulative_funding_rate_short": 10**21,
        "next_funding_ts": int(time.time()) + 3000,
        "estimated_funding_rate_long": -7_500_000,
        "estimated_funding_rate_short": -7_500_000,
        "mark_twap": 150_100_000,
        "oracle_twap": 150_000_000,
        "is_paused": False,
    }
    return FundingEvent(**{**_of_market(name, index), **fields, **changes})


def price(name: str = "SOL-PERP", index: int = 0, market_type: str = "perp", **changes: Any) -> PriceEvent:
    """A price event: oracle 150, mark 150.15."""
    perp = market_type == "perp"
    fields = {
        "oracle_price": 150_000_000,
        "oracle_confidence": 30_000,
        "oracle_slot": 350_000_122,
        "oracle_source": "PythLazer",
        "oracle_is_valid": True,
        "bid_price": 150_100_000 if perp else None,
        "ask_price": 150_200_000 if perp else None,
        "mark_price": 150_150_000 if perp else None,
        "mark_twap": 150_100_000 if perp else None,
        "mark_twap_5min": 150_100_000 if perp else None,
        "oracle_twap": 150_000_000,
        "oracle_twap_5min": 150_000_000,
    }
    return PriceEvent(**{**_of_market(name, index, market_type), **fields, **changes})


def market(name: str = "SOL-PERP", index: int = 0, **changes: Any) -> MarketEvent:
    """A perp market's slow facts."""
    fields = {
        "symbol": name,
        "status": "Active",
        "contract_type": "Perpetual",
        "contract_tier": "A",
        "paused_operations": 0,
        "open_interest_long": 123_000 * 10**9,
        "open_interest_short": 120_000 * 10**9,
        "max_open_interest": 1_500_000 * 10**9,
        "volume_24h": 87_000_000 * 10**6,
        "margin_ratio_initial": 500,
        "margin_ratio_maintenance": 300,
        "order_step_size": 10_000_000,
        "order_tick_size": 100,
        "min_order_size": 10_000_000,
        "number_of_users": 4321,
        "expiry_ts": 0,
        "oracle": "3m6i4RFWEDw2Ft4tFHPJtYgmpPe21k56M3FHeWYrgGBz",
        "oracle_source": "PythLazer",
    }
    return MarketEvent(**{**_of_market(name, index), **fields, **changes})


def spot(name: str = "SOL", index: int = 1, **changes: Any) -> SpotMarketEvent:
    """A spot market's state."""
    fields = {
        "symbol": name,
        "status": "Active",
        "asset_tier": "Collateral",
        "mint": "So11111111111111111111111111111111111111112",
        "decimals": 9,
        "deposit_balance": 10**15,
        "borrow_balance": 4 * 10**14,
        "utilization": 400_000,
        "deposit_rate": 21_000,
        "borrow_rate": 54_000,
        "cumulative_deposit_interest": 10_100_000_000,
        "cumulative_borrow_interest": 10_300_000_000,
        "initial_asset_weight": 8000,
        "maintenance_asset_weight": 9000,
        "initial_liability_weight": 12_000,
        "maintenance_liability_weight": 11_000,
        "oracle": "3m6i4RFWEDw2Ft4tFHPJtYgmpPe21k56M3FHeWYrgGBz",
        "oracle_source": "PythLazer",
    }
    return SpotMarketEvent(**{**_of_market(name, index, "spot"), **fields, **changes})


def status(**changes: Any) -> StatusEvent:
    """A heartbeat of a publisher whose source is live."""
    fields = {
        "publisher_id": "publisher-1",
        "started_at_ns": time.time_ns(),
        "slot_at_ns": time.time_ns(),
        "source_state": "live",
        "reason": "",
        "rpc_sockets": 1,
        "rpc_subscriptions": 40,
        "rpc_requests_total": 12,
        "rpc_errors_total": 0,
        "rpc_reconnects_total": 0,
        "refused_accounts_total": 0,
        "markets": ("SOL-PERP", "BTC-PERP", "SOL"),
        "stale_markets": (),
        "events_published_total": 1234,
        "events_dropped_total": 0,
    }
    return StatusEvent(**{**_common(), **fields, **changes})
