"""Feeds: which markets follow which oracle, whose turn it is, and how a price walks."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Final

from .oracles import Oracle
from .perps import PerpMarket
from .spots import SpotMarket

__all__ = ["Feed", "Turns", "move"]

_SIGMA: Final = 2.5e-4
_STABLE_SIGMA: Final = 5e-6
_PULL: Final = 0.002
_BET_RANGE: Final = (50_000, 950_000)


@dataclass
class Feed:
    """An oracle (None: the constant price of quote assets) and the markets that follow it."""

    oracle: Oracle | None
    perps: list[PerpMarket] = field(default_factory=list)
    spots: list[SpotMarket] = field(default_factory=list)

    @property
    def is_invalid(self) -> bool:
        """Whether the oracle says 0, which the program refuses."""
        return self.oracle is not None and self.oracle.raw == 0

    @property
    def moves(self) -> bool:
        """Whether anything is to move here: a live market, or an oracle that no market reads."""
        if self.is_invalid:
            return False
        markets = [*self.perps, *self.spots]
        return not markets or any(not (isinstance(m, PerpMarket) and m.is_frozen) for m in markets)


class Turns:
    """Takes feeds in an order that is shuffled anew each round, so that none falls behind."""

    def __init__(self) -> None:
        self._round: Iterator[Feed] = iter(())

    def next(self, feeds: Collection[Feed], rng: random.Random) -> Feed | None:
        """Return the feed whose turn it is; None when none of them moves."""
        feed = next(self._round, None)
        if feed is None:
            moving = [entry for entry in feeds if entry.moves]
            rng.shuffle(moving)
            self._round = iter(moving)
            feed = next(self._round, None)
        return feed


def move(oracle: Oracle, rng: random.Random, now: float, slot: int) -> None:
    """Let an oracle's price take one random step, drawn back a little to where it started."""
    sigma = _STABLE_SIGMA if oracle.is_stable else _SIGMA
    pull = _PULL * (oracle.base_raw - oracle.raw) / oracle.base_raw
    raw = round(oracle.raw * (1 + pull + rng.gauss(0, sigma)))
    if raw == oracle.raw:
        raw += rng.choice((-1, 1))
    if oracle.family == "prelaunch":
        raw = min(max(raw, _BET_RANGE[0]), _BET_RANGE[1])
    raw = max(1, raw)
    oracle.post(raw, round(raw * rng.uniform(1e-4, 5e-4)), now, slot)
