"""Logs on stderr: readable or JSON, with slot and epoch, repeated lines summed up, and never with a secret in them."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any, Literal

import structlog

from drift_bus.redaction import redact
from drift_bus.repetition import SummingHandler

__all__ = ["LogFormat", "LogLevel", "configure_logs", "log_with"]

LogFormat = Literal["console", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]

_SPEAK_OF_URLS = ("httpx", "httpcore", "websockets", "aiohttp", "urllib3", "asyncio")
_context: list[Callable[[], Mapping[str, object]]] = []


def configure_logs(*, level: LogLevel = "info", log_format: LogFormat = "console") -> None:
    """Sends everything of stdlib ``logging`` to stderr, one line an event.

    Libraries that log whole URLs are heard from WARNING on only; whatever is written is redacted as well. A line that
    repeats is written once a minute, with the number of those in between.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        _add_context,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="timestamp"),
    ]
    writer = logging.StreamHandler(sys.stderr)
    writer.setFormatter(_RedactingFormatter(foreign_pre_chain=shared, processors=_rendering(log_format)))
    root = logging.getLogger()
    for handler in root.handlers:
        handler.close()
    root.handlers[:] = [SummingHandler(writer)]
    root.setLevel(level.upper())
    for name in _SPEAK_OF_URLS:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


def log_with(tell: Callable[[], Mapping[str, object]]) -> None:
    """From now on every line also carries what ``tell`` returns at that moment, such as slot and epoch."""
    _context[:] = [tell]


def _add_context(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    for tell in _context:
        for name, value in tell().items():
            event.setdefault(name, value)
    return event


def _rendering(log_format: LogFormat) -> list[structlog.typing.Processor]:
    remove_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    if log_format == "json":
        return [remove_meta, structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    colors = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    plain = structlog.dev.plain_traceback
    return [
        remove_meta,
        structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=plain, pad_event_to=0),
    ]


class _RedactingFormatter(structlog.stdlib.ProcessorFormatter):
    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))
