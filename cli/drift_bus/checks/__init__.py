"""What ``drift-bus doctor`` looks at: one module a subject, each yielding findings as it goes."""

from drift_bus.checks.finding import Finding, Result

__all__ = ["Finding", "Result"]
