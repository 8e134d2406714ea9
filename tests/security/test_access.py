"""Credentials from their files: what is read, what is refused, and that no message shows a secret."""

from __future__ import annotations

import base64
import logging
from pathlib import Path

import pytest

from drift_bus.redaction import redact as redact_in_commands
from drift_publisher import PublisherSettings
from drift_publisher.errors import SettingsError
from drift_publisher.redact import redact as redact_in_publisher
from drift_schemas.access import AccessError, InvalidSeed, KeyPair, NatsAccess, hide_seeds

PAIR = KeyPair(bytes(range(32)))


def secret(path: Path, text: str, mode: int = 0o600) -> str:
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def test_keys_are_those_of_nats() -> None:
    """Their form; that the server knows them, the roles' tests show."""
    assert (len(PAIR.seed()), PAIR.seed()[:2]) == (58, "SU")
    assert (len(PAIR.public), PAIR.public[0]) == (56, "U")
    assert len(base64.b64decode(PAIR.sign("nonce"))) == 64


def test_a_new_pair_survives_its_seed_and_never_prints_it() -> None:
    pair = KeyPair.generate()
    assert KeyPair.from_seed(pair.seed() + "\n").public == pair.public
    assert pair.seed() not in repr(pair)
    assert pair.public in repr(pair)


@pytest.mark.parametrize(
    "text",
    ["", "SUA", PAIR.public, PAIR.seed()[:-1], PAIR.seed()[:-1] + "A", PAIR.seed().lower(), "SA" + PAIR.seed()[2:]],
)
def test_what_is_no_users_seed_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(InvalidSeed) as refused:
        KeyPair.from_seed(text)
    assert not text or text not in str(refused.value)


def test_seeds_are_taken_out_of_any_text() -> None:
    text = f"open {PAIR.seed()}: no such file, '{PAIR.seed()}'"
    for hide in (hide_seeds, redact_in_commands, redact_in_publisher):
        assert PAIR.seed() not in hide(text)
        assert "no such file" in hide(text)


def test_the_environment_names_files(tmp_path: Path) -> None:
    seed = secret(tmp_path / "engine.nk", PAIR.seed())
    environment = {
        "DRIFT_BUS_NATS_NKEY_SEED_FILE": seed,
        "DRIFT_BUS_NATS_TLS_FIRST": "true",
        "DRIFT_BUS_NATS_TLS_CA": "",
        "DRIFT_BUS_NATS_INBOX_PREFIX": "_INBOX_me",
    }
    access = NatsAccess.from_environment(environment)
    assert access == NatsAccess(nkey_seed_file=seed, tls_first=True, inbox_prefix="_INBOX_me")
    assert set(access.login().options_for(object_with_attributes())) == {
        "signature_cb",
        "tls",
        "tls_handshake_first",
        "inbox_prefix",
    }


def test_creds_bring_their_jwt(tmp_path: Path) -> None:
    creds = secret(
        tmp_path / "engine.creds",
        "-----BEGIN NATS USER JWT-----\nhead.body.signature\n------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{PAIR.seed()}\n------END USER NKEY SEED------\n",
    )
    options = NatsAccess(creds=creds).login().options_for(object_with_attributes())
    assert options["user_jwt_cb"]() == b"head.body.signature"
    assert options["signature_cb"]("nonce") == PAIR.sign("nonce")


def test_unusable_files_are_named_with_their_setting(tmp_path: Path) -> None:
    there = secret(tmp_path / "wrong", f"almost {PAIR.seed()[:-3]}")
    cases = {
        NatsAccess(nkey_seed_file=str(tmp_path / "absent")): "NKEY_SEED_FILE: .*absent cannot be used: No such file",
        NatsAccess(nkey_seed_file=str(tmp_path)): "NKEY_SEED_FILE: .* cannot be used: Is a directory",
        NatsAccess(nkey_seed_file=there): "NKEY_SEED_FILE: .*wrong: this is no nkey seed",
        NatsAccess(creds=there): "CREDS: .*wrong is no creds file",
        NatsAccess(tls_ca=there): "TLS_CA: .*wrong cannot be used",
        NatsAccess(tls_cert=there, tls_key=there): "TLS_CERT: .* cannot be used",
    }
    for access, complaint in cases.items():
        with pytest.raises(AccessError, match=complaint) as refused:
            access.login()
        assert PAIR.seed()[:-3] not in str(refused.value)


def test_a_seed_in_place_of_a_file_is_not_repeated() -> None:
    for name in ("nkey_seed_file", "creds", "tls_key"):
        with pytest.raises(AccessError, match="holds a secret itself") as refused:
            NatsAccess(**{name: PAIR.seed()})  # type: ignore[arg-type]
        assert PAIR.seed() not in str(refused.value)
    with pytest.raises(SettingsError, match="holds a secret itself") as refused_settings:
        PublisherSettings(_env_file=None, rpc_url="http://127.0.0.1:1", nats_nkey_seed_file=PAIR.seed())
    assert PAIR.seed() not in str(refused_settings.value)


def test_contradictions_are_refused() -> None:
    with pytest.raises(AccessError, match="one login at a time"):
        NatsAccess(creds="a", nkey_seed_file="b")
    with pytest.raises(AccessError, match="belong together"):
        NatsAccess(tls_cert="a")
    with pytest.raises(AccessError, match="TLS_FIRST: write true or false"):
        NatsAccess.from_environment({"DRIFT_BUS_NATS_TLS_FIRST": "maybe"})


def test_a_seed_that_everybody_can_read_is_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = secret(tmp_path / "open.nk", PAIR.seed(), 0o644)
    with caplog.at_level(logging.WARNING):
        NatsAccess(nkey_seed_file=path).login()
    assert "chmod 600" in caplog.text


def object_with_attributes() -> object:
    """Stands for a client that is not connected."""

    class _Client:
        pass

    return _Client()
