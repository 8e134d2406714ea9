"""Accounts decoded a second: our layouts, and beside them stock driftpy's decoder, on the same bytes from the node.

driftpy reads Drift only: of another program our figures stand alone.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any, Final, NamedTuple

from benchmarks.program import has_sdk
from benchmarks.recording import filled_store, record
from benchmarks.table import Progress, Report, Table
from drift_publisher.oracles import read_oracle
from drift_publisher.source import AccountUpdate
from drift_publisher.store import AccountStore

__all__ = ["Decoder", "decoders", "kind_of", "measure", "stock_decoders", "timed"]

_FRAMES: Final = 10_000
_SECONDS: Final = 0.4
_MIX: Final = "live mix"
Decoder = Callable[[], object]


class Speed(NamedTuple):
    """How often a second, and CPU seconds per 1,000 times."""

    per_s: float
    cpu_s_per_1000: float


def kind_of(update: AccountUpdate, store: AccountStore) -> str:
    """The account's type; an oracle's is its source."""
    for layout in (store.profile.perp_market, store.profile.spot_market, store.profile.state):
        if (update.data or b"")[:8] == layout.discriminator:
            return layout.name
    return next((market.oracle_source for market in store.markets() if market.oracle == update.address), "unused")


def decoders(updates: Sequence[AccountUpdate], store: AccountStore) -> dict[str, list[Decoder]]:
    """By account type, and for the live mix, a call per update that decodes it with our layouts."""
    about = store.profile
    readers: Mapping[str, Callable[[bytes], object]] = {
        layout.name: layout.read for layout in (about.perp_market, about.spot_market, about.state)
    }

    def reading(kind: str, update: AccountUpdate) -> Decoder | None:
        if kind in readers:
            return _call(readers[kind], update.data or b"")
        if kind in about.oracle_formats:
            return _call(read_oracle, about.oracle_formats[kind], update.owner, update.data or b"")
        return None

    return _by_kind(updates, store, reading)


def stock_decoders(updates: Sequence[AccountUpdate], store: AccountStore) -> dict[str, list[Decoder]]:
    """The same accounts of Drift, decoded by stock driftpy."""
    from driftpy.accounts.oracle import DRIFT_CODER, get_oracle_decode_fn
    from driftpy.types import OracleSource

    about = store.profile
    accounts = {layout.name for layout in (about.perp_market, about.spot_market, about.state)}
    oracles: dict[str, Callable[[bytes], object]] = {}

    def reading(kind: str, update: AccountUpdate) -> Decoder | None:
        if kind in accounts:
            return _call(DRIFT_CODER.accounts.decode, update.data or b"")
        if kind in about.oracle_formats:
            if kind not in oracles:
                oracles[kind] = get_oracle_decode_fn(getattr(OracleSource, kind)())
            return _call(oracles[kind], update.data or b"")
        return None

    return _by_kind(updates, store, reading)


def _by_kind(
    updates: Sequence[AccountUpdate],
    store: AccountStore,
    reading: Callable[[str, AccountUpdate], Decoder | None],
) -> dict[str, list[Decoder]]:
    found: dict[str, list[Decoder]] = defaultdict(list)
    for update in updates:
        kind = kind_of(update, store)
        call = reading(kind, update)
        if call is not None:
            found[kind].append(call)
            found[_MIX].append(call)
    return found


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
    updates = [*accounts, *recording.updates]
    ours = decoders(updates, store)
    stock = stock_decoders(updates, store) if has_sdk() else {}
    table = Table(
        "Accounts decoded; the ratio is that of CPU time" if stock else "Accounts decoded; driftpy cannot read them",
        ("account", "in the mix", "ratio", "CPU s per 1,000: ours", "driftpy", "ours /s", "driftpy /s"),
    )
    figures: dict[str, Any] = {}
    for kind in sorted(ours, key=lambda kind: -len(ours[kind])):
        progress(f"decode: {kind}")
        pairs = [(timed(ours[kind]), timed(stock[kind]) if stock else None) for _ in range(runs)]
        fast, share = _middle([mine for mine, _ in pairs]), len(ours[kind]) / len(ours[_MIX])
        figures[kind] = {"share": share, "ours": fast._asdict()}
        theirs = ("", "", "")
        if compared := [(mine, slow) for mine, slow in pairs if slow is not None]:
            ratio = median(slow.cpu_s_per_1000 / mine.cpu_s_per_1000 for mine, slow in compared)
            slow = _middle([one for _, one in compared])
            figures[kind] |= {"ratio": ratio, "driftpy": slow._asdict()}
            theirs = (f"{ratio:.1f}×", f"{slow.cpu_s_per_1000:.4f}", f"{slow.per_s:,.0f}")
        table.add(
            kind, f"{share:.1%}", theirs[0], f"{fast.cpu_s_per_1000:.4f}", theirs[1], f"{fast.per_s:,.0f}", theirs[2]
        )
    return Report([table], figures)


def _middle(runs: Sequence[Speed]) -> Speed:
    return Speed(*map(median, zip(*runs, strict=True)))
