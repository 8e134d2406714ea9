"""Settings: .env, then environment, then arguments; errors name the setting and never show a secret."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from drift_publisher.errors import SettingsError
from drift_publisher.settings import PublisherSettings

CANARY = "c4n4ryK3Y"
RPC = "https://rpc.example.com/v2/"


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory without .env, and no variables of ours."""
    for name in [name for name in os.environ if name.upper().startswith("DRIFT_BUS_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rpc_of(settings: PublisherSettings) -> str:
    return settings.endpoint_urls()[0].http


def test_a_flag_beats_the_environment_and_that_beats_the_file(
    empty_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (empty_folder / ".env").write_text("DRIFT_BUS_RPC_URL=http://file\nDRIFT_BUS_CLUSTER=from-file\n")
    assert rpc_of(PublisherSettings()) == "http://file"
    monkeypatch.setenv("DRIFT_BUS_RPC_URL", "http://environment")
    assert rpc_of(PublisherSettings()) == "http://environment"
    assert rpc_of(PublisherSettings(rpc_url="http://flag")) == "http://flag"
    assert PublisherSettings(rpc_url="http://flag").cluster == "from-file"


def test_a_flag_that_was_not_given_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIFT_BUS_RPC_URL", "http://environment")
    monkeypatch.setenv("DRIFT_BUS_MARKETS", "SOL-PERP")
    settings = PublisherSettings(rpc_url=None, markets=None, nats_url=None)
    assert rpc_of(settings) == "http://environment"
    assert settings.markets == ("SOL-PERP",)
    assert settings.nats_servers() == ["nats://127.0.0.1:4222"]


def test_other_programs_variables_are_none_of_ours(empty_folder: Path) -> None:
    (empty_folder / ".env").write_text("DRIFT_BUS_SOMETHING_ELSE=1\nOTHER=2\n")
    assert rpc_of(PublisherSettings(rpc_url="http://h")) == "http://h"


@pytest.mark.parametrize(
    ("given", "markets"),
    [
        ("SOL-PERP,BTC-PERP", ("SOL-PERP", "BTC-PERP")),
        (" SOL-PERP , BTC-PERP ,", ("SOL-PERP", "BTC-PERP")),
        ("SOL", ("SOL",)),
        ("", ()),
        (" , ", ()),
        (("SOL-PERP", "SOL"), ("SOL-PERP", "SOL")),
    ],
)
def test_markets_are_split_at_commas(given: Any, markets: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    assert PublisherSettings(rpc_url="http://h", markets=given).markets == markets
    if isinstance(given, str):
        monkeypatch.setenv("DRIFT_BUS_MARKETS", given)
        assert PublisherSettings(rpc_url="http://h").markets == markets


@pytest.mark.parametrize(
    ("rpc_url", "ws_url"),
    [
        ("http://127.0.0.1:8899", "ws://127.0.0.1:8899"),
        (f"https://rpc.example.com/v2/{CANARY}?x=1", f"wss://rpc.example.com/v2/{CANARY}?x=1"),
        (f"https://user:{CANARY}@rpc.example.com:444/", f"wss://user:{CANARY}@rpc.example.com:444/"),
    ],
)
def test_the_websocket_endpoint_is_by_default_the_same_address_and_port(rpc_url: str, ws_url: str) -> None:
    assert PublisherSettings(rpc_url=rpc_url).endpoints().current.ws_url == ws_url


def test_the_websocket_endpoint_can_be_another() -> None:
    assert PublisherSettings(rpc_url=RPC, ws_url="wss://other:1/x").endpoints().current.ws_url == "wss://other:1/x"


def test_each_endpoint_may_name_its_websocket() -> None:
    settings = PublisherSettings(
        rpc_url="https://a/k1", rpc_urls=" https://b/k2 | wss://b:1/k3 ,https://c/k4,https://a/k1|wss://a:1/k5,"
    )
    found = [(one.http_url, one.ws_url) for one in settings.endpoints().endpoints]
    assert found == [
        ("https://a/k1", "wss://a:1/k5"),  # named twice: one endpoint, and the socket that one entry names
        ("https://b/k2", "wss://b:1/k3"),
        ("https://c/k4", "wss://c/k4"),
    ]
    assert [one.setting for one in settings.endpoints().endpoints] == [
        "DRIFT_BUS_RPC_URL",
        "DRIFT_BUS_RPC_URLS, entry 1",
        "DRIFT_BUS_RPC_URLS, entry 2",
    ]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"rpc_url": "http://a"}, "DRIFT_BUS_WS_URL, or http-url|ws-url in DRIFT_BUS_RPC_URL"),
        ({"rpc_url": "http://a|ws://b"}, "http-url|ws-url in DRIFT_BUS_RPC_URL"),
        ({"rpc_url": "http://a", "ws_url": "ws://b"}, "DRIFT_BUS_WS_URL"),
        ({"rpc_url": "http://a|ws://b", "ws_url": "ws://b"}, "DRIFT_BUS_WS_URL"),
        ({"rpc_urls": "http://a|ws://b,http://c"}, "http-url|ws-url in DRIFT_BUS_RPC_URLS, entry 1"),
    ],
)
def test_what_chooses_the_websocket_is_known(given: dict[str, str], says: str) -> None:
    assert PublisherSettings(**given).endpoints().current.ws_setting == says


def test_two_websockets_for_one_endpoint_are_refused() -> None:
    with pytest.raises(SettingsError, match=r"two WebSocket URLs.*DRIFT_BUS_WS_URL.*DRIFT_BUS_RPC_URL") as error:
        PublisherSettings(rpc_url=f"http://a|ws://b/{CANARY}", ws_url=f"ws://c/{CANARY}")
    assert CANARY not in str(error.value)


@pytest.mark.parametrize(
    ("value", "entry"),
    [
        (f"http://a/{CANARY},http://b/{CANARY}|http://c/{CANARY}", "entry 2: "),
        (f"http://a|ws://b,ftp://b/{CANARY}|ws://c", "entry 2: "),
        (f"http://a/{CANARY}|", "not a usable URL"),
        (f"http://a/{CANARY}|ws://b:{CANARY}", "not a URL: its port"),
        (f"http://a/{CANARY}|ws://b|ws://c/{CANARY}", "more than two URLs"),
        (f"|ws://b/{CANARY}", "not a usable URL"),
    ],
)
def test_a_wrong_entry_is_named_and_not_shown(value: str, entry: str) -> None:
    with pytest.raises(SettingsError) as error:
        PublisherSettings(rpc_urls=value)
    assert str(error.value).startswith(f"rpc_urls (DRIFT_BUS_RPC_URLS): {entry}")
    assert CANARY.lower() not in str(error.value).lower()


def test_nats_servers_are_split_at_commas() -> None:
    settings = PublisherSettings(rpc_url=RPC, nats_url="nats://a:1, tls://u:p@b:2")
    assert settings.nats_servers() == ["nats://a:1", "tls://u:p@b:2"]


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("rpc_url", f"ftp://rpc.example.com/{CANARY}"),
        ("rpc_url", f"rpc.example.com/{CANARY}"),
        ("rpc_url", f"{CANARY}:{CANARY}"),
        ("rpc_url", CANARY),
        ("rpc_url", f"https:///{CANARY}"),
        ("rpc_url", f"https://{CANARY}@"),
        ("rpc_url", f"https://rpc.example.com:{CANARY}/"),
        ("rpc_url", f"https://rpc.example.com:99999/{CANARY}"),
        ("rpc_url", f"https://rpc.example.com:0/{CANARY}"),
        ("rpc_url", f"wss://rpc.example.com/{CANARY}"),
        ("rpc_url", f"https://[::1/{CANARY}"),
        ("ws_url", f"https://rpc.example.com/{CANARY}"),
        ("nats_url", f"http://user:{CANARY}@h:4222"),
        ("nats_url", f"nats://h:4222,http://user:{CANARY}@h"),
        ("nats_url", f"nats://user:{CANARY}@h:0"),
        ("commitment", CANARY),
        ("stream_max_age_s", CANARY),
        ("stream_max_age_s", -1),
        ("stream_replicas", 6),
        ("slot_silence_s", 0),
        ("slot_silence_s", "nan"),
        ("slot_silence_s", "inf"),
        ("start_timeout_s", -1),
    ],
)
def test_a_wrong_setting_is_named_and_its_value_not_shown(
    setting: str, value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRIFT_BUS_RPC_URL", "http://h")
    for way in ("flag", "environment"):
        given = {setting: value} if way == "flag" else {}
        if way == "environment":
            monkeypatch.setenv(f"DRIFT_BUS_{setting.upper()}", str(value))
        with pytest.raises(SettingsError) as error:
            PublisherSettings(**given)
        said = str(error.value)
        assert said.startswith(f"{setting} (DRIFT_BUS_{setting.upper()}): ")
        assert CANARY.lower() not in said.lower()
        assert "\n" not in said
        assert error.value.__cause__ is None
        assert error.value.__suppress_context__  # a traceback does not show it either


def test_a_missing_endpoint_is_named() -> None:
    with pytest.raises(SettingsError, match=r"no RPC endpoint: set rpc_url \(DRIFT_BUS_RPC_URL\)"):
        PublisherSettings()


@pytest.mark.parametrize("prefix", ["", "a b", "a..b", "*", ">", "a.>"])
def test_a_prefix_that_cannot_be_a_subject_is_refused(prefix: str) -> None:
    with pytest.raises(SettingsError):
        PublisherSettings(rpc_url=RPC, subject_prefix=prefix)


def test_secrets_do_not_print() -> None:
    settings = PublisherSettings(
        rpc_url=RPC + CANARY, ws_url=f"wss://h/{CANARY}", nats_url=f"nats://user:{CANARY}@127.0.0.1:4222"
    )
    for text in (repr(settings), str(settings), repr(settings.model_dump()), settings.model_dump_json()):
        assert CANARY not in text


def test_settings_cannot_be_changed() -> None:
    settings = PublisherSettings(rpc_url=RPC)
    with pytest.raises(ValidationError):
        settings.rpc_url = SecretStr("http://other")  # type: ignore[misc]


def test_the_topology_is_made_of_the_settings() -> None:
    topology = PublisherSettings(
        rpc_url=RPC, subject_prefix="devnet", stream_max_age_s=60, stream_max_bytes=10**6, stream_replicas=3
    ).topology()
    assert (topology.prefix, topology.max_age_s, topology.max_bytes, topology.replicas) == ("devnet", 60, 10**6, 3)
