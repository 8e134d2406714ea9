"""Captures made by hand: of given records, or of a few steps of a simulated cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from drift_publisher.capture import CaptureFile
from drift_publisher.profiles import PROFILES
from drift_schemas.capture import (
    CapturedAccount,
    CapturedSlot,
    CaptureHeader,
    CaptureRecord,
    pack_account,
    pack_slot,
)
from drift_simulator import Cluster, SimulatorConfig
from drift_simulator.ledger import Account

__all__ = ["HEADER", "START_NS", "header_of", "steps_of_a_cluster", "write_capture"]

START_NS = 1_700_000_123_000_000_000
HEADER = CaptureHeader(
    program="drift-v2",
    program_id="dRiftyHA39MWEi3m9aunc5MzRF1JYuBsbn6VPcn33UH",
    cluster="mainnet-beta",
    genesis="5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d",
    commitment="confirmed",
    source="websocket",
    software="a test",
    started_at_ns=START_NS,
    subscriptions=("slot",),
)


def header_of(program: str, cluster: str = "simulated") -> CaptureHeader:
    """The header of a capture of this program."""
    return HEADER._replace(program=program, program_id=PROFILES[program].program_id, cluster=cluster)


def write_capture(path: Path, records: Iterable[CaptureRecord], *, per_frame: int = 100, **header: Any) -> Path:
    """Writes a whole capture file of these records."""
    file = CaptureFile(path)
    file.begin(HEADER._replace(**header))
    batch: list[bytes] = []
    for record in records:
        batch.append(pack_slot(*record) if isinstance(record, CapturedSlot) else pack_account(*record))
        if len(batch) == per_frame:
            file.add(len(batch), b"".join(batch))
            batch.clear()
    if batch:
        file.add(len(batch), b"".join(batch))
    file.finish()
    return path


def steps_of_a_cluster(
    steps: int, *, meanwhile: Callable[[int, Cluster], None] = lambda number, cluster: None, **config: Any
) -> list[CaptureRecord]:
    """All accounts of a small cluster, a slot, then so many steps a tenth of a second apart, four to a slot.

    Args:
        steps: Moves of one oracle and its markets.
        meanwhile: Called before each step with its number and the cluster.
        config: Settings of the simulation.
    """
    now_ns = START_NS
    settings = {"perp_markets": 3, "spot_markets": 2, **config}
    cluster = Cluster(SimulatorConfig(updates_per_second=0, clock=lambda: now_ns / 1e9, **settings))

    def report(address: str, account: Account, *, was_read: bool = False) -> CapturedAccount:
        data = bytes(account.data) if account.lamports else None
        return CapturedAccount(address, account.owner, cluster.slot, data, now_ns, was_read)

    records: list[CaptureRecord] = [
        report(address, account, was_read=True) for address, account in cluster.ledger.items()
    ]
    cluster.ledger.listen(lambda address, account: records.append(report(address, account)))
    for number in range(steps):
        if number % 4 == 0:
            cluster.advance_slot(keepers=False)
            records.append(CapturedSlot(cluster.slot, now_ns))
        meanwhile(number, cluster)
        cluster.step()
        now_ns += 100_000_000
    return records
