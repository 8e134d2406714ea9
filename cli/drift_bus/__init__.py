"""The drift-bus command and what it needs to run everything on one machine."""

__all__: list[str] = []
