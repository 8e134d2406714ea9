"""``python -m drift_bus``, the same as the ``drift-bus`` command."""

from drift_bus.main import main

if __name__ == "__main__":
    main()
