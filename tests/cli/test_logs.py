"""Logs of the command: one line an event, for people or machines, never with a secret."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import time

import pytest

from drift_bus.repetition import SummingHandler

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


REPEATING = """
import logging
from drift_bus.logs import configure_logs, log_with
configure_logs(log_format="json")
log_with(lambda: {"slot": 7, "epoch": 3})
log = logging.getLogger("drift_publisher.websocket")
for pause in range(40):
    log.warning("socket lost (%s), next try in %.1f s", "closed", pause)
log.warning("account refused", extra={"market": "SOL-PERP", "slot": 9})
log.warning("account refused", extra={"market": "BTC-PERP"})
"""


def test_a_line_that_repeats_is_summed_up_at_the_end() -> None:
    done = subprocess.run([sys.executable, "-c", REPEATING], capture_output=True, text=True, check=True)
    first, sol, btc, last = [json.loads(line) for line in done.stderr.splitlines()]
    assert first["event"] == "socket lost (closed), next try in 0.0 s"
    assert (sol["market"], btc["market"]) == ("SOL-PERP", "BTC-PERP")
    assert last["event"].startswith("socket lost (closed), next try in 39.0 s (39 times more in ")
    assert last["repeated"] == 39
    assert [(line["slot"], line["epoch"]) for line in (first, sol, btc, last)] == [(7, 3), (9, 3), (7, 3), (7, 3)]


class _Written(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def test_a_fault_that_goes_on_is_told_once_a_minute_and_a_new_one_at_once() -> None:
    now = 0.0
    written = _Written()
    handler = SummingHandler(written, every_s=60, clock=lambda: now)

    def warn(text: str) -> list[str]:
        handler.handle(logging.LogRecord("a", logging.WARNING, "", 0, text, None, None))
        said, written.lines = written.lines, []
        return said

    try:
        assert warn("lost after 1 s") == ["lost after 1 s"]
        now = 30
        assert warn("lost after 2 s") == []
        assert warn("refused") == ["refused"]
        now = 61
        assert warn("lost after 3.5 s") == ["lost after 2 s (1 times more in 61 s)"]
        now = 122
        handler.sum_up()
        assert written.lines == ["lost after 3.5 s (1 times more in 61 s)"]
        written.lines = []
        now = 183
        assert warn("lost after 4 s") == ["lost after 4 s"]
        assert warn("market 1MBONK-PERP") == ["market 1MBONK-PERP"]
        assert warn("market 1KPEPE-PERP") == ["market 1KPEPE-PERP"]
    finally:
        handler.close()


def test_the_last_of_a_line_that_repeats_is_told_though_nothing_else_happens() -> None:
    written = _Written()
    handler = SummingHandler(written, every_s=0.05)
    try:
        for _ in range(3):
            handler.handle(logging.LogRecord("a", logging.WARNING, "", 0, "lost", None, None))
        deadline = time.monotonic() + 60
        while len(written.lines) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert written.lines[0] == "lost"
        assert "times more" in written.lines[1]
    finally:
        handler.close()
