"""The settings of a login, for the settings classes of publisher and command."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator, model_validator

from drift_schemas.access.login import NatsAccess

__all__ = ["NatsSettings"]


class NatsSettings(BaseModel):
    """``DRIFT_BUS_NATS_CREDS`` and its like; :class:`NatsAccess` tells what they mean."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    nats_creds: str | None = None
    """File with JWT and seed, for a NATS server in operator mode."""
    nats_nkey_seed_file: str | None = None
    """File with an nkey seed, as ``drift-bus auth init`` writes it."""
    nats_tls_ca: str | None = None
    """File with the certificates of the CAs to trust at the NATS server."""
    nats_tls_cert: str | None = None
    """File with our own certificate, where the NATS server asks for one."""
    nats_tls_key: str | None = None
    """File with its key."""
    nats_tls_first: bool = False
    """TLS with NATS from the first byte, and never without it."""
    nats_inbox_prefix: str | None = None
    """Where NATS sends answers, if only that is permitted."""
    nats_domain: str | None = None
    """The JetStream domain that holds the bus, where ``DRIFT_BUS_NATS_URL`` is a leaf node."""

    @field_validator("nats_tls_first", mode="before")
    @classmethod
    def _empty_is_off(cls, value: Any) -> Any:
        return value or False

    @model_validator(mode="after")
    def _access_makes_sense(self) -> NatsSettings:
        self.nats_access()
        return self

    def nats_access(self) -> NatsAccess:
        """What these settings say together.

        Raises:
            AccessError: they contradict each other.
        """
        return NatsAccess(
            creds=self.nats_creds or None,
            nkey_seed_file=self.nats_nkey_seed_file or None,
            tls_ca=self.nats_tls_ca or None,
            tls_cert=self.nats_tls_cert or None,
            tls_key=self.nats_tls_key or None,
            tls_first=self.nats_tls_first,
            inbox_prefix=self.nats_inbox_prefix or None,
            domain=self.nats_domain or None,
        )
