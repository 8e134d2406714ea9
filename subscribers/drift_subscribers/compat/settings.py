"""The compatibility layer's settings: where the bus is, and the old manager's ``DRIFT_*`` variables."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from drift_schemas import Kind, bucket_ttl_s, reassert_every_s
from drift_schemas.access import AccessError, NatsAccess
from drift_subscribers.compat.notes import NOTES

__all__ = ["CompatSettings"]

_TTL_VARIABLES: Final[dict[Kind, str]] = {
    "funding": "DRIFT_CACHE_TTL_FUNDING",
    "price": "DRIFT_CACHE_TTL_PRICE",
    "market": "DRIFT_CACHE_TTL_MARKETS",
}


@dataclass(frozen=True, slots=True)
class CompatSettings:
    """What the environment says when a feed is opened.

    Attributes:
        nats_servers: ``DRIFT_BUS_NATS_URL``: the NATS server, or servers of one cluster separated by commas.
        subject_prefix: ``DRIFT_BUS_SUBJECT_PREFIX``: the bus's subject prefix.
        ttl_s: ``DRIFT_CACHE_TTL_FUNDING``, ``_PRICE``, ``_MARKETS`` by kind: an entry that was neither changed nor
            confirmed for longer counts as absent. They can only be stricter than the bus's own limits.
        max_retries: ``DRIFT_MAX_RETRIES``: attempts at opening the feed, all in all.
        retry_backoff_s: ``DRIFT_RETRY_BACKOFF``: bound of the first pause between two of them; it doubles from pause
            to pause, and each pause is drawn between 0 and its bound.
        access: ``DRIFT_BUS_NATS_NKEY_SEED_FILE``, ``DRIFT_BUS_NATS_TLS_CA`` and their like.
    """

    nats_servers: tuple[str, ...] = ("nats://127.0.0.1:4222",)
    subject_prefix: str = "drift"
    ttl_s: Mapping[Kind, float] = field(default_factory=dict)
    max_retries: int = 3
    retry_backoff_s: float = 1.0
    access: NatsAccess | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> CompatSettings:
        """Reads the variables; one that makes no sense is logged once and its default taken."""
        variables = os.environ if environment is None else environment
        servers = tuple(url.strip() for url in variables.get("DRIFT_BUS_NATS_URL", "").split(",") if url.strip())
        ttl_s = {kind: _ttl_s(variables, kind, name) for kind, name in _TTL_VARIABLES.items()}
        return cls(
            nats_servers=servers or cls().nats_servers,
            subject_prefix=variables.get("DRIFT_BUS_SUBJECT_PREFIX") or cls().subject_prefix,
            ttl_s=ttl_s,
            max_retries=max(1, int(_number(variables, "DRIFT_MAX_RETRIES", 3, lambda value: value >= 0))),
            retry_backoff_s=_number(variables, "DRIFT_RETRY_BACKOFF", 1.0, lambda value: value >= 0),
            access=_access(variables),
        )


def _access(variables: Mapping[str, str]) -> NatsAccess | None:
    try:
        access = NatsAccess.from_environment(variables)
    except AccessError as error:
        NOTES.say("setting", "DRIFT_BUS_NATS", text=f"{error}; trying without credentials")
        return None
    return None if access == NatsAccess() else access


def _ttl_s(variables: Mapping[str, str], kind: Kind, name: str) -> float:
    bus_ttl_s = float(bucket_ttl_s(kind))
    ttl_s = _number(variables, name, bus_ttl_s, lambda value: value > 0)
    if ttl_s < reassert_every_s(kind):
        text = (
            f"{name}={ttl_s:g}: an unchanged {kind} is confirmed every {reassert_every_s(kind):.1f} s only, so it will"
            " be None in between; set it to more, or leave it out"
        )
        NOTES.say("setting", name, text=text)
    return min(ttl_s, bus_ttl_s)


def _number(variables: Mapping[str, str], name: str, default: float, allowed: Callable[[float], bool]) -> float:
    given = variables.get(name, "").strip()
    if not given:
        return default
    try:
        value = float(given)
    except ValueError:
        value = math.nan
    if math.isfinite(value) and allowed(value):
        return value
    NOTES.say("setting", name, text=f"{name}={given!r} makes no sense here: {default:g} is used; correct or remove it")
    return default
