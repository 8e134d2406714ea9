"""What stands on one subject: the last content, whether the stream has it, and the message that brings the next."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import msgpack

from drift_publisher.lanes import Message
from drift_publisher.market_names import MarketKey
from drift_publisher.projection import Content, Origin
from drift_schemas import (
    CONTENT_TYPE,
    MSG_ID_HEADER,
    REASSERTION_HEADER,
    SCHEMA_HEADER,
    TTL_HEADER,
    Kind,
    bucket_ttl_s,
    encode_fields,
    reassert_every_s,
    schema_of,
)

__all__ = ["Standing", "Stored"]


class Stored(NamedTuple):
    """What stands on a subject in the stream: a market's content."""

    market: MarketKey
    content: Content


class Standing:
    """One subject of one market.

    Args:
        kind: The kind of its events.
        market: The market's name.
        subject: Its ingress subject.
        stored: The content that the stream holds already, if any.
    """

    __slots__ = (
        "_confirmed_at", "_content", "_headers", "_identity_of", "_is_stored", "_is_withdrawn", "_kind", "_seen",
        "_subject", "_ttl_s", "market",
    )  # fmt: skip

    def __init__(self, kind: Kind, market: str, subject: str, stored: Content | None = None) -> None:
        self.market = market
        self._kind = kind
        self._subject = subject
        self._ttl_s = bucket_ttl_s(kind)
        self._headers = {"Content-Type": CONTENT_TYPE, SCHEMA_HEADER: schema_of(kind)}
        self._content = stored
        self._is_stored = stored is not None
        self._is_withdrawn = False
        self._confirmed_at = 0.0
        self._identity_of: tuple[int, str] | None = None
        self._seen: dict[str, int] = {}

    def is_due(self, now: float) -> bool:
        """It has not been confirmed for a third of its TTL."""
        return now - self._confirmed_at >= reassert_every_s(self._kind)

    def withdraw(self) -> None:
        """The subject is not this market's any more: what has not been sent yet must not be."""
        self._is_withdrawn = True

    def next_message(
        self,
        origin: Origin,
        content: Content,
        now: float,
        *,
        reassert: bool,
        is_news: bool = False,
        history: str = "",
    ) -> Message | None:
        """The message that the market's state calls for: a change, a re-assertion, or none.

        Args:
            origin: Where and when the content was seen.
            content: What an event would say now.
            now: Monotonic seconds.
            reassert: Confirm the content where it did not change.
            is_news: A notification calls for it, which arrived when ``origin`` says.
            history: Names the history of slots that the origin's slot is of; empty in the first.
        """
        is_new = content != self._content
        if not is_new and not reassert:
            return None
        if is_new or self._content is None:
            self._content, self._is_stored = content, False
        content = self._content
        self._confirmed_at = now
        identity = self._identity(origin, content, history, is_new=is_new)
        headers = {**self._headers, MSG_ID_HEADER: identity}
        if self._is_stored:
            headers[MSG_ID_HEADER] = f"{identity}.r{origin['published_at_ns'] // 1_000_000_000}"
            headers[REASSERTION_HEADER] = "1"
            headers[TTL_HEADER] = str(self._ttl_s)

        def stored() -> None:
            if self._content is content:
                self._is_stored = True

        news_age_s = max(0, origin["published_at_ns"] - origin["observed_at_ns"]) / 1e9 if is_news else None
        payload = encode_fields({**origin, **content})
        is_reassertion = REASSERTION_HEADER in headers
        return Message(
            *(self._subject, payload, headers, now + self._ttl_s, stored, now, news_age_s, is_reassertion),
            is_withdrawn=lambda: self._is_withdrawn,
        )

    def _identity(self, origin: Origin, content: Content, history: str, *, is_new: bool) -> str:
        """Program, kind, market, slot and content, the same in every process.

        Content that comes back within one slot is another event, and counts on. Where slots started over, the same
        slot comes again, so the history goes along.
        """
        slot = origin["slot"]
        if (slot, history) != self._identity_of:
            self._identity_of = (slot, history)
            self._seen.clear()
        packed = msgpack.packb((origin["cluster"], origin["market"], *content.values()), default=str)
        digest = hashlib.blake2b(packed, digest_size=12).hexdigest()
        again = self._seen[digest] = self._seen.get(digest, 0) + is_new
        market = f"{origin['market_type']}{origin['market_index']}"
        told_at = f"{slot}@{history}" if history else f"{slot}"
        identity = f"{origin['program']}.{self._kind}.{market}.{told_at}.{digest}"
        return f"{identity}.{again}" if again > 1 else identity
