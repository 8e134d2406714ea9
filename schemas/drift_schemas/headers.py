"""Header names on the bus: ours, and the ones of NATS that a reader needs."""

from __future__ import annotations

from typing import Final

__all__ = [
    "LAST_SEQUENCE_HEADER",
    "MSG_ID_HEADER",
    "REASSERTION_HEADER",
    "REPLAY_HEADER",
    "SEQUENCE_HEADER",
    "STORED_AT_HEADER",
    "STORED_SEQUENCE_HEADER",
    "STREAM_HEADER",
    "SUBJECT_HEADER",
    "TIME_STAMP_HEADER",
    "TTL_HEADER",
]

REASSERTION_HEADER: Final = "Drift-Reassertion"
"""Present on a value that did not change: it renews freshness and leaves the history after the TTL."""

REPLAY_HEADER: Final = "Drift-Replay"
"""On every message of a replay: the replay's name. A live message never has it."""

STORED_AT_HEADER: Final = "Drift-Stored-At"
"""On a message that was stored before, in another stream: nanoseconds since the epoch at which that happened first.

Replay and import set it, so that a history keeps its times wherever it travels."""

STORED_SEQUENCE_HEADER: Final = "Drift-Stored-Sequence"
"""On an imported message: its place in the stream that stored it first."""

TTL_HEADER: Final = "Nats-TTL"
MSG_ID_HEADER: Final = "Nats-Msg-Id"
STREAM_HEADER: Final = "Nats-Stream"
SUBJECT_HEADER: Final = "Nats-Subject"
SEQUENCE_HEADER: Final = "Nats-Sequence"
LAST_SEQUENCE_HEADER: Final = "Nats-Last-Sequence"
TIME_STAMP_HEADER: Final = "Nats-Time-Stamp"
