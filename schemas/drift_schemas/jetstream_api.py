"""The subjects of JetStream's API, of the server we are connected to or of a domain: written here, and only here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

__all__ = ["InvalidDomain", "JetStreamApi"]

_DOMAIN: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_OWN: Final = "API"  # $JS.API is the API itself, so no domain can have that name


class InvalidDomain(ValueError):
    """A name that a JetStream domain cannot have."""


@dataclass(frozen=True, slots=True)
class JetStreamApi:
    """Where JetStream listens for requests.

    A leaf node passes no request under ``$JS.API`` on to its hub, but those to the hub's domain. A domain's name is
    understood at the hub as well, so one setting serves both.

    Attributes:
        domain: The domain of the servers that hold the streams; ``None``: those we are connected to.

    Raises:
        InvalidDomain: a domain cannot be called so.
    """

    domain: str | None = None

    def __post_init__(self) -> None:
        if self.domain is not None and (not _DOMAIN.fullmatch(self.domain) or self.domain == _OWN):
            raise InvalidDomain(f"JetStream domain {self.domain!r}: use 1 to 64 of A-Z a-z 0-9 _ -, and not {_OWN}")

    @property
    def prefix(self) -> str:
        """``$JS.API``, or ``$JS.<domain>.API``."""
        return "$JS.API" if self.domain is None else f"$JS.{self.domain}.API"

    def subject(self, action: str) -> str:
        """The subject of a request, such as ``STREAM.INFO.DRIFT``."""
        return f"{self.prefix}.{action}"

    def direct_get(self, stream: str, subject: str = "") -> str:
        """The subject of a direct get: of the stream's last message on ``subject``, or of what the request says."""
        return self.subject(f"DIRECT.GET.{stream}.{subject}" if subject else f"DIRECT.GET.{stream}")

    @property
    def silence(self) -> str:
        """What it means that nobody listens there, and what to do."""
        if self.domain is None:
            return f"no JetStream answers under {self.prefix}: {self.elsewhere}; else start nats-server with -js"
        return (
            f"no JetStream answers under {self.prefix}: the leaf node may have lost its hub, or no domain is called "
            f"{self.domain!r} (DRIFT_BUS_NATS_DOMAIN)"
        )

    @property
    def elsewhere(self) -> str:
        """Where to look for what JetStream does not have here."""
        if self.domain is None:
            return "behind a leaf node give the hub's JetStream domain (DRIFT_BUS_NATS_DOMAIN)"
        return f"is {self.domain!r} the domain of the publisher's server (DRIFT_BUS_NATS_DOMAIN)?"

    def no_stream(self, stream: str) -> str:
        """What it means that JetStream answers and has no such stream, and what to do."""
        where = "on this server" if self.domain is None else f"in the JetStream domain {self.domain!r}"
        return f"there is no stream {stream} {where}: has a publisher run here with this prefix? {self.elsewhere}"
