"""What the simulated chain really holds, version by version, and how much of it the bus has shown."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Collection, Mapping
from typing import Any, Final

from benchmarks.recording import filled_store
from benchmarks.traffic import Key, keys_shown, keys_told
from drift_publisher.source import AccountUpdate
from drift_publisher.store import Touched
from drift_simulator import Simulator
from drift_simulator.ledger import Account

__all__ = ["Part", "Truth"]

Part = tuple[str, str]
"""Whose content: ``oracle`` or ``twap``, and the market's name."""

_PARTS: Final = frozenset({"oracle", "twap"})
_REMEMBERED: Final = 600


class Truth:
    """Compares every price event with what the ledger held, whatever fault bends the node's answers.

    Attributes:
        newest: Number of the newest content of each part.
        wrong: Events with content that no account ever held.
        went_back: Events with content older than what the bus had shown.
    """

    def __init__(self, simulator: Simulator) -> None:
        ledger = simulator.cluster.ledger
        self.newest: dict[Part, int] = {}
        self.wrong = self.went_back = 0
        self._count = 0
        self._last: dict[Part, Key] = {}
        self._versions: defaultdict[Key, list[int]] = defaultdict(list)
        self._shown_key: dict[Part, Key] = {}
        self._shown: defaultdict[Part, int] = defaultdict(lambda: -1)
        self._past: deque[tuple[float, dict[Part, int]]] = deque(maxlen=_REMEMBERED)
        self._store = filled_store(
            [AccountUpdate(address, held.owner, 0, bytes(held.data), 1) for address, held in ledger.items()]
        )
        keys = self._store.market_keys()
        self._note(Touched(markets=keys, by_oracle=keys))
        ledger.listen(self._on_write)

    def _on_write(self, address: str, account: Account) -> None:
        self._note(self._store.apply(AccountUpdate(address, account.owner, 1, bytes(account.data), 1)))

    def _note(self, touched: Touched) -> None:
        for key in keys_told(self._store, touched):
            part = (key[0], key[1])
            if key[0] in _PARTS and self._last.get(part) != key:
                self._count += 1
                self._last[part] = key
                self._versions[key].append(self._count)
                self.newest[part] = self._count

    def show(self, event: Mapping[str, Any]) -> None:
        """Takes a price event from the bus."""
        for key in keys_shown("price", event):
            part, versions = (key[0], key[1]), self._versions.get(key)
            if not versions:
                self.wrong += key[2] is not None  # an event may say that there is no price
                continue
            shown = self._shown[part]  # content that comes back is the next of its versions, not the last
            version = next((number for number in versions if number >= shown), versions[-1])
            self.went_back += version < shown
            self._shown_key[part] = key
            self._shown[part] = max(version, shown)

    def lacks(self, wanted: Mapping[Part, int], *, but: Collection[str] = ()) -> set[str]:
        """Markets of which the bus has not yet shown that content, leaving some markets out."""
        return {
            part[1]
            for part, version in wanted.items()
            if part[1] not in but and self._shown[part] < version and self._shown_key.get(part) != self._last[part]
        }

    def remember(self) -> None:
        """Keeps what is newest now, for :meth:`is_behind`."""
        self._past.append((time.monotonic(), dict(self.newest)))

    def is_behind(self, seconds: float, *, but: Collection[str] = ()) -> bool:
        """Some market's content of so long ago, or a newer one, has not been shown."""
        limit = time.monotonic() - seconds
        wanted = next((newest for at, newest in reversed(self._past) if at <= limit), None)
        return wanted is not None and bool(self.lacks(wanted, but=but))
