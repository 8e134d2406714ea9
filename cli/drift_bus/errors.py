"""How the command ends when something is wrong: one clear line on stderr and a status."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable

import typer

from drift_bus.extras import missing_extra
from drift_bus.redaction import redact

__all__ = [
    "CommandError",
    "UsageProblem",
    "complain",
    "ending_with_one_line",
    "first_cause",
    "forget_stdout",
    "show_tracebacks",
]

_INTERRUPTED = 130
_settings = {"tracebacks": False}


class CommandError(Exception):
    """Something is wrong that its user can understand; the text is one line with the remedy."""

    status = 1


class UsageProblem(CommandError):
    """The command line or the settings are wrong."""

    status = 2


def show_tracebacks() -> None:
    """From now on an error also prints its traceback (``--debug``)."""
    _settings["tracebacks"] = True


def complain(message: str) -> None:
    """Writes one redacted line to stderr; a closed stderr is nobody's problem."""
    line = " ".join(redact(message).split())
    with contextlib.suppress(OSError, ValueError):
        print(f"drift-bus: {line}", file=sys.stderr, flush=True)


def ending_with_one_line(command: Callable[[], int | None]) -> int:
    """Runs ``command`` and returns the exit status, having told what went wrong in one line."""
    try:
        return command() or 0
    except CommandError as error:
        return _failed(str(error), error.status)
    except typer.TyperException as error:
        return _failed(_usage_text(error), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        return _INTERRUPTED
    except BrokenPipeError:
        forget_stdout()
        return 0
    except Exception as error:
        cause = first_cause(error)
        if isinstance(cause, CommandError):
            return _failed(str(cause), cause.status)
        if isinstance(cause, ModuleNotFoundError) and (line := missing_extra(cause)):
            return _failed(line, 1)
        return _failed(f"unexpected {type(cause).__name__}: {cause} (drift-bus --debug … shows where)", 1)


def first_cause(error: BaseException) -> BaseException:
    """The first error inside nested groups, or the error itself."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def forget_stdout() -> None:
    """Points stdout at nothing, so that the interpreter's last flush doesn't complain of a closed pipe."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _failed(message: str, status: int) -> int:
    if _settings["tracebacks"]:
        import traceback

        sys.stderr.write(redact(traceback.format_exc()))
    complain(f"error: {message}")
    return status


def _usage_text(error: typer.TyperException) -> str:
    context = getattr(error, "ctx", None)
    hint = f" ({context.command_path} --help)" if context is not None else ""
    return f"{error.format_message().rstrip('.')}{hint}"
