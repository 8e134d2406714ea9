"""Logs on stderr: readable or JSON, and never with a secret in them."""

from __future__ import annotations

import logging
import os
import sys
from typing import Literal

import structlog

from drift_bus.redaction import redact

__all__ = ["LogFormat", "LogLevel", "configure_logs"]

LogFormat = Literal["console", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]

_SPEAK_OF_URLS = ("httpx", "httpcore", "websockets", "aiohttp", "urllib3", "asyncio")


def configure_logs(*, level: LogLevel = "info", log_format: LogFormat = "console") -> None:
    """Sends everything of stdlib ``logging`` to stderr, one line an event.

    Libraries that log whole URLs are heard from WARNING on only; whatever is written is redacted as well.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="timestamp"),
    ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_RedactingFormatter(foreign_pre_chain=shared, processors=_rendering(log_format)))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _SPEAK_OF_URLS:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


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
