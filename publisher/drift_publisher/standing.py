"""What stands on one subject: the last content, whether the stream has it, and the message that brings the next."""

from __future__ import annotations

import hashlib
from typing import Final, NamedTuple

import msgpack

from drift_publisher.lanes import Message
from drift_publisher.market_names import MarketKey
from drift_publisher.projection import Content, Origin
from drift_publisher.term_ids import TermIds
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


_NEVER: Final = float("-inf")


class Standing:
    """One subject of one market.

    Args:
        kind: The kind of its events.
        market: The market's name.
        subject: Its ingress subject.
        ids: What tells this term's re-assertions apart.
        stored: The content that the stream holds already, if any.
        knows_stream: ``stored`` was read, so that nothing there means that the stream holds nothing.
    """

    __slots__ = (
        "_confirmed_at", "_content", "_headers", "_identity_of", "_ids", "_is_stored", "_is_withdrawn", "_kind",
        "_knows_stream", "_seen", "_sent_identity", "_ttl_s", "market", "subject",
    )  # fmt: skip

    def __init__(
        self,
        kind: Kind,
        market: str,
        subject: str,
        ids: TermIds,
        stored: Content | None = None,
        *,
        knows_stream: bool = False,
    ) -> None:
        self.market = market
        self._ids = ids
        self._knows_stream = knows_stream
        self._sent_identity = ""
        self._kind = kind
        self.subject = subject
        self._ttl_s = bucket_ttl_s(kind)
        self._headers = {"Content-Type": CONTENT_TYPE, SCHEMA_HEADER: schema_of(kind)}
        self._content = stored
        self._is_stored = stored is not None
        self._is_withdrawn = False
        self._confirmed_at = _NEVER
        self._identity_of: tuple[int, str] | None = None
        self._seen: dict[str, int] = {}

    def is_due(self, now: float) -> bool:
        """It has not been confirmed for a third of its TTL."""
        return now - self._confirmed_at >= reassert_every_s(self._kind)

    def withdraw(self) -> None:
        """The subject is not this market's any more: what has not been sent yet must not be."""
        self._is_withdrawn = True

    def _was_withdrawn(self) -> bool:
        return self._is_withdrawn

    def make_due(self) -> None:
        """It is to be confirmed now, whenever that was done last."""
        self._confirmed_at = _NEVER

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
        fields = encode_fields({**origin, **content})
        if self._is_stored:
            return self._reassertion(origin, fields, now)
        identity, digest = self._identity(origin, content, history, is_new=is_new)
        was_sent, self._sent_identity = identity == self._sent_identity, identity

        def stored() -> None:
            if self._content is content:
                self._is_stored = True

        def duplicate(is_retry: bool) -> None:
            """The stream has had this very event, so it must not stand there twice; but since when is not told."""
            if self._content is not content:
                return
            self._confirmed_at = _NEVER
            if is_retry or was_sent or not self._knows_stream:
                self._is_stored = True
            elif self._identity_of == (origin["slot"], history):  # something else stands there since
                self._seen[digest] += 1

        news_age_s = max(0, origin["published_at_ns"] - origin["observed_at_ns"]) / 1e9 if is_news else None
        headers = {**self._headers, MSG_ID_HEADER: identity}
        return Message(
            self.subject,
            fields,
            headers,
            now + self._ttl_s,
            stored,
            now,
            news_age_s,
            on_duplicate=duplicate,
            is_withdrawn=self._was_withdrawn,
        )

    def _reassertion(self, origin: Origin, payload: bytes, now: float) -> Message:
        """Confirms what the stream has; its id is its own, whatever the content and the time."""
        identity = (
            f"{origin['program']}.{self._kind}.{origin['market_type']}{origin['market_index']}.{self._ids.next()}"
        )
        headers = {
            **self._headers, MSG_ID_HEADER: identity, REASSERTION_HEADER: "1", TTL_HEADER: str(self._ttl_s)
        }  # fmt: skip

        def duplicate(_: bool) -> None:
            self._confirmed_at = _NEVER

        return Message(
            self.subject, payload, headers, now + self._ttl_s, _nothing, now,
            is_reassertion=True, on_duplicate=duplicate, is_withdrawn=self._was_withdrawn,
        )  # fmt: skip

    def _identity(self, origin: Origin, content: Content, history: str, *, is_new: bool) -> tuple[str, str]:
        """Program, kind, market, slot and content, the same in every process.

        Content that comes back within one slot is another event, and counts on. Where slots started over, the same
        slot comes again, so the history goes along. Returns the digest of the content as well.
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
        return f"{identity}.{again}" if again > 1 else identity, digest


def _nothing() -> None:
    """Nothing follows from it."""
