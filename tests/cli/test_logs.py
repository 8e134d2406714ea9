"""Logs of the command: one line an event, for people or machines, never with a secret."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

PROGRAM = """
import logging
from drift_bus.logs import configure_logs
configure_logs(level="info", log_format={form!r})
log = logging.getLogger("drift_publisher.rpc")
log.info("publishing %d markets", 3, extra={{"slot": 7}})
log.debug("not asked for")
logging.getLogger("httpx").info("GET https://rpc.example.com/?api-key=s3cr3t")
log.warning("429 from https://rpc.example.com/v2/s3cr3t")
try:
    raise ValueError("wss://user:s3cr3t@rpc.example.com")
except ValueError:
    log.exception("failed")
"""


def logged(form: str) -> str:
    done = subprocess.run([sys.executable, "-c", PROGRAM.format(form=form)], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    return done.stderr


@pytest.mark.parametrize("form", ["console", "json"])
def test_no_secret_is_logged(form: str) -> None:
    text = logged(form)

    assert "s3cr3t" not in text
    assert "429 from https://rpc.example.com/***" in text
    assert "GET" not in text
    assert "not asked for" not in text


def test_json_logs_are_one_object_a_line() -> None:
    first, *_, last = [json.loads(line) for line in logged("json").splitlines()]

    assert first["event"] == "publishing 3 markets"
    assert first["level"] == "info"
    assert first["logger"] == "drift_publisher.rpc"
    assert first["slot"] == 7
    assert "timestamp" in first
    assert "ValueError" in last["exception"]
