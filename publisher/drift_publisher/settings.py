"""The publisher's settings: a .env file, then DRIFT_BUS_* variables, then flags."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from drift_publisher.endpoint_urls import EndpointUrls, check_endpoint_urls, check_url, endpoint_urls
from drift_publisher.endpoints import Endpoint, EndpointPool
from drift_publisher.errors import SettingsError
from drift_publisher.profiles import AUTO, PROFILES
from drift_schemas import Topology
from drift_schemas.access import NatsSettings

__all__ = ["PublisherSettings"]


class PublisherSettings(NatsSettings, BaseSettings):
    """What a publisher needs to know. URLs may hold keys, so they never print."""

    model_config = SettingsConfigDict(
        env_prefix="DRIFT_BUS_",
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )

    rpc_url: SecretStr | None = None
    """HTTP endpoint of a Solana node; ``http-url|ws-url`` where its WebSocket has another address."""
    rpc_urls: SecretStr | None = None
    """More of them in order of preference, separated by commas, to fail over to; each may be ``http-url|ws-url``."""
    ws_url: SecretStr | None = None
    """WebSocket endpoint of the first; by default the same address with ws:// or wss://."""
    ws_ping_s: float = Field(default=15.0, ge=0, allow_inf_nan=False)
    """How often each socket's client sends a ping, in seconds; 0 sends none. Some fronts cut after 20 s without."""
    ws_subscriptions_per_socket: int | None = Field(default=None, ge=2)
    """Subscriptions that a socket may have by the provider's plan; beyond it they are split over several sockets.
    Where it is not set, it is learned from sockets that are cut."""
    program: str = AUTO
    """The on-chain program to follow: ``drift-v2``, ``velocity-v1``, or ``auto``, which looks what the endpoint has."""
    source: Literal["websocket", "polling"] = "websocket"
    """How accounts arrive; ``websocket`` polls too, while no socket can be had."""
    poll_every_s: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    """Pause between two reads of all accounts while polling, in seconds; the request budget may make it longer."""
    rpc_rate_per_s: float = Field(default=8.0, gt=0, allow_inf_nan=False)
    """HTTP requests a second that an endpoint gets in the long run, whatever happens: below your plan's limit."""
    rpc_burst: int = Field(default=20, ge=1)
    """HTTP requests that may go at once after a rest: a start reads everything in such a burst."""
    endpoint_return_s: float = Field(default=60.0, gt=0, allow_inf_nan=False)
    """After a failover: how long another endpoint is used before the preferred one is tried again, in seconds."""
    max_lag_slots: int = Field(default=150, ge=1)
    """How many slots a node may be behind the best endpoint; beyond it counts as lagging."""
    max_lag_s: float = Field(default=60.0, gt=0, allow_inf_nan=False)
    """How far the chain's clock at a node may be behind ours, in seconds; a node beyond counts as lagging."""
    nats_url: SecretStr = SecretStr("nats://127.0.0.1:4222")
    """NATS server, or the servers of one cluster separated by commas: ``nats://`` or ``tls://``, host, port."""
    markets: Annotated[tuple[str, ...], NoDecode] = ()
    """Markets to publish, by name (``SOL-PERP``) or index (``perp:81``, ``spot:3``); empty publishes all."""
    cluster: str | None = None
    """What events say in ``cluster``: ``mainnet-beta``, ``devnet``, …; by default the node's genesis hash decides."""
    subject_prefix: str = "drift"
    """First token of every subject, and of the names of stream and buckets: two buses on one server need two."""
    commitment: str = Field(default="confirmed", pattern="^(processed|confirmed|finalized)$")
    """Solana commitment of everything that is read: ``processed`` is the newest, ``finalized`` some 13 s older."""
    stream_max_age_s: int = Field(default=7 * 24 * 3600, ge=0)
    """Oldest event that the stream of all kinds keeps, in seconds; 0 keeps all. Applies at the next start."""
    stream_max_bytes: int = Field(default=4 * 1024**3, ge=-1)
    """Size limit of that stream, set aside on the server's disk when it is made; -1 means none."""
    funding_max_age_s: int = Field(default=365 * 24 * 3600, ge=0)
    """Oldest event that the longer history of funding keeps, in seconds; 0 keeps all. Applies at the next start."""
    funding_max_bytes: int = Field(default=2 * 1024**3, ge=-1)
    """Size limit of the funding history, set aside likewise; -1 means none."""
    stream_replicas: int = Field(default=1, ge=1, le=5)
    """Copies of stream and buckets in a NATS cluster: 3 of them outlive one server."""
    metrics_host: str = "127.0.0.1"
    """Address on which the HTTP port listens; it has no login."""
    metrics_port: int | None = Field(default=None, ge=1, le=65535)
    """HTTP port for /metrics, /readyz and /livez; each publisher of a machine needs its own."""
    ready_stale_markets: int = Field(default=0, ge=0)
    """So many markets may have faults while /readyz still says that the publisher is ready."""
    lease_ttl_s: int = Field(default=2, ge=1, le=60)
    """How long the lease of a leader that died keeps a standby waiting, in seconds; the same for all of a bus."""
    yield_after_s: float = Field(default=2.0, gt=0, allow_inf_nan=False)
    """Silence of the leader's chain after which a standby that hears its own takes over, in seconds."""
    standby: Literal["warm", "cold"] = "warm"
    """A warm standby follows the chain before it leads; a cold one opens no socket until then."""
    slot_silence_s: float = Field(default=5.0, gt=0, allow_inf_nan=False)
    """Longest time without a new slot before the socket counts as dead, in seconds."""
    subscription_silence_s: float = Field(default=30.0, gt=0, allow_inf_nan=False)
    """Shortest silence of one subscription, out of its own rhythm, after which it is made anew, in seconds."""
    start_timeout_s: float = Field(default=20.0, gt=0, allow_inf_nan=False)
    """How long the first reads, the first NATS connection and each answer to its streams may take, in seconds."""

    def __init__(self, **values: Any) -> None:
        """Reads the settings; ``values`` (flags) are the strongest, ``None`` among them counts as not given.

        Raises:
            SettingsError: one is missing or wrong; the text names it and never shows its value.
        """
        given = {name: value for name, value in values.items() if value is not None}
        try:
            super().__init__(**given)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            name = "_".join(str(part) for part in first["loc"])
            where = f"{name} (DRIFT_BUS_{name.upper()}): " if name else ""
            raise SettingsError(f"{where}{first['msg'].removeprefix('Value error, ')}") from None

    @field_validator("markets", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("subject_prefix")
    @classmethod
    def _is_no_replay(cls, value: str) -> str:
        if value.startswith("replay"):
            raise ValueError("a prefix that begins with replay is for replays, which nobody must take for live")
        return value

    @field_validator("program")
    @classmethod
    def _is_known(cls, value: str) -> str:
        if value not in (AUTO, *PROFILES):
            raise ValueError(f"no program {value!r}: choose {', '.join(PROFILES)} or {AUTO}")
        return value

    @field_validator("rpc_url", "rpc_urls")
    @classmethod
    def _http_urls(cls, value: SecretStr | None) -> SecretStr | None:
        if value:
            check_endpoint_urls(value.get_secret_value())
        return value

    @field_validator("ws_url")
    @classmethod
    def _ws_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value:
            check_url(value.get_secret_value(), ("ws", "wss"))
        return value

    @field_validator("nats_url")
    @classmethod
    def _nats_url(cls, value: SecretStr) -> SecretStr:
        for url in value.get_secret_value().split(","):
            check_url(url.strip(), ("nats", "tls", "ws", "wss"))
        return value

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        self.topology()
        if not self.endpoint_urls():
            raise ValueError("no RPC endpoint: set rpc_url (DRIFT_BUS_RPC_URL) or rpc_urls (DRIFT_BUS_RPC_URLS)")
        return self

    def topology(self) -> Topology:
        """Stream and buckets by these settings."""
        return Topology(
            prefix=self.subject_prefix,
            max_age_s=self.stream_max_age_s,
            max_bytes=self.stream_max_bytes,
            funding_max_age_s=self.funding_max_age_s,
            funding_max_bytes=self.funding_max_bytes,
            replicas=self.stream_replicas,
            domain=self.nats_domain or None,
        )

    def endpoint_urls(self) -> list[EndpointUrls]:
        """The endpoints in order of preference, with their secrets."""
        named = (("DRIFT_BUS_RPC_URL", self.rpc_url), ("DRIFT_BUS_RPC_URLS", self.rpc_urls))
        values = [(name, value.get_secret_value()) for name, value in named if value]
        return endpoint_urls(values, self.ws_url.get_secret_value() if self.ws_url else None)

    def endpoints(self) -> EndpointPool:
        """The endpoints with their budgets, ready for use."""
        return EndpointPool(
            [
                Endpoint(
                    urls.http,
                    urls.ws,
                    rate_per_s=self.rpc_rate_per_s,
                    burst=self.rpc_burst,
                    setting=urls.setting,
                    ws_setting=urls.ws_setting,
                    subscriptions=self.ws_subscriptions_per_socket,
                )
                for urls in self.endpoint_urls()
            ],
            return_after_s=self.endpoint_return_s,
        )

    def nats_servers(self) -> list[str]:
        """The NATS servers, with their secrets."""
        return [url.strip() for url in self.nats_url.get_secret_value().split(",")]
