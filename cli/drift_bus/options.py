"""The options that several commands share, each declared once."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import typer

__all__ = [
    "AsJson",
    "At",
    "CaptureInto",
    "Cluster",
    "FirstSequence",
    "From",
    "Kinds",
    "LastSequence",
    "Level",
    "Lifeline",
    "LogFormat",
    "Markets",
    "MarketsOnly",
    "NatsDomain",
    "NatsUrl",
    "Prefix",
    "RpcUrl",
    "Seconds",
    "Source",
    "To",
    "WsUrl",
    "positive",
]

LogFormatName = Literal["console", "json"]
LevelName = Literal["debug", "info", "warning", "error"]


def positive(value: float | None) -> float | None:
    """Refuses what is no positive, finite number."""
    if value is not None and not (math.isfinite(value) and value > 0):
        raise typer.BadParameter(f"{value:g} is not possible; give a number above 0")
    return value


NatsUrl = Annotated[
    str | None,
    typer.Option(
        "--nats-url",
        metavar="URL",
        help="The NATS server: nats://HOST:PORT. [DRIFT_BUS_NATS_URL; default nats://127.0.0.1:4222]",
    ),
]
NatsDomain = Annotated[
    str | None,
    typer.Option(
        "--nats-domain",
        metavar="NAME",
        help="The JetStream domain that holds the bus, where --nats-url is a leaf node. [DRIFT_BUS_NATS_DOMAIN]",
    ),
]
Prefix = Annotated[
    str | None,
    typer.Option(
        "--prefix",
        metavar="PREFIX",
        help="First token of every subject, so that one server can carry several buses. "
        "[DRIFT_BUS_SUBJECT_PREFIX; default drift]",
    ),
]
RpcUrl = Annotated[
    str | None,
    typer.Option(
        "--rpc-url",
        metavar="URL",
        help="HTTP endpoint of the Solana RPC, or 'http-url|ws-url'. A key in it shows in the process list: "
        "better set it in .env. [DRIFT_BUS_RPC_URL]",
    ),
]
WsUrl = Annotated[
    str | None,
    typer.Option(
        "--ws-url",
        metavar="URL",
        help="WebSocket endpoint, where it is not the RPC URL with ws in place of http. [DRIFT_BUS_WS_URL]",
    ),
]
Source = Annotated[
    str | None,
    typer.Option(
        "--source",
        metavar="websocket|polling",
        help="How accounts arrive; websocket polls too, while no socket can be had. "
        "[DRIFT_BUS_SOURCE; default websocket]",
    ),
]
Program = Annotated[
    str | None,
    typer.Option(
        "--program",
        metavar="drift-v2|velocity-v1|auto",
        help="The on-chain program to follow; auto looks which of them has markets at the endpoint, and says so. "
        "[DRIFT_BUS_PROGRAM; default auto]",
    ),
]
Cluster = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        metavar="NAME",
        help="What the data is called in every event: mainnet-beta, devnet, … [DRIFT_BUS_CLUSTER]",
    ),
]
Markets = Annotated[
    str | None,
    typer.Option(
        "--markets",
        metavar="NAMES",
        help="Only these, separated by commas: SOL-PERP,perp:81. Default: all. [DRIFT_BUS_MARKETS]",
    ),
]
CaptureInto = Annotated[
    str | None,
    typer.Option(
        "--capture",
        metavar="FILE",
        help="Also keep what the node tells, as 'drift-bus capture' does; %Y%m%dT%H%M%SZ in the name stands for the "
        "start. [DRIFT_BUS_CAPTURE]",
    ),
]
Seconds = Annotated[
    float | None,
    typer.Option("--seconds", metavar="N", callback=positive, help="End after N seconds, with status 0."),
]
From = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="TIME",
        help="Begin there: 2026-11-21T08:00:00Z, an epoch such as 1795248000, or -2h. Default: the oldest event.",
    ),
]
To = Annotated[
    str | None,
    typer.Option("--to", metavar="TIME", help="End there, itself not included. Default: what the stream holds now."),
]
Kinds = Annotated[
    list[str] | None,
    typer.Option("--kind", metavar="KIND", help="Only funding, price, market or spot; may be repeated. Default: all."),
]
MarketsOnly = Annotated[
    list[str] | None,
    typer.Option("--market", metavar="NAME", help="Only this market; may be repeated. Default: all."),
]
FirstSequence = Annotated[
    int | None,
    typer.Option("--first-sequence", metavar="N", min=1, help="Begin with this sequence of the stream."),
]
LastSequence = Annotated[
    int | None, typer.Option("--last-sequence", metavar="N", min=1, help="End with this sequence, itself included.")
]
At = Annotated[
    str | None,
    typer.Option("--at", metavar="TIME", help="As of then: 2026-11-21T08:00:00Z, an epoch, or -2h. Default: now."),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]
Level = Annotated[
    LevelName | None,
    typer.Option("--log-level", help="How much goes to stderr. [DRIFT_BUS_LOG_LEVEL; default info]"),
]
LogFormat = Annotated[
    LogFormatName | None,
    typer.Option("--log-format", help="Logs for people or for machines. [DRIFT_BUS_LOG_FORMAT; default console]"),
]
Lifeline = Annotated[
    bool,
    typer.Option("--until-stdin-closes", hidden=True, help="Also stop when stdin ends: the parent is gone."),
]
