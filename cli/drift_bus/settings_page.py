"""Writes docs/settings.md from the settings classes: ``python -m drift_bus.settings_page docs/``."""

from __future__ import annotations

import re
import sys
import types
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

__all__ = ["fields_by_reader", "main", "page"]

_PREFIX: Final = "DRIFT_BUS_"

# The end of a number's name → its unit. `json_schema_extra={"unit": …}` says it where the name does not.
_UNITS: Final = {
    "_per_s": "per second",
    "_s": "seconds",
    "_ms": "milliseconds",
    "_bytes": "bytes",
    "_slots": "slots",
    "_markets": "markets",
    "_burst": "requests",
    "_replicas": "copies",
    "_port": "port",
    "_per_socket": "per socket",
}

_HEAD: Final = """# Settings

Written by `make docs` from the settings classes; do not edit it here.

A program reads the file `.env` in its working directory, then its environment, then its flags; the last one wins.
`drift-bus --env-file FILE` comes between `.env` and the environment. An empty value counts as not set. A wrong value
ends the program with a line that names the setting. `drift-bus doctor` finds names that nothing knows. URLs may hold
keys: they are never printed.
"""

_ENGINES: Final = """
## Engines

`DriftFeed` and `shared_feed` read no environment: servers, prefix and login are their arguments.
`NatsAccess.from_environment()` reads the login settings above. The compatibility layer (`drift_subscribers.compat`)
reads, when it opens its feed:

{compat}

The engine image's health check reads `DRIFT_BUS_NATS_URL`, `DRIFT_BUS_SUBJECT_PREFIX`, the login settings, and
`DRIFT_BUS_HEALTH_MARKET`: the market of which a fresh price has to be there, by default `SOL-PERP`.
"""

_SECTIONS: Final = {
    "all": ("Commands and publisher", "Every `drift-bus` command knows these, and so does the publisher."),
    "login": (
        "Login at the NATS server",
        "Commands, publisher, and an engine's `NatsAccess.from_environment()`. They name files, never a secret itself; "
        "[security.md](security.md) tells more.",
    ),
    "command": (
        "Commands only",
        "The `drift-bus` command reads these; a `Publisher` in a program of your own does not.",
    ),
    "publisher": (
        "Publisher only",
        "`drift-bus publish`, and what `up` starts. `capture` uses those about Solana, `doctor` checks all.",
    ),
}


def fields_by_reader() -> dict[str, dict[str, FieldInfo]]:
    """Every setting: the section that tells who reads it → its name → its field."""
    from drift_bus.settings import CommandSettings
    from drift_publisher import PublisherSettings
    from drift_schemas.access import NatsSettings

    login = _fields(NatsSettings)
    publisher = {name: field for name, field in _fields(PublisherSettings).items() if name not in login}
    command = {name: field for name, field in _fields(CommandSettings).items() if name not in login}
    return {
        "all": {name: field for name, field in publisher.items() if name in command},
        "login": login,
        "command": {name: field for name, field in command.items() if name not in publisher},
        "publisher": {name: field for name, field in publisher.items() if name not in command},
    }


def page() -> str:
    """The whole page."""
    from drift_subscribers.compat.settings import CompatSettings

    parts = [_HEAD]
    for reader, fields in fields_by_reader().items():
        title, text = _SECTIONS[reader]
        parts += [f"\n## {title}\n\n{text}\n\n", _table(fields)]
    parts.append(_ENGINES.format(compat=_bullets(CompatSettings.__doc__ or "")))
    return "".join(parts)


def main(arguments: list[str] | None = None) -> int:
    """Writes the page into the folder named on the command line."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m drift_bus.settings_page FOLDER\n")
        return 2
    Path(arguments[0], "settings.md").write_text(page(), encoding="utf-8")
    return 0


def _fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    return dict(model.model_fields)


def _table(fields: Mapping[str, FieldInfo]) -> str:
    lines = ["| variable | value | default | meaning |\n|---|---|---|---|\n"]
    for name, field in fields.items():
        cells = (f"`{_PREFIX}{name.upper()}`", _value(name, field), _default(name, field), _meaning(field))
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n")
    return "".join(lines)


def _meaning(field: FieldInfo) -> str:
    return " ".join((field.description or "").replace("``", "`").split())


def _value(name: str, field: FieldInfo) -> str:
    kinds = [kind for kind in _alternatives(field.annotation) if kind is not type(None)]
    literals = [f"`{value}`" for kind in kinds if get_origin(kind) is Literal for value in get_args(kind)]
    if literals:
        return " or ".join(literals)
    if bool in kinds:
        return "`true` or `false`"
    if int in kinds or float in kinds:
        what = "whole number" if int in kinds else "number"
        return f"{what}{_bounds(field)}, {_unit(name, field)}"
    if tuple in kinds or any(get_origin(kind) is tuple for kind in kinds):
        return "list, separated by commas"
    pattern = next((item.pattern for item in field.metadata if getattr(item, "pattern", None)), None)
    if pattern and (choice := re.fullmatch(r"\^\(([a-z|]+)\)\$", pattern)):
        return " or ".join(f"`{word}`" for word in choice[1].split("|"))
    return "text, secret" if SecretStr in kinds else "text"


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)


def _bounds(field: FieldInfo) -> str:
    found: dict[str, Any] = {}
    for item in field.metadata:
        found |= {
            name: getattr(item, name) for name in ("gt", "ge", "lt", "le") if getattr(item, name, None) is not None
        }
    words = {"gt": "above", "ge": "from", "lt": "below", "le": "to"}
    return "".join(f" {words[name]} {found[name]:g}" for name in words if name in found)


def _unit(name: str, field: FieldInfo) -> str:
    extra = field.json_schema_extra
    if isinstance(extra, dict) and "unit" in extra:
        return str(extra["unit"])
    return next((unit for ending, unit in _UNITS.items() if name.endswith(ending)), "count")


def _default(name: str, field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True, validated_data={})
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if value == ():
        return "all"
    if value is None or value == "":
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, int | float):
        return f"`{value:g}`" if isinstance(value, float) else f"`{value}`{_in_words(name, value)}"
    return f"`{value}`"


def _in_words(name: str, value: int) -> str:
    """A large number as people say it."""
    if name.endswith("_bytes") and value >= 1024**3 and value % 1024**3 == 0:
        return f" ({value // 1024**3} GiB)"
    if name.endswith("_s") and value >= 86_400 and value % 86_400 == 0:
        return f" ({value // 86_400} days)"
    return ""


def _bullets(docstring: str) -> str:
    """The entries of a docstring's ``Attributes:`` as a list, without the attributes' own names."""
    entries: Iterable[str] = re.split(r"\n {8}(?=\w+: )", docstring.partition("Attributes:")[2])
    texts = (" ".join(entry.split()) for entry in entries if entry.strip())
    return "\n".join(f"- {text.partition(': ')[2].replace('``', '`')}" for text in texts)


if __name__ == "__main__":
    sys.exit(main())
