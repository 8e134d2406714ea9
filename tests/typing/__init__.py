"""What type checkers say about the public API: read by mypy, and run."""
