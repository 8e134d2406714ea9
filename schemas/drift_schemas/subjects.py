"""The subjects of the bus: who publishes where, and what a subject says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal, get_args

from drift_schemas.names import market_token

__all__ = ["KINDS", "InvalidPrefix", "Kind", "Subjects"]

Kind = Literal["funding", "price", "market", "spot"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

_PREFIX: Final = re.compile(r"[A-Za-z0-9_-]{1,32}(\.[A-Za-z0-9_-]{1,32})*")


class InvalidPrefix(ValueError):
    """A subject prefix with characters that a subject, stream or bucket name cannot carry."""


@dataclass(frozen=True, slots=True)
class Subjects:
    """All subject names under one prefix.

    >>> Subjects().public("funding", "SOL-PERP")
    'drift.funding.SOL-PERP'
    """

    prefix: str = "drift"

    def __post_init__(self) -> None:
        if not _PREFIX.fullmatch(self.prefix):
            raise InvalidPrefix(
                f"subject prefix {self.prefix!r}: use tokens of A-Z a-z 0-9 _ -, joined by dots, like 'drift'"
            )

    @property
    def ingress_prefix(self) -> str:
        """The publisher's side: nothing but the stream listens there."""
        return f"in.{self.prefix}"

    @property
    def status(self) -> str:
        """The publisher's heartbeat, core NATS only, once a second."""
        return f"{self.prefix}.status"

    @property
    def epoch(self) -> str:
        """The stored subject of the current publisher's epoch."""
        return f"{self.prefix}.ctl.epoch"

    @property
    def lease(self) -> str:
        """The stored subject of the lead: who may publish, for a few seconds more."""
        return f"{self.prefix}.ctl.lease"

    @property
    def standbys(self) -> str:
        """Wildcard over the heartbeats of publishers that wait for the lead, core NATS only."""
        return f"{self.prefix}.standby.*"

    def standby(self, publisher_id: str) -> str:
        """The heartbeat of one publisher that waits for the lead."""
        return f"{self.prefix}.standby.{publisher_id}"

    @property
    def confirmed(self) -> str:
        """The stored journal of what the publisher confirmed, for re-assertions leave the history."""
        return f"{self.prefix}.ctl.confirmed"

    @property
    def canary(self) -> str:
        """The stored subject of ``drift-bus doctor``: whether what is published gets through. No engine reads it."""
        return f"{self.prefix}.ctl.canary"

    @property
    def everything(self) -> str:
        """Wildcard over every public subject."""
        return f"{self.prefix}.>"

    def ingress(self, kind: Kind, market: str) -> str:
        """Where the publisher sends an event of ``market`` (its on-chain name)."""
        return f"in.{self.prefix}.{kind}.{market_token(market)}"

    def public(self, kind: Kind, market: str) -> str:
        """Where an engine receives it."""
        return f"{self.prefix}.{kind}.{market_token(market)}"

    def of_kind(self, kind: Kind) -> str:
        """Wildcard over every market of one kind."""
        return f"{self.prefix}.{kind}.*"

    def parse(self, subject: str) -> tuple[Kind, str] | None:
        """Returns (kind, token) of a public subject, ``None`` for any other subject."""
        head, _, rest = subject.partition(f"{self.prefix}.")
        if head or not rest:
            return None
        kind, _, token = rest.partition(".")
        for known in KINDS:
            if kind == known and token and "." not in token:
                return known, token
        return None
