"""The commands for what is on the bus now: up, publish, watch, snapshot, status."""

from __future__ import annotations

from typing import Annotated

import typer

from drift_bus.options import (
    AsJson,
    At,
    CaptureInto,
    Cluster,
    Level,
    Lifeline,
    LogFormat,
    Markets,
    NatsDomain,
    NatsUrl,
    Prefix,
    Program,
    RpcUrl,
    Seconds,
    Source,
    WsUrl,
)

__all__ = ["app"]

app = typer.Typer()


@app.command(epilog="Example: drift-bus up --demo --seconds 20")
def up(
    demo: Annotated[
        bool,
        typer.Option("--demo", help="With a simulated chain: no network, no key; --program says of which program."),
    ] = False,
    rpc_url: RpcUrl = None,
    ws_url: WsUrl = None,
    nats_url: NatsUrl = None,
    nats_domain: NatsDomain = None,
    prefix: Prefix = None,
    program: Program = None,
    cluster: Cluster = None,
    capture_into: CaptureInto = None,
    seconds: Seconds = None,
) -> int:
    """Run everything on this machine, with a live view of what an engine sees.

    Starts a nats-server (unless --nats-url names one), the publisher and, with --demo, a simulated chain.
    Ctrl-C stops them all. Where stdout is no terminal it prints a line a second and a summary.
    """
    from drift_bus.up import up as run

    flags = {
        "rpc_url": rpc_url,
        "ws_url": ws_url,
        "nats_url": nats_url,
        "nats_domain": nats_domain,
        "subject_prefix": prefix,
        "program": program,
        "cluster": cluster,
        "capture": capture_into,
    }
    return run(demo=demo, seconds=seconds, flags=flags)


@app.command(epilog="Example: DRIFT_BUS_RPC_URL=https://… drift-bus publish --markets SOL-PERP,BTC-PERP")
def publish(
    rpc_url: RpcUrl = None,
    ws_url: WsUrl = None,
    source: Source = None,
    nats_url: NatsUrl = None,
    nats_domain: NatsDomain = None,
    program: Program = None,
    markets: Markets = None,
    cluster: Cluster = None,
    prefix: Prefix = None,
    capture_into: CaptureInto = None,
    log_level: Level = None,
    log_format: LogFormat = None,
    until_stdin_closes: Lifeline = False,
) -> int:
    """Run the publisher alone: one connection to Solana, every change onto the bus.

    Ctrl-C or SIGTERM stops it cleanly, with status 0. Logs go to stderr.
    """
    from drift_bus.publish import publish as run

    flags = {
        "rpc_url": rpc_url,
        "ws_url": ws_url,
        "nats_url": nats_url,
        "nats_domain": nats_domain,
        "markets": markets,
        "program": program,
        "cluster": cluster,
        "subject_prefix": prefix,
        "source": source,
        "capture": capture_into,
        "log_level": log_level,
        "log_format": log_format,
    }
    return run(flags=flags, until_stdin_closes=until_stdin_closes)


@app.command(epilog="Example: drift-bus watch funding.SOL-PERP --json --count 1")
def watch(
    subjects: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SUBJECT]...",
            help="drift.funding.SOL-PERP, a wildcard such as 'drift.price.*', or for short "
            "funding.SOL-PERP, funding, SOL-PERP, status. Default: everything.",
        ),
    ] = None,
    nats_url: NatsUrl = None,
    nats_domain: NatsDomain = None,
    prefix: Prefix = None,
    as_json: AsJson = False,
    seconds: Seconds = None,
    count: Annotated[
        int | None, typer.Option("--count", metavar="N", min=1, help="End after N events, with status 0.")
    ] = None,
) -> int:
    """Print events as they come, a line each.

    With --json each line is one object: the event's fields, and its subject.
    """
    from drift_bus.watch import watch as run

    return run(
        subjects or [],
        nats_url=nats_url,
        nats_domain=nats_domain,
        prefix=prefix,
        as_json=as_json,
        seconds=seconds,
        count=count,
    )


@app.command(epilog="Example: drift-bus snapshot price SOL-PERP --json")
def snapshot(
    kind: Annotated[
        str | None,
        typer.Argument(metavar="[KIND]", help="funding, price, market or spot. Default: all four."),
    ] = None,
    market: Annotated[
        str | None, typer.Argument(metavar="[MARKET]", help="One market, such as SOL-PERP. Default: all.")
    ] = None,
    at: At = None,
    nats_url: NatsUrl = None,
    nats_domain: NatsDomain = None,
    prefix: Prefix = None,
    as_json: AsJson = False,
) -> int:
    """Print what the buckets hold now, or held at a time: the last confirmed value of each market.

    What is not confirmed within its bucket's TTL is not there. With --json each line is one object:
    the event's fields, and bucket, revision and age_s; with --at bucket, sequence, age_s and as_of_ns.
    """
    from drift_bus.snapshot import snapshot as run

    return run(kind, market, at=at, nats_url=nats_url, nats_domain=nats_domain, prefix=prefix, as_json=as_json)


@app.command(epilog="Example: drift-bus status --watch")
def status(
    again: Annotated[bool, typer.Option("--watch", help="Look again and again, until Ctrl-C.")] = False,
    nats_url: NatsUrl = None,
    nats_domain: NatsDomain = None,
    prefix: Prefix = None,
    as_json: AsJson = False,
) -> int:
    """Show which publisher leads, since when, who stands by, and what is wrong with that.

    It listens to their heartbeats for a second and a half, and reads the lease and the epoch from the stream. With
    --json a look is one object a line. The status is 1 where nobody leads.
    """
    from drift_bus.status import status as run

    return run(nats_url=nats_url, nats_domain=nats_domain, prefix=prefix, as_json=as_json, watch=again)
