"""The ``drift-bus`` command: what it can be asked, and which module answers."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from drift_bus import auth, capture, errors
from drift_bus.options import (
    AsJson,
    At,
    CaptureInto,
    Cluster,
    FirstSequence,
    From,
    Kinds,
    LastSequence,
    Level,
    Lifeline,
    LogFormat,
    Markets,
    MarketsOnly,
    NatsUrl,
    Prefix,
    RpcUrl,
    Seconds,
    Source,
    To,
    WsUrl,
    positive,
)

__all__ = ["app", "main"]

app = typer.Typer(
    name="drift-bus",
    help="Funding, prices and markets of Drift perpetuals on a NATS bus: one process talks to Solana, "
    "everyone else reads.\n\nStart here, no network and no key needed: [bold]drift-bus up --demo[/bold]",
    epilog="Settings come from a .env file, then DRIFT_BUS_* variables, then flags; the last one wins.",
    rich_markup_mode="rich",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(auth.app, name="auth")
app.add_typer(capture.app, name="capture")


def main(arguments: list[str] | None = None) -> None:
    """Entry point: runs the command line and exits with its status."""
    sys.exit(errors.ending_with_one_line(lambda: app(arguments, prog_name="drift-bus", standalone_mode=False)))


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import PackageNotFoundError, version

        try:
            typer.echo(f"drift-bus {version('drift-bus')}")
        except PackageNotFoundError:
            typer.echo("drift-bus (not installed, run from its source)")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _common(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
    env_file: Annotated[
        Path | None,
        typer.Option(
            "--env-file",
            metavar="FILE",
            help="Settings (DRIFT_BUS_*=…), stronger than .env and weaker than the environment, "
            "such as those that auth init writes.",
        ),
    ] = None,
) -> None:
    if debug:
        errors.show_tracebacks()
    if env_file is not None:
        from drift_bus.env_file import load_env_file

        load_env_file(env_file)
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command(epilog="Example: drift-bus up --demo --seconds 20")
def up(
    demo: Annotated[bool, typer.Option("--demo", help="With a simulated chain: no network, no key.")] = False,
    rpc_url: RpcUrl = None,
    ws_url: WsUrl = None,
    nats_url: NatsUrl = None,
    prefix: Prefix = None,
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
        "subject_prefix": prefix,
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
        "markets": markets,
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

    return run(subjects or [], nats_url=nats_url, prefix=prefix, as_json=as_json, seconds=seconds, count=count)


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
    prefix: Prefix = None,
    as_json: AsJson = False,
) -> int:
    """Print what the buckets hold now, or held at a time: the last confirmed value of each market.

    What is not confirmed within its bucket's TTL is not there. With --json each line is one object:
    the event's fields, and bucket, revision and age_s; with --at bucket, sequence, age_s and as_of_ns.
    """
    from drift_bus.snapshot import snapshot as run

    return run(kind, market, at=at, nats_url=nats_url, prefix=prefix, as_json=as_json)


@app.command(epilog="Example: drift-bus replay --from -2h --to -1h --kind price --market SOL-PERP --speed 10 --json")
def replay(
    since: From = None,
    until: To = None,
    first_sequence: FirstSequence = None,
    last_sequence: LastSequence = None,
    kinds: Kinds = None,
    markets: MarketsOnly = None,
    speed: Annotated[
        str | None,
        typer.Option("--speed", metavar="X|max", help="Times as fast as it was. Default: max; with --onto 1."),
    ] = None,
    onto: Annotated[
        str | None,
        typer.Option("--onto", metavar="NAME", help="Publish under replay.NAME.>, with buckets of its own."),
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Delete an earlier replay of that name first.")] = False,
    funding_history: Annotated[
        bool, typer.Option("--funding-history", help="From the stream that keeps funding longer than the rest.")
    ] = False,
    count: Annotated[
        int | None, typer.Option("--count", metavar="N", min=1, help="End after N events, with status 0.")
    ] = None,
    nats_url: NatsUrl = None,
    prefix: Prefix = None,
    as_json: AsJson = False,
) -> int:
    """Play a part of the history again: every change in its order, as fast as it was, or faster.

    To stdout, a line each (with --json as 'watch --json', and replay, sequence and stored_at_ns), or with --onto onto
    a bus of its own, which engines read with prefix replay.NAME. Ctrl-C stops it cleanly, with status 130.
    """
    from drift_bus.replay import replay as run

    return run(
        nats_url=nats_url,
        prefix=prefix,
        since=since,
        until=until,
        first_sequence=first_sequence,
        last_sequence=last_sequence,
        kinds=kinds,
        markets=markets,
        speed=speed,
        onto=onto,
        replace=replace,
        funding_history=funding_history,
        count=count,
        as_json=as_json,
    )


@app.command(epilog="Example: drift-bus simulate --port 8899 --updates-per-second 100 --funding-period 60")
def simulate(
    context: typer.Context,
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
        int, typer.Option("--funding-period", metavar="S", min=1, help="Seconds between funding settlements.")
    ] = 3600,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Same seed, same random walk.")] = 7,
    perp_markets: Annotated[
        int | None,
        typer.Option(
            "--perp-markets",
            metavar="N",
            min=1,
            max=1000,
            help="How many. Default: a selection of real ones.",
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
    """Run a simulated Solana node with live Drift accounts, for trying things out.

    Its data is invented, or happens again from a capture. Point a publisher at it with --rpc-url and
    --cluster simulated.
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
        "port": port,
        "updates_per_second": updates_per_second,
        "funding_period_s": funding_period,
        "seed": seed,
        "perp_markets": perp_markets,
    }
    return run(options, as_json=as_json, until_stdin_closes=until_stdin_closes)


@app.command(epilog="Example: drift-bus export funding-today --kind funding --from -24h --market SOL-PERP")
def export(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where to; one folder is one export.")],
    since: From = None,
    until: To = None,
    kinds: Kinds = None,
    markets: MarketsOnly = None,
    file_format: Annotated[
        Literal["parquet", "csv", "jsonl"], typer.Option("--format", help="Of the files.")
    ] = "parquet",
    decimals: Annotated[
        bool, typer.Option("--decimals", help="Prices and rates as decimals, not as the chain's integers.")
    ] = False,
    gzipped: Annotated[bool, typer.Option("--gzip", help="Compress csv or jsonl; Parquet always is.")] = False,
    funding_history: Annotated[
        bool, typer.Option("--funding-history", help="From the stream that keeps funding longer than the rest.")
    ] = False,
    nats_url: NatsUrl = None,
    prefix: Prefix = None,
    as_json: AsJson = False,
) -> int:
    """Write the history to files: FOLDER/kind=…/day=…/part-….parquet, ready for DuckDB and pandas.

    The same command again goes on where the last one stopped, and adds what was stored since. Ctrl-C stops it
    cleanly, with status 130.
    """
    from drift_bus.export import export as run

    return run(
        folder,
        nats_url=nats_url,
        prefix=prefix,
        since=since,
        until=until,
        kinds=kinds,
        markets=markets,
        file_format=file_format,
        decimals=decimals,
        gzipped=gzipped,
        funding_history=funding_history,
        as_json=as_json,
    )


@app.command("import", epilog="Example: drift-bus import funding-today --prefix imported")
def import_export(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder of an export.")],
    nats_url: NatsUrl = None,
    prefix: Prefix = None,
    as_json: AsJson = False,
) -> int:
    """Make a stream of an export, with the old order, times and ids.

    Only into a stream of its own, never into one that a publisher uses: name a fresh --prefix where there is one.
    The same command again goes on where the last one stopped.
    """
    from drift_bus.import_ import import_export as run

    return run(folder, nats_url=nats_url, prefix=prefix, as_json=as_json)


@app.command(epilog="Example: drift-bus streams --json")
def streams(
    everything: Annotated[
        bool, typer.Option("--all", help="Also those under other prefixes: imports, replays, other buses.")
    ] = False,
    nats_url: NatsUrl = None,
    prefix: Prefix = None,
    as_json: AsJson = False,
) -> int:
    """Show how much history there is, how fast it grows, and when its limits are reached.

    The limits are settings of the publisher: DRIFT_BUS_STREAM_MAX_AGE_S and _BYTES, DRIFT_BUS_FUNDING_MAX_AGE_S and
    _BYTES.
    """
    from drift_bus.streams import streams as run

    return run(nats_url=nats_url, prefix=prefix, everything=everything, as_json=as_json)


@app.command(epilog="Example: drift-bus status --watch")
def status(
    again: Annotated[bool, typer.Option("--watch", help="Look again and again, until Ctrl-C.")] = False,
    nats_url: NatsUrl = None,
    prefix: Prefix = None,
    as_json: AsJson = False,
) -> int:
    """Show which publisher leads, since when, who stands by, and what is wrong with that.

    It listens to their heartbeats for a second and a half, and reads the lease and the epoch from the stream. With
    --json a look is one object a line. The status is 1 where nobody leads.
    """
    from drift_bus.status import status as run

    return run(nats_url=nats_url, prefix=prefix, as_json=as_json, watch=again)


@app.command(epilog="Example: drift-bus doctor --json")
def doctor(
    rpc_url: RpcUrl = None,
    ws_url: WsUrl = None,
    source: Source = None,
    nats_url: NatsUrl = None,
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
        "markets": markets,
        "cluster": cluster,
        "subject_prefix": prefix,
    }
    return run(flags=flags, as_json=as_json)
