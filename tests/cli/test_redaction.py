"""Secrets in URLs never reach a terminal or a log."""

from __future__ import annotations

import pytest

from drift_bus.redaction import learn_secrets, redact


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://rpc.example.com/?api-key=abc", "https://rpc.example.com/***"),
        ("https://rpc.example.com?api-key=abc", "https://rpc.example.com/***"),
        ("wss://rpc.example.com:443/v2/abc: 429", "wss://rpc.example.com:443/*** 429"),
        ("nats://user:pass@127.0.0.1:4222", "nats://***@127.0.0.1:4222"),
        ("nats://token@nats.example.com", "nats://***@nats.example.com"),
        ("HTTP 403 for api_key=abc&x=1", "HTTP 403 for api_key=***&x=1"),
        ("url='https://h/abc', status=1", "url='https://h/***', status=1"),
        ("http://127.0.0.1:8899", "http://127.0.0.1:8899"),
        ("http://127.0.0.1:8899/", "http://127.0.0.1:8899/"),
        ("nats://a:4222,nats://u:p@b:4222", "nats://a:4222,nats://***@b:4222"),
        ("http://[::1]:8899/key", "http://[::1]:8899/***"),
        ("nothing to hide: drift.price.SOL-PERP", "nothing to hide: drift.price.SOL-PERP"),
    ],
)
def test_a_url_keeps_scheme_host_and_port(text: str, shown: str) -> None:
    assert redact(text) == shown


def test_a_learned_secret_is_removed_outside_a_url() -> None:
    learn_secrets("https://rpc.example.com/v2/k3yk3yk3yk3yk3y/")

    assert redact("404 for /v2/k3yk3yk3yk3yk3y/ there") == "404 for /v2/***/ there"
