"""``drift-bus auth init``: a server configuration with its keys and certificates, and what to do with them."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from drift_bus.errors import CommandError, UsageProblem
from drift_bus.options import AsJson, Prefix

if TYPE_CHECKING:
    from drift_bus.authority import Plan, Written

__all__ = ["app"]

_LOCAL: Final = ("localhost", "127.0.0.1", "::1")
_MAX_PORT: Final = 65535
_DOMAIN: Final = "hub"

app = typer.Typer(help="Who may do what on the NATS server.", no_args_is_help=True)


@app.callback()
def _auth() -> None:
    """Makes ``init`` a command of its own, though it is the only one."""


@app.command(epilog="Example: drift-bus auth init ./auth --engine funding --engine scalp --host nats.example.com")
def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to write; a folder that does not exist yet.")],
    engines: Annotated[
        list[str],
        typer.Option("--engine", metavar="NAME", help="An engine; repeat it for more. Each gets an account and a key."),
    ] = ["engine"],  # noqa: B006 (typer copies it)
    hosts: Annotated[
        list[str] | None,
        typer.Option(
            "--host",
            metavar="HOST",
            help="A name or address of the server, for its certificate; clients are told the first. "
            "localhost is always in it.",
        ),
    ] = None,
    listen: Annotated[
        str, typer.Option("--listen", metavar="HOST:PORT", help="Where the server listens.")
    ] = "127.0.0.1:4222",
    days: Annotated[
        int, typer.Option("--days", metavar="N", min=1, max=3650, help="How long the certificate is good.")
    ] = 825,
    server_dir: Annotated[
        Path | None,
        typer.Option("--server-dir", metavar="DIR", help="Where the server sees DIR, as in a container: /etc/nats."),
    ] = None,
    leaf_listen: Annotated[
        str | None,
        typer.Option(
            "--leaf-listen",
            metavar="HOST:PORT",
            help="Also take leaf nodes there, and write a configuration of one for each engine: 0.0.0.0:7422.",
        ),
    ] = None,
    nats_domain: Annotated[
        str | None,
        typer.Option(
            "--nats-domain",
            metavar="NAME",
            help="The server's JetStream domain, by which leaf nodes reach it. "
            "[DRIFT_BUS_NATS_DOMAIN; default with --leaf-listen: hub]",
        ),
    ] = None,
    client_dir: Annotated[
        Path | None,
        typer.Option(
            "--client-dir",
            metavar="DIR",
            help="Where a role's program sees its ROLE.nk and ca.pem, if they are moved: /etc/drift-bus/login.",
        ),
    ] = None,
    store_dir: Annotated[
        Path | None,
        typer.Option(
            "--store-dir",
            metavar="DIR",
            help="Where JetStream stores, if not in the server's DIR: /var/lib/nats. The server must be able to write.",
        ),
    ] = None,
    monitor: Annotated[
        str | None,
        typer.Option(
            "--monitor",
            metavar="HOST:PORT",
            help="Where the server tells its health and figures, to everybody: 127.0.0.1:8222. Default: nowhere.",
        ),
    ] = None,
    accept: Annotated[
        Path | None,
        typer.Option(
            "--accept",
            metavar="OLD",
            help="Keep the certificate of the folder OLD, and write nats-server.both.conf too, which accepts its keys "
            "as well: for new keys without an interruption.",
        ),
    ] = None,
    prefix: Prefix = None,
    force: Annotated[
        bool, typer.Option("--force", help="Make new keys in a DIR that holds some; the old ones stop working.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Write a nats-server configuration in which each role may do what it needs, and no more.

    publisher feeds the bus. An engine reads it, from an account of its own, and can change nothing.
    replay reads it too, and writes replays into its own account.
    operator administers the streams, system the server. Who has no key does not get in.

    Each role gets an nkey seed (ROLE.nk) and its settings (ROLE.env): drift-bus --env-file DIR/ROLE.env COMMAND.
    An engine's code takes them from the environment with NatsAccess.from_environment().

    The server speaks TLS, with a certificate signed by a CA made for it (ca.pem). All files are yours alone (0600).
    """
    from drift_bus.authority import Plan, write_folder
    from drift_bus.settings import CommandSettings
    from drift_schemas.access import AccessError

    hosts = hosts or []
    topology = CommandSettings.load(nats_domain=nats_domain, subject_prefix=prefix).topology
    if leaf_listen is not None and topology.domain is None:
        topology = replace(topology, domain=_DOMAIN)
    plan = Plan(
        topology=topology,
        engines=tuple(engines),
        hosts=(*(_checked_host(host) for host in hosts), *(host for host in _LOCAL if host not in hosts)),
        listen=_address("--listen", listen),
        days=days,
        leaf_listen=_address("--leaf-listen", leaf_listen) if leaf_listen is not None else None,
        server_folder=_absolute("--server-dir", server_dir),
        client_folder=_absolute("--client-dir", client_dir),
        store=_absolute("--store-dir", store_dir),
        monitor=_address("--monitor", monitor) if monitor is not None else None,
        accept=accept,
    )
    try:
        written = write_folder(folder, plan, force=force)
    except AccessError as error:  # PyNaCl is missing
        raise CommandError(str(error)) from None
    _tell(written, plan, as_json=as_json)
    return 0


def _tell(written: Written, plan: Plan, *, as_json: bool) -> None:
    next_steps = [
        f"nats-server -c {plan.server_folder / written.config.name if plan.server_folder else written.config}",
        f"drift-bus --env-file {written.settings['publisher']} publish --rpc-url https://…",
        f"drift-bus --env-file {written.settings[plan.engines[0]]} watch",
    ]
    if as_json:
        told = {
            "folder": str(written.folder),
            "config": str(written.config),
            "settings": {role: str(path) for role, path in written.settings.items()},
            "files": {str(path): purpose for path, purpose in written.files.items()},
            "next": next_steps,
        }
        sys.stdout.write(json.dumps(told) + "\n")
        return
    width = max(len(path.name) for path in written.files)
    lines = [f"{written.folder} (readable by you alone):"]
    lines += [f"  {path.name:<{width}}  {purpose}" for path, purpose in written.files.items()]
    lines += ["", "Next:", *(f"  {step}" for step in next_steps)]
    sys.stdout.write("\n".join(lines) + "\n")


def _absolute(flag: str, path: Path | None) -> Path | None:
    """The path as another program can use it, wherever it runs."""
    if path is not None and not path.is_absolute():
        raise UsageProblem(f"{flag} {path}: another program reads it, so give the whole path, from / on")
    if path is not None and any(character in str(path) for character in "\n\r'\"\\$`#"):
        raise UsageProblem(f"{flag} {path}: choose a path without quotes, $, # or line breaks; settings files name it")
    return path


def _checked_host(host: str) -> str:
    if not host or any(not (character.isalnum() or character in ".:-_*") for character in host) or not host.isascii():
        raise UsageProblem(f"--host {host!r}: give a host's name or address, without port")
    return host


def _address(flag: str, listen: str) -> tuple[str, int]:
    host, separator, port = listen.rpartition(":")
    if not separator or not host or not port.isdigit() or not 0 < int(port) <= _MAX_PORT:
        raise UsageProblem(f"{flag} {listen!r}: write HOST:PORT, such as 0.0.0.0:4222")
    _checked_host(host.strip("[]"))
    return host, int(port)
