"""Accounts decoded a second: our layouts beside stock driftpy's decoder, on the same bytes from the node."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any, Final, NamedTuple

from driftpy.accounts.oracle import DRIFT_CODER, get_oracle_decode_fn
from driftpy.types import OracleSource

from benchmarks.recording import filled_store, record
from benchmarks.table import Progress, Report, Table
from drift_publisher.oracles import read_oracle
from drift_publisher.profiles import DRIFT_V2
from drift_publisher.source import AccountUpdate
from drift_publisher.store import AccountStore

__all__ = ["Decoder", "decoders", "kind_of", "measure", "timed"]

_FRAMES: Final = 10_000
_SECONDS: Final = 0.4
Decoder = Callable[[], object]


class Speed(NamedTuple):
    """How often a second, and CPU seconds per 1,000 times."""

    per_s: float
    cpu_s_per_1000: float


def kind_of(update: AccountUpdate, store: AccountStore) -> str:
    """The account's type; an oracle's is its source."""
    layouts = (DRIFT_V2.perp_market, DRIFT_V2.spot_market, DRIFT_V2.state)
    for layout in layouts:
        if (update.data or b"")[:8] == layout.discriminator:
            return layout.name
    return next((market.oracle_source for market in store.markets() if market.oracle == update.address), "unused")


def decoders(updates: Sequence[AccountUpdate], store: AccountStore) -> dict[str, tuple[list[Decoder], list[Decoder]]]:
    """By account type, a call per update that decodes it: ours, and stock driftpy's."""
    by_kind: dict[str, tuple[list[Decoder], list[Decoder]]] = defaultdict(lambda: ([], []))
    readers: Mapping[str, Callable[[bytes], object]] = {
        layout.name: layout.read for layout in (DRIFT_V2.perp_market, DRIFT_V2.spot_market, DRIFT_V2.state)
    }
    stock_oracle: dict[str, Callable[[bytes], object]] = {}
    for update in updates:
        kind, data = kind_of(update, store), update.data or b""
        if kind in readers:
            ours = _call(readers[kind], data)
            stock = _call(DRIFT_CODER.accounts.decode, data)
        elif kind in DRIFT_V2.oracle_formats:
            ours = _call(read_oracle, DRIFT_V2.oracle_formats[kind], update.owner, data)
            decode = stock_oracle.setdefault(kind, get_oracle_decode_fn(getattr(OracleSource, kind)()))
            stock = _call(decode, data)
        else:
            continue
        by_kind[kind][0].append(ours)
        by_kind[kind][1].append(stock)
        by_kind["live mix"][0].append(ours)
        by_kind["live mix"][1].append(stock)
    return by_kind


def _call(function: Callable[..., object], *arguments: Any) -> Decoder:
    return lambda: function(*arguments)


def timed(calls: Sequence[Decoder], seconds: float = _SECONDS) -> Speed:
    """Makes the calls in turn, again and again, for about this long."""
    done, wall, cpu = 0, time.perf_counter(), time.process_time()
    while (spent := time.perf_counter() - wall) < seconds:
        for call in calls[done % len(calls) :][:500]:
            call()
            done += 1
    return Speed(done / spent, (time.process_time() - cpu) / done * 1000)


async def measure(progress: Progress, runs: int) -> Report:
    """Decodes each account type and the live mix, ours and stock in turn."""
    progress("decode: recording traffic")
    recording = await record(_FRAMES)
    store = filled_store(recording.accounts)
    accounts = [update for update in recording.accounts if kind_of(update, store) == "State"]
    by_kind = decoders([*accounts, *recording.updates], store)
    table = Table(
        "Accounts decoded; the ratio is that of CPU time",
        ("account", "in the mix", "ratio", "CPU s per 1,000: ours", "driftpy", "ours /s", "driftpy /s"),
    )
    figures: dict[str, Any] = {}
    total = len(by_kind["live mix"][0])
    for kind in sorted(by_kind, key=lambda kind: -len(by_kind[kind][0])):
        progress(f"decode: {kind}")
        ours, stock = by_kind[kind]
        pairs = [(timed(ours), timed(stock)) for _ in range(runs)]
        ratio = median(theirs.cpu_s_per_1000 / mine.cpu_s_per_1000 for mine, theirs in pairs)
        fast, slow = (Speed(*map(median, zip(*side, strict=True))) for side in zip(*pairs, strict=True))
        share = len(ours) / total
        table.add(
            kind, f"{share:.1%}", f"{ratio:.1f}×", f"{fast.cpu_s_per_1000:.4f}", f"{slow.cpu_s_per_1000:.4f}",
            f"{fast.per_s:,.0f}", f"{slow.per_s:,.0f}",
        )  # fmt: skip
        figures[kind] = {"share": share, "ratio": ratio, "ours": fast._asdict(), "driftpy": slow._asdict()}
    return Report([table], figures)
