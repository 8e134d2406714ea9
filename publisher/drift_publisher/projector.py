"""From touched markets to events on the bus: what changed is published, what did not is re-asserted."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from drift_publisher.accounts import Market, PerpMarket, SpotMarket
from drift_publisher.journal import Journal
from drift_publisher.market_names import MarketKey
from drift_publisher.outbox import Outbox
from drift_publisher.projection import (
    Content,
    Origin,
    funding_content,
    market_content,
    perp_price_content,
    quote,
    spot_content,
    spot_price_content,
)
from drift_publisher.standing import Standing, Stored
from drift_publisher.store import AccountStore, Touched
from drift_publisher.term_ids import TermIds
from drift_schemas import SCHEMA_VERSION, InvalidMarketName, Kind, Topology

__all__ = ["Projector", "kinds_of"]

_log = logging.getLogger(__name__)
_PERP_KINDS: Final[tuple[Kind, ...]] = ("price", "funding", "market")
_SPOT_KINDS: Final[tuple[Kind, ...]] = ("price", "spot")
_BY_ORACLE: Final[tuple[Kind, ...]] = ("price",)
_OF_ITS_OWN_ACCOUNT: Final = frozenset({"market", "spot"})
"""Kinds that need no oracle and no State."""


class Projector:
    """Turns account updates into messages.

    Args:
        store: Where the accounts are.
        bus: Where the messages go.
        topology: Names of subjects.
        cluster: As events say it.
        epoch: This publisher's epoch.
        stored: Ingress subject → what the stream holds there already; ``None`` where that could not be read.
        chain_slot: The chain's newest slot as the source knows it.
        is_confirmed: Whether an account was heard of or read lately; what rests on one that was not is not published.
        history: Names the history of slots; empty in the first.
        clock, wall_ns: Monotonic seconds; Unix nanoseconds.
    """

    def __init__(
        self,
        store: AccountStore,
        bus: Outbox,
        topology: Topology,
        *,
        cluster: str,
        epoch: int,
        stored: Mapping[str, Stored] | None = None,
        chain_slot: Callable[[], int],
        is_confirmed: Callable[[str], bool] = lambda _: True,
        history: Callable[[], str] = str,
        clock: Callable[[], float] = time.monotonic,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._store = store
        self._bus = bus
        self._topology = topology
        self.cluster = cluster
        self.epoch = epoch
        self._knows_stream = stored is not None
        self._stored = dict(stored or {})
        self._ids = TermIds(epoch)
        self._chain_slot = chain_slot
        self._is_confirmed = is_confirmed
        self._history = history
        self._clock = clock
        self._wall_ns = wall_ns
        self._journal = Journal(bus, topology, clock=clock)
        self._standings: dict[tuple[Kind, MarketKey], Standing] = {}
        self._unnameable: set[str] = set()
        self._held_back: set[tuple[Kind, MarketKey]] = set()

    def publish(self, touched: Touched) -> None:
        """Publishes what an update changed; what waits to be sent under a name that moved is not sent any more."""
        for key in touched.markets:
            self._withdraw_renamed(key)
        for key in touched.markets:
            self._publish(key, kinds_of(key), is_news=True)
        for key in touched.by_oracle:
            is_new = ("price", key) not in self._standings
            self._publish(key, kinds_of(key) if is_new else _BY_ORACLE, is_news=True)

    def publish_all(self) -> None:
        """Publishes every market's current state, unless it stands there already."""
        for key in self._store.market_keys():
            self._publish(key, kinds_of(key))

    def reassert_due(self) -> None:
        """Confirms what has not been confirmed for a third of its TTL; call only while the chain is alive.

        What was held back because nobody had told of an account behind it is published, once somebody has.
        """
        now = self._clock()
        held_back, self._held_back = self._held_back, set()
        for kind, key in sorted(held_back):
            self._publish(key, (kind,))
        for (kind, key), standing in list(self._standings.items()):
            if standing.is_due(now):
                self._publish(key, (kind,), reassert=True)

    def confirm(self, kind: Kind, tokens: Iterable[str]) -> None:
        """Makes these values due now, by their subjects' tokens: a bucket lost them."""
        wanted = {f"in.{self._topology.prefix}.{kind}.{token}" for token in tokens}
        for (one, _), standing in self._standings.items():
            if one == kind and standing.subject in wanted:
                standing.make_due()

    def write_journal(self) -> None:
        """Writes down which re-assertions were acknowledged since the last time."""
        self._journal.write()

    def _publish(
        self, key: MarketKey, kinds: tuple[Kind, ...], *, reassert: bool = False, is_news: bool = False
    ) -> None:
        market = self._store.market(key)
        if market is None or not self._store.oracle_was_read(market):
            return
        name = self._store.names[key]
        if name in self._unnameable:
            return
        kinds = self._confirmed(market, key, kinds)
        if not kinds:
            return
        try:
            origin, now, history = self._origin(market, key, name), self._clock(), self._history()
            for kind, content in self._project(key, kinds, origin):
                standing = self._standing_of(kind, key, name)
                message = standing.next_message(
                    origin, content, now, reassert=reassert, is_news=is_news, history=history
                )
                if message is not None:
                    self._bus.submit(message)
        except InvalidMarketName as refused:
            self._unnameable.add(name)
            self._store.refused["market name"] += 1
            fields = {"market": f"{key.type} {key.market_index}"}
            _log.warning("%s market %d is not published: %s", key.type, key.market_index, refused, extra=fields)
        except (ArithmeticError, LookupError, ValueError):
            self._store.refused["projection"] += 1
            if self._store.refused["projection"] == 1:
                where = {"market": name, "epoch": self.epoch}
                _log.exception("%s cannot be projected; the other markets go on", name, extra=where)

    def _confirmed(self, market: Market, key: MarketKey, kinds: tuple[Kind, ...]) -> tuple[Kind, ...]:
        """Those of the kinds of which every account that they rest on was told of lately; notes the others.

        The newest report of the market's own account must have been believed, too.
        """
        own_is = self._is_confirmed(market.pubkey) and not self._store.is_doubtful(market.pubkey)
        if own_is and all(map(self._is_confirmed, self._store.beside(market))):
            return kinds
        confirmed = tuple(kind for kind in kinds if own_is and kind in _OF_ITS_OWN_ACCOUNT)
        self._held_back.update((kind, key) for kind in kinds if kind not in confirmed)
        return confirmed

    def _project(self, key: MarketKey, kinds: Iterable[Kind], origin: Origin) -> Iterator[tuple[Kind, Content]]:
        slot = max(self._chain_slot(), origin["slot"])
        if key.type == "perp":
            now_s = origin["observed_at_ns"] // 1_000_000_000
            return self._project_perp(self._store.perp_markets[key.market_index], kinds, slot, now_s)
        return self._project_spot(self._store.spot_markets[key.market_index], kinds, slot)

    def _project_perp(
        self, market: PerpMarket, kinds: Iterable[Kind], slot: int, now_s: int
    ) -> Iterator[tuple[Kind, Content]]:
        store, rules = self._store, self._store.profile.rules
        oracle = store.oracle(market)
        quoted = quote(market, oracle, rules, now_s)
        for kind in kinds:
            if kind == "price":
                yield kind, perp_price_content(market, oracle, quoted, store.state, slot, rules)
            elif kind == "funding":
                yield kind, funding_content(market, oracle, quoted, store.state, rules, now_s)
            else:
                yield kind, market_content(market)

    def _project_spot(self, market: SpotMarket, kinds: Iterable[Kind], slot: int) -> Iterator[tuple[Kind, Content]]:
        store, rules = self._store, self._store.profile.rules
        for kind in kinds:
            if kind == "price":
                yield kind, spot_price_content(market, store.oracle(market), store.state, slot, rules)
            else:
                yield kind, spot_content(market, rules)

    def _origin(self, market: Market, key: MarketKey, name: str) -> Origin:
        own, oracle = self._store.version(market.pubkey), self._store.version(market.oracle)
        return {
            "schema_version": SCHEMA_VERSION,
            "program": self._store.profile.name,
            "cluster": self.cluster,
            "epoch": self.epoch,
            "slot": max(own.slot if own else 0, oracle.slot if oracle else 0),
            "published_at_ns": self._wall_ns(),
            "market": name,
            "market_type": key.type,
            "market_index": key.market_index,
            "observed_at_ns": max(own.received_ns if own else 0, oracle.received_ns if oracle else 0),
        }

    def _standing_of(self, kind: Kind, key: MarketKey, market: str) -> Standing:
        standing = self._standings.get((kind, key))
        if standing is None or standing.market != market:
            subject = self._topology.subjects.ingress(kind, market)
            # What the stream held at the start of the term counts once, and for the market that it is of.
            stored = self._stored.pop(subject, None)
            content = stored.content if stored is not None and stored.market == key else None
            standing = self._standings[kind, key] = Standing(
                kind, market, subject, self._ids, content, knows_stream=self._knows_stream
            )
        return standing

    def _withdraw_renamed(self, key: MarketKey) -> None:
        """Another market may have the name now, or nobody: nothing of this one may follow under it."""
        name = self._store.names.get(key)
        for kind in kinds_of(key):
            standing = self._standings.get((kind, key))
            if standing is not None and standing.market != name:
                standing.withdraw()
                del self._standings[kind, key]


def kinds_of(key: MarketKey) -> tuple[Kind, ...]:
    """The kinds of event that tell of a market."""
    return _PERP_KINDS if key.type == "perp" else _SPOT_KINDS
