"""The commands for trying things out and for finding what is wrong: simulate, doctor, reconcile."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from drift_bus.options import (
    AsJson,
    Cluster,
    Lifeline,
    Markets,
    MarketsOnly,
    NatsDomain,
    NatsUrl,
    Prefix,
    Program,
    RpcUrl,
    Source,
    WsUrl,
    positive,
)

__all__ = ["app"]

app = typer.Typer()


@app.command(epilog="Example: drift-bus simulate --program velocity-v1 --port 8899 --funding-period 60")
def simulate(
    context: typer.Context,
    program: Annotated[
        str,
        typer.Option(
            "--program",
            metavar="NAME",
            help="What lives there: drift-v2, or its successor velocity-v1.",
        ),
    ] = "drift-v2",
    port: Annotated[
        int,
        typer.Option(
            "--port",
            metavar="P",
            min=0,
            max=65534,
            help="HTTP port; P+1 serves WebSockets too. 0 takes a free pair.",
        ),
    ] = 8899,
    updates_per_second: Annotated[
        float,
        typer.Option("--updates-per-second", metavar="N", callback=positive, help="Account changes a second."),
    ] = 50.0,
    funding_period: Annotated[
        int,
        typer.Option("--funding-period", metavar="S", min=1, max=86_400, help="Seconds between funding settlements."),
    ] = 3600,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Same seed, same random walk.")] = 7,
    perp_markets: Annotated[
        int | None,
        typer.Option(
            "--perp-markets",
            metavar="N",
            min=1,
            max=1000,
            help="How many; past the real ones, invented ones. Default: a selection of real ones.",
        ),
    ] = None,
    capture_file: Annotated[
        Path | None,
        typer.Option("--capture", metavar="FILE", help="Serve what 'drift-bus capture' kept, not a random walk."),
    ] = None,
    speed: Annotated[
        str, typer.Option("--speed", metavar="1|10|max", help="Of a capture: its own pace, a multiple, or all it can.")
    ] = "1",
    loop: Annotated[bool, typer.Option("--loop", help="Begin the capture again at its end.")] = False,
    exit_at_end: Annotated[bool, typer.Option("--exit-at-end", help="End with the capture, with status 0.")] = False,
    as_json: AsJson = False,
    until_stdin_closes: Lifeline = False,
) -> int:
    """Run a simulated Solana node with live accounts of Drift or Velocity, for trying things out.

    Its data is invented, or happens again from a capture. Point a publisher at it with --rpc-url and
    --cluster simulated. Each program has its own addresses, accounts and funding rule: Drift comes with 21 perp
    markets and a user, Velocity with the 5 of its relaunch and no user.
    """
    from drift_bus.simulate import refuse_mixture, serve_capture, speed_of
    from drift_bus.simulate import simulate as run

    refuse_mixture(context, is_capture=capture_file is not None)
    if capture_file is not None:
        return serve_capture(
            capture_file,
            port=port,
            speed=speed_of(speed),
            loop=loop,
            exit_at_end=exit_at_end,
            as_json=as_json,
            until_stdin_closes=until_stdin_closes,
        )
    options = {
        "program": program,
        "port": port,
        "updates_per_second": updates_per_second,
        "funding_period_s": funding_period,
        "seed": seed,
        "perp_markets": perp_markets,
    }
    return run(options, as_json=as_json, until_stdin_closes=until_stdin_closes)


@app.command(epilog="Example: drift-bus doctor --json")
def doctor(
    rpc_url: RpcUrl = None,
    ws_url: WsUrl = None,
    source: Source = None,
    nats_url: NatsUrl = None,
    nats_domain: NatsDomain = None,
    program: Program = None,
    markets: Markets = None,
    cluster: Cluster = None,
    prefix: Prefix = None,
    as_json: AsJson = False,
) -> int:
    """Look at everything a bus needs, and say what is wrong and what to do.

    Settings, RPC endpoints, NATS server, rights, streams and buckets, publisher, clocks, room; and a canary goes the
    whole way. It writes nothing but that. With --json each finding is one object a line. The status is 0 where nothing
    failed, else 1.
    """
    from drift_bus.doctor import doctor as run

    flags = {
        "rpc_url": rpc_url,
        "ws_url": ws_url,
        "source": source,
        "nats_url": nats_url,
        "nats_domain": nats_domain,
        "markets": markets,
        "program": program,
        "cluster": cluster,
        "subject_prefix": prefix,
    }
    return run(flags=flags, as_json=as_json)


@app.command(epilog="Example: drift-bus reconcile --against https://data.velocity.exchange --market SOL-PERP")
def reconcile(
    against: Annotated[
        str,
        typer.Option(
            "--against",
            metavar="URL",
            help="The hosted data API: its host, or the whole address of /stats/markets. "
            "A key in it shows in the process list.",
        ),
    ],
    funding: Annotated[
        Literal["estimated", "settled"],
        typer.Option(
            "--funding", help="Which funding of the bus to compare. The hosted API shows the running estimate."
        ),
    ] = "estimated",
    price_tolerance_bps: Annotated[
        str, typer.Option("--price-tolerance-bps", metavar="N", help="Oracle price, in bps of the hosted one.")
    ] = "20",
    mark_tolerance_bps: Annotated[
        str,
        typer.Option(
            "--mark-tolerance-bps",
            metavar="N",
            help="Mark price, in bps of the hosted one, which is the order book's mid and not the vAMM's.",
        ),
    ] = "100",
    open_interest_tolerance_bps: Annotated[
        str,
        typer.Option("--open-interest-tolerance-bps", metavar="N", help="Each side, in bps of the hosted one."),
    ] = "50",
    funding_tolerance: Annotated[
        str, typer.Option("--funding-tolerance", metavar="N", help="Each side, in percent per hour, absolute.")
    ] = "0.0002",
    markets: MarketsOnly = None,
    timeout_s: Annotated[
        float, typer.Option("--timeout", metavar="S", callback=positive, help="Seconds for the whole hosted answer.")
    ] = 10.0,
    everything: Annotated[bool, typer.Option("--all", help="Show also the figures that agree.")] = False,
    nats_url: NatsUrl = None,
    nats_domain: NatsDomain = None,
    prefix: Prefix = None,
    as_json: AsJson = False,
) -> int:
    """Compare the bus with the hosted data API: funding and open interest by side, oracle and mark price.

    What differs is told with its size. With --json the whole comparison is one object on one line. The status is 0
    where all agree; 1 where a figure differs beyond its tolerance, the bus lacks what the hosted API has, or a market
    is on one side only; 2 where one of the two could not be read.
    """
    from drift_bus.reconcile.command import reconcile as run

    return run(
        against,
        basis=funding,
        tolerances={
            "--price-tolerance-bps": price_tolerance_bps,
            "--mark-tolerance-bps": mark_tolerance_bps,
            "--open-interest-tolerance-bps": open_interest_tolerance_bps,
            "--funding-tolerance": funding_tolerance,
        },
        only=markets or [],
        timeout_s=timeout_s,
        everything=everything,
        nats_url=nats_url,
        nats_domain=nats_domain,
        prefix=prefix,
        as_json=as_json,
    )
