"""The commands for the history: replay, export, import, streams."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from drift_bus.options import (
    AsJson,
    FirstSequence,
    From,
    Kinds,
    LastSequence,
    MarketsOnly,
    NatsDomain,
    NatsUrl,
    Prefix,
    To,
)

__all__ = ["app"]

app = typer.Typer()


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
    nats_domain: NatsDomain = None,
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
        nats_domain=nats_domain,
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
    nats_domain: NatsDomain = None,
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
        nats_domain=nats_domain,
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
    path: Annotated[Path, typer.Argument(metavar="PATH", help="The folder of an export, or the file of a capture.")],
    nats_url: NatsUrl = None,
    nats_domain: NatsDomain = None,
    prefix: Prefix = None,
    as_json: AsJson = False,
) -> int:
    """Make a stream of an export, with the old order, times and ids, or of the events that follow from a capture.

    Only into a stream of its own, never into one that a publisher uses: name a fresh --prefix where there is one.
    The same command again goes on where the last one stopped.
    """
    from drift_bus.import_ import import_export as run

    return run(path, nats_url=nats_url, nats_domain=nats_domain, prefix=prefix, as_json=as_json)


@app.command(epilog="Example: drift-bus streams --json")
def streams(
    everything: Annotated[
        bool, typer.Option("--all", help="Also those under other prefixes: imports, replays, other buses.")
    ] = False,
    nats_url: NatsUrl = None,
    nats_domain: NatsDomain = None,
    prefix: Prefix = None,
    as_json: AsJson = False,
) -> int:
    """Show how much history there is, how fast it grows, and when its limits are reached.

    The limits are settings of the publisher: DRIFT_BUS_STREAM_MAX_AGE_S and _BYTES, DRIFT_BUS_FUNDING_MAX_AGE_S and
    _BYTES.
    """
    from drift_bus.streams import streams as run

    return run(nats_url=nats_url, nats_domain=nats_domain, prefix=prefix, everything=everything, as_json=as_json)
