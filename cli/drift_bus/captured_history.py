"""A capture as a history: what a publisher would have sent, made again from the bytes that the node told."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from drift_bus.errors import CommandError
from drift_publisher.capture import open_capture, project_capture
from drift_schemas import MSG_ID_HEADER, Topology, decode_event
from drift_schemas.capture import CaptureError
from drift_subscribers.archive import ArchivedEvent

__all__ = ["CaptureSource"]

_EPOCH = 1


class CaptureSource:
    """A capture file.

    The events are projected with the recorded times as the only clock, so every reading gives the same ones; their
    sequences count them.

    Raises:
        CommandError: it is no capture.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._header = open_capture(path).header
        except (CaptureError, OSError) as error:
            raise CommandError(
                f"{path} is neither the folder of an export nor a capture: {error}. "
                "Name what 'drift-bus export' or 'drift-bus capture' wrote"
            ) from None
        with path.open("rb") as file:
            self.id = f"capture-{hashlib.file_digest(file, 'sha256').hexdigest()[:32]}"

    @property
    def origin(self) -> dict[str, Any]:
        """What the capture is of."""
        return {"capture": self._path.name, "cluster": self._header.cluster, "program": self._header.program}

    @property
    def rows(self) -> int:
        """Only reading tells."""
        return 0

    def check(self) -> None:
        """Reads every frame; raises CommandError where one is damaged or the file is cut short."""
        reader = open_capture(self._path)
        try:
            for _ in reader.records():
                pass
        except CaptureError as error:
            raise CommandError(str(error)) from None
        if reader.cut_short is not None:
            raise CommandError(
                f"{self._path} was cut short: {reader.cut_short}. 'drift-bus simulate --capture' serves what is whole"
            )

    def events(self, after: int) -> Iterator[ArchivedEvent]:
        """The events that follow from the captured accounts."""
        subjects = Topology().subjects
        records = open_capture(self._path).records()
        messages = project_capture(records, self._header, epoch=_EPOCH)
        for sequence, message in enumerate(messages, 1):
            parsed = subjects.parse(message.subject.removeprefix("in."))
            if sequence > after and parsed is not None:
                event = decode_event(parsed[0], message.payload)
                yield ArchivedEvent(sequence, event.published_at_ns, message.headers.get(MSG_ID_HEADER), event)
