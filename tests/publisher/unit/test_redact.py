"""No secret of a URL survives redaction, wherever in the URL it sits."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drift_publisher.redact import redact, redact_url

CANARY = "c4n4ry-K3Y"
PLACES = (
    "https://rpc.example.com/{key}",
    "https://rpc.example.com/v2/{key}/",
    "https://rpc.example.com/?api-key={key}",
    "https://rpc.example.com?api-key={key}",
    "https://rpc.example.com/rpc?cluster=mainnet&token={key}&x=1",
    "https://rpc.example.com/#{key}",
    "https://rpc.example.com#{key}",
    "https://{key}@rpc.example.com",
    "https://user:{key}@rpc.example.com:8899/path",
    "https://{key}:@rpc.example.com",
    "HTTPS://RPC.EXAMPLE.COM/{key}",
    "wss://rpc.example.com:443/v2/{key}",
    "ws://127.0.0.1:8900/{key}",
    "nats://{key}@nats.example.com:4222",
    "nats://user:{key}@nats.example.com",
    "tls://user:{key}@nats.example.com:4222",
    "nats://user:12/{key}@nats.example.com:4222",
    "nats://user:a/b{key}@nats.example.com:4222",
    "http://[::1]:8899/{key}",
    "http://{key}@[2001:db8::1]:8899/",
    "https://rpc.example.com:{key}/",
    "https://rpc.example.com:99999/{key}",
    "https://rpc.example.com/({key})/[{key}]/{{{key}}}",
    "https://rpc.example.com/a\\{key}",
    "nats://a.example.com:4222,nats://user:{key}@b.example.com:4222",
    "nats://user:{key}@a.example.com,tls://user:{key}@b.example.com",
)
TEXTS = (
    "{url}",
    "cannot reach {url}: timed out",
    "cannot reach {url}: 429",
    "GET {url}, then {url}.",
    "({url})",
    "[{url}]",
    "see <{url}> and '{url}' and \"{url}\"",
    "error=ConnectError('{url}')",
    '{{"url":"{url}","status":429}}',
    "Client error '429 Too Many Requests' for url '{url}'\nFor more information check: {url}",
    "RPC_URL={url} make run",
    "rpc_{url}",
)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("text", TEXTS)
def test_a_key_anywhere_in_a_url_anywhere_in_a_text_is_gone(text: str, place: str) -> None:
    assert CANARY.lower() not in redact(text.format(url=place.format(key=CANARY))).lower()


@pytest.mark.parametrize("place", PLACES)
def test_a_key_anywhere_in_a_url_alone_is_gone(place: str) -> None:
    assert CANARY.lower() not in redact_url(place.format(key=CANARY)).lower()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://rpc.example.com", "https://rpc.example.com"),
        ("https://rpc.example.com/", "https://rpc.example.com"),
        ("http://127.0.0.1:8899", "http://127.0.0.1:8899"),
        ("https://user:pw@rpc.example.com:8899/v2/key?x=1#y", "https://rpc.example.com:8899/…"),
        ("nats://token@127.0.0.1:4222", "nats://127.0.0.1:4222"),
        ("http://[::1]:8899/key", "http://[::1]:8899/…"),
        ("https://rpc.example.com:notaport", "(an unreadable URL)"),
        ("http://[::1", "(an unreadable URL)"),
        ("c4n4ry:K3Y", "(an unreadable URL)"),
        ("c4n4ry", "(an unreadable URL)"),
        ("", "(an unreadable URL)"),
    ],
)
def test_scheme_host_and_port_are_shown_and_nothing_else(url: str, shown: str) -> None:
    assert redact_url(url) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("no URL here: drift.price.SOL-PERP", "no URL here: drift.price.SOL-PERP"),
        ("cannot reach https://h/k: timed out", "cannot reach https://h/…: timed out"),
        ("tried https://h:1/k, wss://h:2/k.", "tried https://h:1/…, wss://h:2/…."),
        ("(see https://h/k)", "(see https://h/…)"),
        ("nats://a:1,nats://u:p@b:2", "nats://a:1,nats://b:2"),
        ("url='http://[::1]:8899'", "url='http://[::1]:8899'"),
        ("refused by http://127.0.0.1:8899: later", "refused by http://127.0.0.1:8899: later"),
    ],
)
def test_the_text_around_a_url_stays(text: str, shown: str) -> None:
    assert redact(text) == shown


@settings(max_examples=300, deadline=None)
@given(
    scheme=st.sampled_from(["http", "https", "ws", "wss", "nats", "tls"]),
    before=st.text(
        st.characters(codec="ascii", exclude_characters="'\"<>", categories=["L", "N", "P", "S"]), max_size=8
    ),
    template=st.sampled_from(
        ["{s}://h.example/{b}{k}", "{s}://h.example?{b}{k}", "{s}://h.example#{b}{k}", "{s}://u:{k}@h.example"]
    ),
)
def test_whatever_stands_before_a_key_in_a_url_the_key_is_gone(scheme: str, before: str, template: str) -> None:
    assert CANARY not in redact(f"it said {template.format(s=scheme, b=before, k=CANARY)} there")


@settings(max_examples=200, deadline=None)
@given(text=st.text())
def test_no_text_makes_it_raise(text: str) -> None:
    redact(text)
    redact_url(text)
    redact(f"https://{text}")
