"""What stands on one subject: the last content, whether the stream has it, and the message that brings the next."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from operator import itemgetter
from typing import Any, Final

import msgpack

from drift_publisher.lanes import Message
from drift_schemas import (
    CONTENT_TYPE,
    EVENT_TYPES,
    MSG_ID_HEADER,
    REASSERTION_HEADER,
    SCHEMA_HEADER,
    TTL_HEADER,
    Kind,
    MarketDataEvent,
    bucket_ttl_s,
    encode,
    reassert_every_s,
    schema_of,
)

__all__ = ["Standing"]

_NOT_CONTENT: Final = frozenset({"slot", "observed_at_ns", "published_at_ns", "epoch", "schema_version"})
_CONTENT: Final[dict[Kind, Callable[[dict[str, Any]], tuple[Any, ...]]]] = {
    kind: itemgetter(*(name for name in model.model_fields if name not in _NOT_CONTENT))
    for kind, model in EVENT_TYPES.items()
}


class Standing:
    """One subject of one market.

    Args:
        kind: The kind of its events.
        subject: Its ingress subject.
    """

    __slots__ = ("_confirmed_at", "_content", "_headers", "_identity_slot", "_is_stored", "_kind", "_seen", "_subject")

    def __init__(self, kind: Kind, subject: str) -> None:
        self._kind = kind
        self._subject = subject
        self._headers = {"Content-Type": CONTENT_TYPE, SCHEMA_HEADER: schema_of(kind)}
        self._content: tuple[Any, ...] | None = None
        self._is_stored = False
        self._confirmed_at = 0.0
        self._identity_slot = -1
        self._seen: Counter[bytes] = Counter()

    def is_due(self, now: float) -> bool:
        """It has not been confirmed for a third of its TTL."""
        return now - self._confirmed_at >= reassert_every_s(self._kind)

    def next_message(self, event: MarketDataEvent, now: float, *, reassert: bool) -> Message | None:
        """The message that ``event`` calls for: a change, a re-assertion, or none.

        Args:
            event: The market's state now.
            now: Monotonic seconds.
            reassert: Confirm the content where it did not change.
        """
        content = _CONTENT[self._kind](event.__dict__)
        is_new = content != self._content
        if not is_new and not reassert:
            return None
        if is_new or self._content is None:
            self._content, self._is_stored = content, False
        content = self._content
        self._confirmed_at = now
        ttl_s = bucket_ttl_s(self._kind)
        identity = self._identity(event, content, is_new=is_new)
        headers = {**self._headers, MSG_ID_HEADER: identity}
        if self._is_stored:
            headers[MSG_ID_HEADER] = f"{identity}.r{event.published_at_ns // 1_000_000_000}"
            headers[REASSERTION_HEADER] = "1"
            headers[TTL_HEADER] = str(ttl_s)

        def stored() -> None:
            if self._content is content:
                self._is_stored = True

        return Message(self._subject, encode(event), headers, now + ttl_s, stored)

    def _identity(self, event: MarketDataEvent, content: tuple[Any, ...], *, is_new: bool) -> str:
        """Program, kind, market, slot and content, the same in every process.

        Content that comes back within one slot is another event, and counts on.
        """
        if event.slot != self._identity_slot:
            self._identity_slot = event.slot
            self._seen.clear()
        packed = msgpack.packb(content, default=str)
        digest = hashlib.blake2b(packed, digest_size=12).digest()
        self._seen[digest] += is_new
        again = self._seen[digest]
        where = f"{event.program}.{event.kind}.{event.market_type}{event.market_index}.{event.slot}"
        return f"{where}.{digest.hex()}.{again}" if again > 1 else f"{where}.{digest.hex()}"
