"""Fixtures of the command's tests."""

from __future__ import annotations

import pytest

from tests.cli.forked import all_imported


@pytest.fixture(scope="session", autouse=True)
def commands_start_at_once() -> None:
    """Imports are done before the first test begins."""
    all_imported()
