"""docs/settings.md says of every setting what it means, and nothing else names a setting that is not there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from drift_bus.settings import CommandSettings
from drift_bus.settings_page import fields_by_reader, main, page
from drift_publisher import PublisherSettings

ROOT = Path(__file__).parents[2]
FIELDS = [(reader, name) for reader, fields in fields_by_reader().items() for name in fields]

NAMED = ("README.md", "docker-compose.yml", "docs", "deploy", "schemas", "publisher", "subscribers", "simulator", "cli")


def test_the_page_is_what_make_docs_writes(tmp_path: Path) -> None:
    assert main([str(tmp_path)]) == 0
    assert (ROOT / "docs/settings.md").read_text() == (tmp_path / "settings.md").read_text(), "run make docs"
    assert "settings_page docs/" in (ROOT / "Makefile").read_text()


def test_every_setting_stands_there_once() -> None:
    listed = re.findall(r"^\| `DRIFT_BUS_(\w+)` ", page(), re.MULTILINE)
    assert sorted(listed) == sorted(
        {name.upper() for settings in (CommandSettings, PublisherSettings) for name in settings.model_fields}
    )


@pytest.mark.parametrize(("reader", "name"), FIELDS, ids=str)
def test_a_setting_says_what_it_means(reader: str, name: str) -> None:
    description = fields_by_reader()[reader][name].description or ""
    assert description.endswith(".")
    assert len(description.split()) > 3


def test_whatever_names_a_setting_names_one_that_is_there() -> None:
    known = set(re.findall(r"DRIFT_BUS_[A-Z0-9_]+", page()))
    named = {
        (name, str(path.relative_to(ROOT)))
        for place in NAMED
        for path in ([ROOT / place] if (ROOT / place).is_file() else sorted((ROOT / place).rglob("*")))
        if path.suffix in {".md", ".py", ".yml", ".env", ".service", ".conf"}
        for name in re.findall(r"\bDRIFT_BUS_[A-Z0-9_]*[A-Z0-9](?![A-Z0-9_*])", path.read_text(encoding="utf-8"))
    }
    families = {name for name, _ in named if any(other.startswith(f"{name}_") for other in known)}
    assert {(name, path) for name, path in named if name not in known | families} == set()
