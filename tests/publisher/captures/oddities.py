"""Makes ``oddities.capture.zst``: a real capture of a simulated node that misbehaves, over a real socket.

SOL-PERP: its oracle's account is cut in half for a while. BTC-PERP: its market is told for a while with the slot and
the bytes of long ago. To make it anew: ``python -m tests.publisher.captures.oddities FILE``.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from drift_publisher import PublisherSettings
from drift_publisher.capture import CaptureFile, run_capture
from drift_simulator import Fault, Simulator, SimulatorConfig
from tests.support.wait import wait_until


async def _live(simulator: Simulator, writes: int = 40) -> None:
    begun = simulator.counters.updates
    await wait_until(lambda: simulator.counters.updates >= begun + writes)


async def _misbehave(simulator: Simulator, begun: asyncio.Event, stop: asyncio.Event) -> None:
    sol, btc = simulator.cluster.perp("SOL-PERP"), simulator.cluster.perp("BTC-PERP")
    await begun.wait()
    await wait_until(lambda: simulator.counters.subscriptions_open.total() >= 6)
    await _live(simulator)
    healthy = simulator.account(sol.oracle)
    assert healthy is not None
    simulator.set_account(sol.oracle, healthy[: len(healthy) // 2])
    await _live(simulator)
    simulator.restore_account(sol.oracle)
    simulator.faults.inject(Fault(kind="slot_backwards", pubkey=str(btc.pubkey), slots=50))
    await _live(simulator)
    simulator.faults.clear()
    await _live(simulator)
    stop.set()


async def make(path: Path) -> None:
    """Writes the capture."""
    config = SimulatorConfig(updates_per_second=60, perp_markets=3, spot_markets=1, slot_interval_s=0.2)
    begun, stop = asyncio.Event(), asyncio.Event()
    async with Simulator(config) as simulator:
        settings = PublisherSettings(_env_file=None, rpc_url=simulator.http_url, ws_url=simulator.ws_url)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_misbehave(simulator, begun, stop))
            await run_capture(settings, CaptureFile(path), stop, on_ready=lambda *_: begun.set())


if __name__ == "__main__":
    asyncio.run(make(Path(sys.argv[1])))
