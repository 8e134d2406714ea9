"""The ``drift-bus`` command: its groups of commands, and what all of them share."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from drift_bus import auth, capture, errors
from drift_bus.commands import live, past, tools

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
for group in (live, past, tools):
    app.add_typer(group.app)
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
