"""Which markets a publisher follows: all, or those that its settings name, by name or by index."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final, Literal, cast

from drift_publisher.market_names import MarketKey
from drift_schemas import parse_indexed_name

__all__ = ["Selection"]

_BY_INDEX: Final = re.compile(r"(perp|spot):(\d{1,5})")
_FEW_NAMES: Final = 12


class Selection:
    """The markets that are wanted.

    Args:
        wanted: For each its on-chain name (``SOL-PERP``: every market that has it), its index (``perp:81``), or the
            name that the bus makes of both (``SOL-PERP_p81``); none means all.
    """

    def __init__(self, wanted: Sequence[str] = ()) -> None:
        self._wanted = tuple(wanted)
        self._names = frozenset(wanted)
        self._keys = {one: key for one in wanted if (key := _key_of(one)) is not None}
        self._by_key = frozenset(self._keys.values())

    def __bool__(self) -> bool:
        """Not all markets are wanted."""
        return bool(self._wanted)

    def wants(self, key: MarketKey, name: str) -> bool:
        """Whether this market is one of them; ``name`` is the one on chain."""
        return not self._wanted or name in self._names or key in self._by_key

    def missing(self, seen: Iterable[tuple[MarketKey, str]]) -> str:
        """What is wanted and not there, with what is; empty where nothing is missing.

        Args:
            seen: Key and on-chain name of every market that the program has.
        """
        there = dict(seen)
        names = sorted(set(there.values()))
        missing = [one for one in self._wanted if not (one in names or self._keys.get(one) in there)]
        if not missing:
            return ""
        shown = ", ".join(names[:_FEW_NAMES]) + (f", … ({len(names)} in all)" if len(names) > _FEW_NAMES else "")
        return f"unknown market {', '.join(missing)}: the program has {shown or 'none'}"


def _key_of(wanted: str) -> MarketKey | None:
    if found := _BY_INDEX.fullmatch(wanted):
        return MarketKey(cast(Literal["perp", "spot"], found[1]), int(found[2]))
    parsed = parse_indexed_name(wanted)
    return None if parsed is None else MarketKey(*parsed)
