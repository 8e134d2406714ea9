"""``drift-bus capture``: what it can be asked."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from drift_bus.errors import UsageProblem
from drift_bus.options import AsJson, Cluster, Lifeline, Markets, Program, RpcUrl, Seconds, Source, WsUrl

__all__ = ["app"]

app = typer.Typer(
    invoke_without_command=True,
    epilog="Example: drift-bus capture -o today.capture.zst --seconds 600; drift-bus capture info today.capture.zst",
    context_settings={"help_option_names": ["-h", "--help"]},
)
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kMG]?)B?", re.ASCII)
_FACTORS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}


def _size(text: str) -> int:
    """``500000``, ``64M``, ``1.5G`` as bytes."""
    match = _SIZE.fullmatch(text.strip())
    size = int(float(match[1]) * _FACTORS[match[2]]) if match else 0
    if size < 1:
        raise typer.BadParameter(f"{text!r} is no size; write 500000, 64M or 1.5G")
    return size


@app.callback()
def capture(
    context: typer.Context,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="Where to. It is FILE.part until it is whole. Codes as of strftime stand for the start in UTC: "
            "drift-%Y%m%dT%H%M%SZ.capture.zst",
        ),
    ] = None,
    rpc_url: RpcUrl = None,
    ws_url: WsUrl = None,
    source: Source = None,
    program: Program = None,
    markets: Markets = None,
    cluster: Cluster = None,
    seconds: Seconds = None,
    max_bytes: Annotated[
        int | None,
        typer.Option(
            "--max-bytes", metavar="SIZE", parser=_size, help="End before the file is larger, with status 0: 500M, 2G."
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    as_json: AsJson = False,
    until_stdin_closes: Lifeline = False,
) -> int:
    """Keep what the RPC node tells, byte for byte: every account and slot, as a zstd file.

    Needs no NATS. Ctrl-C, --seconds and --max-bytes end it with a whole file and status 0.
    'drift-bus simulate --capture FILE' serves it again.
    """
    if context.invoked_subcommand is not None:
        return 0
    if output is None:
        raise UsageProblem("say where to: -o FILE (drift-bus capture --help)")
    from drift_bus.capturing import capture as run

    flags = {
        "rpc_url": rpc_url,
        "ws_url": ws_url,
        "source": source,
        "program": program,
        "markets": markets,
        "cluster": cluster,
    }
    return run(
        output,
        flags=flags,
        seconds=seconds,
        max_bytes=max_bytes,
        force=force,
        as_json=as_json,
        until_stdin_closes=until_stdin_closes,
    )


@app.command(epilog="Example: drift-bus capture info today.capture.zst --json")
def info(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A capture, whole, cut short or still growing.")],
    as_json: AsJson = False,
) -> int:
    """Tell what a capture holds: of what, from when to when, how much of what.

    A file that is cut short is read up to its last whole frame, and that is said; a damaged one is an error that
    names the frame.
    """
    from drift_bus.capture_info import info as run

    return run(file, as_json=as_json)
