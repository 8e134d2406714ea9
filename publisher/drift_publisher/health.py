"""Whether the publisher does its work, and where it does not, in words that an operator can act on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from nats.aio.client import Client

from drift_publisher.accounts import Market
from drift_publisher.bus import Bus
from drift_publisher.chain import Chain
from drift_publisher.heard import CONFIRMED_S
from drift_publisher.market_names import ENDED, MarketKey, explain_clash
from drift_publisher.projector import kinds_of
from drift_publisher.topology_watch import TopologyWatch, Trouble
from drift_schemas import InvalidMarketName, bucket_ttl_s, market_token

__all__ = ["Fault", "Health", "Readiness"]


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong.

    Attributes:
        reason: ``starting``, ``not leading``, ``NATS down``, ``source down``, ``name clash``, ``stream missing``,
            ``buckets empty``; of a market ``oracle stale``, ``account stale``, ``not stored``.
        detail: More of it, for people.
    """

    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Readiness:
    """What ``/readyz`` says.

    Attributes:
        ready: Fresh values go onto the bus.
        leads: This publisher is the one that publishes.
        epoch: Under which epoch; 0 before the first.
        slot: Newest slot seen.
        source_state: ``connecting``, ``live``, ``polling``, ``stalled``, ``stopped``.
        reasons: Why it is not ready as a whole.
        markets: The markets with faults of their own, and which.
    """

    ready: bool
    leads: bool
    epoch: int
    slot: int
    source_state: str
    reasons: tuple[Fault, ...] = ()
    markets: dict[str, tuple[Fault, ...]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The same as JSON has it."""
        return asdict(self)


class Health:
    """Knows the parts of one publisher, as far as they are there, and judges them when it is asked.

    Args:
        most_stale_markets: So many markets may have faults of their own while the publisher counts as ready.

    Attributes:
        nats, chain, bus: The parts; ``None`` until they are made.
        epoch: Tells the epoch.
        is_leading: Tells whether this publisher leads.
        why_not_leading: Tells who does, or why nobody does.
        watch: Knows what is wrong with stream and buckets.
        initialized_in_s: From the start until every market was read; ``None`` before.
        began_at: Monotonic time of the start.
    """

    def __init__(self, *, most_stale_markets: int = 0) -> None:
        self.nats: Client | None = None
        self.chain: Chain | None = None
        self.bus: Bus | None = None
        self.epoch: Callable[[], int] = int
        self.is_leading: Callable[[], bool] = lambda: True
        self.why_not_leading: Callable[[], str] = lambda: "another publisher leads, this one stands by"
        self.watch: TopologyWatch | None = None
        self.initialized_in_s: float | None = None
        self.began_at = time.monotonic()
        self._most_stale_markets = most_stale_markets
        self._named_at: dict[tuple[MarketKey, str], float] = {}

    def note_initialized(self) -> None:
        """Every market has been read; only the first time counts."""
        if self.initialized_in_s is None:
            self.initialized_in_s = time.monotonic() - self.began_at
            self._look_at_names(self.began_at + self.initialized_in_s)

    def log_context(self) -> dict[str, int]:
        """What every log line may carry: ``slot`` and ``epoch``, once they are known."""
        slot = self.chain.status.slot if self.chain else 0
        return {name: value for name, value in (("slot", slot), ("epoch", self.epoch())) if value}

    def readiness(self) -> Readiness:
        """Judges everything as it is now."""
        reasons, markets = tuple(self._reasons()), self._faults_of_markets()
        return Readiness(
            ready=not reasons and len(markets) <= self._most_stale_markets,
            leads=self.is_leading(),
            epoch=self.epoch(),
            slot=self.chain.status.slot if self.chain else 0,
            source_state=self.chain.status.state if self.chain else "connecting",
            reasons=reasons,
            markets=markets,
        )

    def _reasons(self) -> Iterator[Fault]:
        if self.nats is None or not self.nats.is_connected:
            yield Fault("NATS down", "there is no connection")
        if self.chain is None or self.initialized_in_s is None:
            yield Fault("starting", "not every market has been read yet")
        elif not self.chain.status.is_alive:
            status = self.chain.status
            yield Fault("source down", status.reason or f"no new slot for {status.silent_for_s():.0f} s")
        if not self.is_leading():
            yield Fault("not leading", self.why_not_leading())
        if self.chain is not None:
            for name, clash in self.chain.store.names.clashes.items():
                yield Fault("name clash", explain_clash(name, clash))
        if self.watch is not None:
            for reason, details in _grouped(self.watch.troubles).items():
                yield Fault(reason, "; ".join(details))

    def _faults_of_markets(self) -> dict[str, tuple[Fault, ...]]:
        if self.chain is None or self.initialized_in_s is None or not self.chain.status.histories:
            return {}  # what was read until now is of a node that nobody has proven
        stored = self._stored_at()
        store = self.chain.store
        self._look_at_names(time.monotonic())
        found = ((store.names[key], tuple(self._faults(key, market, stored))) for key, market in store.items())
        return {name: faults for name, faults in found if faults}

    def _faults(self, key: MarketKey, market: Market, stored: dict[tuple[str, str], float]) -> Iterator[Fault]:
        if self.chain is None or market.status in ENDED:
            return  # its oracle may be dead for good
        store = self.chain.store
        if store.is_doubtful(market.pubkey):
            yield Fault("account stale", "the newest report about it was refused")
        elif self.chain.status.is_alive and (unheard := self.chain.heard.overdue(store.behind(market))):
            yield Fault("account stale", f"neither heard of nor read for {CONFIRMED_S:g} s: {', '.join(unheard)}")
        oracle, state = store.oracle(market), store.state
        if oracle is None:
            yield Fault("oracle stale", "its account is missing or cannot be read")
        elif state is not None:
            oldest = store.profile.rules.oldest_oracle_slots(market, state)
            age = self.chain.status.slot - oracle.slot
            if oldest is not None and oracle.slot and age > oldest:
                yield Fault("oracle stale", f"its price was posted {age} slots ago, the program allows {oldest}")
        if not self.is_leading() or (late := self._late(key, store.names[key], stored)) is None:
            return
        yield Fault("not stored", late)

    def _late(self, key: MarketKey, name: str, stored: dict[tuple[str, str], float]) -> str | None:
        """The kinds that the stream has not confirmed within their TTL."""
        try:
            token = market_token(name)
        except InvalidMarketName:
            return None  # cannot be on the bus; the publisher has said so
        now, first = time.monotonic(), self._named_at[key, name]
        late = [
            f"{kind} for {age_s:.0f} s"
            for kind in kinds_of(key)
            if (age_s := now - stored.get((kind, token), first)) > bucket_ttl_s(kind)
        ]
        return f"the stream has not confirmed {', '.join(late)}" if late else None

    def _look_at_names(self, now: float) -> None:
        """Since when each market has its name: one that got another has its TTLs to be stored under it."""
        store = None if self.chain is None else self.chain.store
        names = [] if store is None else [(key, store.names[key]) for key in store.market_keys()]
        self._named_at = {named: self._named_at.get(named, now) for named in names}

    def _stored_at(self) -> dict[tuple[str, str], float]:
        if self.bus is None:
            return {}
        return {(entry.kind, entry.market): entry.stored_at for entry in self.bus.deliveries.entries.values()}


def _grouped(troubles: Iterable[Trouble]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for reason, detail in troubles:
        found.setdefault(reason, []).append(detail)
    return found
