"""Where ``drift-bus`` and ``python -m drift_bus`` begin: the command, or one line where its extra is not installed."""

from __future__ import annotations

import sys

from drift_bus.extras import missing_extra

__all__ = ["main"]


def main() -> None:
    """Entry point: runs the command line and exits with its status."""
    try:
        from drift_bus.main import main as run
    except ModuleNotFoundError as error:
        line = missing_extra(error)
        if line is None:
            raise
        sys.exit(f"drift-bus: error: {line}")
    run()


if __name__ == "__main__":
    main()
