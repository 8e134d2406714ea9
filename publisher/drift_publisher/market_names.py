"""Which name each market has on the bus: its own, unless another market has it or several live ones claim it."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from drift_schemas import InvalidMarketName, indexed_name, market_token, parse_indexed_name

__all__ = ["ENDED", "MarketKey", "MarketNames", "explain_clash"]

_log = logging.getLogger(__name__)

ENDED: Final = frozenset({"Settlement", "Delisted"})
"""Statuses of markets that nobody trades any more: in settlement positions are only closed, at a price that is fixed;
delisting is what follows it."""
_RANKS: Final[Mapping[str, int]] = {"Delisted": 0, "Settlement": 1, "Initialized": 2}
_LIVE: Final = 3


class MarketKey(NamedTuple):
    """A market's identity: ``perp`` or ``spot``, and its index."""

    type: Literal["perp", "spot"]
    market_index: int

    def __str__(self) -> str:
        return f"{self.type} market {self.market_index}"


class MarketNames:
    """Names of markets as the bus says them. They follow from what the chain says now, and from nothing else.

    The programs let two markets have one name. The live one has it; one that has ended is reachable by its index
    (``SOL-PERP_p81``, see :func:`~drift_schemas.indexed_name`) once another has taken its name. A market that trades
    goes before one that is only initialized, that before one in settlement, and that before a delisted one; of several
    that have ended, the one that was listed last has the name. Several live ones of one name are all refused it: nobody
    could say which is meant. Each is then reachable by its index. Perp and spot markets share names, because they share
    the subjects of prices.
    """

    def __init__(self) -> None:
        self._claims: defaultdict[str, dict[MarketKey, int]] = defaultdict(dict)
        self._claimed: dict[MarketKey, str] = {}
        self._names: dict[MarketKey, str] = {}
        self.clashes: dict[str, tuple[MarketKey, ...]] = {}
        """On-chain names that several live markets have, so that none has it on the bus."""

    def __getitem__(self, key: MarketKey) -> str:
        """The market's name on the bus.

        Raises:
            KeyError: it is not held.
        """
        return self._names[key]

    def get(self, key: MarketKey) -> str | None:
        """The market's name on the bus; ``None`` where it is not held."""
        return self._names.get(key)

    def claim(self, key: MarketKey, name: str, status: str) -> tuple[MarketKey, ...]:
        """Notes a market's on-chain name and status; returns the others whose names on the bus are changed by it."""
        before, rank = self._claimed.get(key), _RANKS.get(status, _LIVE)
        if before == name and self._claims[name].get(key) == rank:
            return ()  # as with nearly every report about a market
        self._claimed[key] = name
        self._claims[name][key] = rank
        moved = [] if before in (None, name) else self._withdraw(before or "", key)
        moved += self._settle(name)
        return tuple(dict.fromkeys(other for other in moved if other != key))

    def drop(self, key: MarketKey) -> tuple[MarketKey, ...]:
        """Forgets a market that is not held any more; returns the others whose names on the bus are changed by it."""
        name = self._claimed.pop(key, None)
        self._names.pop(key, None)
        return () if name is None else tuple(self._withdraw(name, key))

    def _withdraw(self, name: str, key: MarketKey) -> list[MarketKey]:
        self._claims[name].pop(key, None)
        return self._settle(name)

    def _settle(self, name: str) -> list[MarketKey]:
        claims = self._claims[name]
        if not _is_nameable(name):  # such a market is not published at all, so nobody has to be told apart
            self._names.update(dict.fromkeys(claims, name))
            return []
        first = max(claims.values(), default=0)
        best = [key for key, rank in claims.items() if rank == first]
        clash = tuple(sorted(best)) if len(best) > 1 and first >= _RANKS["Initialized"] else ()
        self._note_clash(name, clash)
        # Who was listed last has the name of several that have ended; a perp market before a spot market.
        holder = None if clash or not best else max(best, key=lambda key: (key.market_index, key.type == "perp"))
        moved = []
        for key in claims:
            own = key == holder and parse_indexed_name(name) is None
            told = name if own else indexed_name(name, key.type, key.market_index)
            if self._names.get(key) != told:
                self._names[key] = told
                moved.append(key)
        if not claims:
            del self._claims[name]
        return moved

    def _note_clash(self, name: str, clash: tuple[MarketKey, ...]) -> None:
        if clash == self.clashes.get(name, ()):
            return
        if not clash:
            del self.clashes[name]
            _log.info("the name %s is no longer claimed by several live markets", name, extra={"market": name})
            return
        self.clashes[name] = clash
        _log.error("%s", explain_clash(name, clash), extra={"market": name})


def _is_nameable(name: str) -> bool:
    try:
        market_token(name)
    except InvalidMarketName:
        return False
    return True


def explain_clash(name: str, clash: tuple[MarketKey, ...]) -> str:
    """In one line: who claims the name, and where each is instead."""
    who = " and ".join(str(key) for key in clash)
    where = " and ".join(indexed_name(name, key.type, key.market_index) for key in clash)
    return f"{who} are live and all named {name}: none of them has the name; they are published as {where}"
