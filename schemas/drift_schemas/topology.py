"""The stream and the buckets behind the subjects, as data in the form of the JetStream API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from drift_schemas.codec import MAX_MESSAGE_BYTES
from drift_schemas.jetstream_api import JetStreamApi
from drift_schemas.subjects import KINDS, Kind, Subjects

__all__ = ["BUCKET_TTL_S", "Topology", "bucket_ttl_s", "differing_fields", "reassert_every_s"]

BUCKET_TTL_S: Final[dict[Kind, int]] = {"funding": 30, "price": 10, "market": 60, "spot": 60}
"""How long a key outlives its last confirmation, in seconds, by kind."""

_NS: Final = 1_000_000_000
_DUPLICATE_WINDOW_S: Final = 120  # the server refuses one that is longer than the stream's age
_SHORTEST_WINDOW: Final = 100_000_000  # nanoseconds, and the shortest that the server takes
_MARKER_S: Final = 60


def bucket_ttl_s(kind: Kind) -> int:
    """How long a value of this kind counts as fresh, in seconds."""
    return BUCKET_TTL_S[kind]


def reassert_every_s(kind: Kind) -> float:
    """How often the publisher confirms an unchanged value, in seconds: a third of the TTL."""
    return BUCKET_TTL_S[kind] / 3


def differing_fields(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """Names the fields of a stream's configuration that are not as wanted.

    Only what we ask for is compared; the server adds defaults of its own, which are not ours to judge.
    """
    return sorted(key for key, value in wanted.items() if not _same(value, found.get(key)))


def _same(wanted: Any, found: Any) -> bool:
    if isinstance(wanted, Mapping):
        return isinstance(found, Mapping) and not differing_fields(wanted, found)
    if isinstance(wanted, list):
        return (
            isinstance(found, list)
            and len(wanted) == len(found)
            and all(_same(*pair) for pair in zip(wanted, found, strict=True))
        )
    return bool(wanted == found) or (not wanted and not found)


@dataclass(frozen=True, slots=True)
class Topology:
    """Names and configurations of the streams and the buckets under one subject prefix.

    The configurations are the JSON objects of the JetStream API, so that whoever creates, reconciles or
    inspects them works from the same source.

    Attributes:
        prefix: The subject prefix; another prefix gives another stream and other buckets.
        max_age_s: Oldest message that the stream keeps, in seconds; 0 keeps all.
        max_bytes: Size limit of the stream; -1 means none. Keep it well below the disk's size.
        funding_max_age_s: Oldest message that the funding history keeps, in seconds; 0 keeps all.
        funding_max_bytes: Size limit of the funding history; -1 means none.
        replicas: Copies in a cluster: 1, 3 or 5.
        domain: The JetStream domain that holds them, where we are connected to a leaf node of it.
    """

    prefix: str = "drift"
    max_age_s: int = 7 * 24 * 3600
    max_bytes: int = 4 * 1024**3
    funding_max_age_s: int = 365 * 24 * 3600
    funding_max_bytes: int = 2 * 1024**3
    replicas: int = 1
    domain: str | None = None
    subjects: Subjects = field(init=False)
    api: JetStreamApi = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "subjects", Subjects(self.prefix))
        object.__setattr__(self, "api", JetStreamApi(self.domain))

    @property
    def stream(self) -> str:
        """Name of the stream: ``DRIFT`` for the prefix ``drift``."""
        return self.prefix.replace(".", "_").upper()

    @property
    def funding_history(self) -> str:
        """Name of the stream that keeps funding longer than the rest: ``DRIFT_FUNDING_HISTORY``."""
        return f"{self.stream}_FUNDING_HISTORY"

    def bucket(self, kind: Kind) -> str:
        """Name of a kind's key-value bucket: ``drift_funding``."""
        return f"{self.prefix.replace('.', '_')}_{kind}"

    def bucket_stream(self, kind: Kind) -> str:
        """Name of the stream that holds the bucket: ``KV_drift_funding``."""
        return f"KV_{self.bucket(kind)}"

    def stream_config(self) -> dict[str, Any]:
        """Store under the public subject, then republish: subscribers see only what is stored."""
        ingress, public = f"{self.subjects.ingress_prefix}.>", self.subjects.everything
        return {
            "name": self.stream,
            "description": "drift-bus: every change of every market, as the publisher saw it",
            "subjects": [ingress],
            "subject_transform": {"src": ingress, "dest": public},
            "republish": {"src": public, "dest": public},
            "retention": "limits",
            "discard": "old",
            "storage": "file",
            "max_age": self.max_age_s * _NS,
            "max_bytes": self.max_bytes,
            "max_msg_size": MAX_MESSAGE_BYTES + 4096,
            "duplicate_window": min(_DUPLICATE_WINDOW_S, self.max_age_s or _DUPLICATE_WINDOW_S) * _NS,
            "allow_direct": True,
            "allow_msg_ttl": True,
            "num_replicas": self.replicas,
        }

    def bucket_config(self, kind: Kind) -> dict[str, Any]:
        """A bucket that follows the stream by itself: one publish feeds subscribers, history and cache.

        A key that runs out leaves a delete marker for a minute, so that a watch hears of it. Message ids are the
        stream's business: a bucket that remembered them would refuse a value that is told again in a new stream.
        """
        bucket = self.bucket(kind)
        return {
            "name": self.bucket_stream(kind),
            "description": f"drift-bus: last confirmed {kind} of each market",
            "retention": "limits",
            "discard": "new",
            "storage": "file",
            "max_msgs_per_subject": 1,
            "max_age": bucket_ttl_s(kind) * _NS,
            "max_msg_size": MAX_MESSAGE_BYTES + 4096,
            "subject_delete_marker_ttl": _MARKER_S * _NS,
            "duplicate_window": _SHORTEST_WINDOW,
            "allow_direct": True,
            "allow_msg_ttl": True,
            "allow_rollup_hdrs": True,
            "deny_delete": True,
            "num_replicas": self.replicas,
            "sources": [
                {
                    "name": self.stream,
                    "subject_transforms": [
                        {"src": f"{self.prefix}.{kind}.*", "dest": f"$KV.{bucket}.{{{{wildcard(1)}}}}"}
                    ],
                }
            ],
        }

    def funding_history_config(self) -> dict[str, Any]:
        """The funding events of the stream once more, under the same subjects, with limits of their own."""
        return {
            "name": self.funding_history,
            "description": "drift-bus: every change of funding, kept longer than the stream keeps it",
            "retention": "limits",
            "discard": "old",
            "storage": "file",
            "max_age": self.funding_max_age_s * _NS,
            "max_bytes": self.funding_max_bytes,
            "max_msg_size": MAX_MESSAGE_BYTES + 4096,
            "duplicate_window": min(_DUPLICATE_WINDOW_S, self.funding_max_age_s or _DUPLICATE_WINDOW_S) * _NS,
            "allow_direct": True,
            "allow_msg_ttl": True,
            "num_replicas": self.replicas,
            "sources": [{"name": self.stream, "filter_subject": self.subjects.of_kind("funding")}],
        }

    def configs(self) -> list[dict[str, Any]]:
        """The stream, its buckets and the funding history, in the order of their creation."""
        return [
            self.stream_config(),
            *(self.bucket_config(kind) for kind in KINDS),
            self.funding_history_config(),
        ]
