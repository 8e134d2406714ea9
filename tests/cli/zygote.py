"""A Python that has imported all of drift-bus and waits; what it is asked for runs in a fork of its own.

``python zygote.py FD`` is started and asked by ``tests.cli.forked``, once for a run of tests. The imports are most of
what a short command costs. All else is as in ``python -m drift_bus``: a process with its own working directory,
environment, streams, signals and exit status; but its modules are not taken apart at its end.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import pkgutil
import runpy
import selectors
import signal
import socket
import sys
import threading
import time
from typing import Any, NoReturn

_ROOMS = ("drift_schemas", "drift_publisher", "drift_subscribers", "drift_simulator", "drift_bus")


def _import_everything() -> None:
    for room in _ROOMS:
        package = importlib.import_module(room)
        for module in pkgutil.walk_packages(package.__path__, f"{room}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)


def _serve(control: socket.socket) -> dict[str, Any] | None:
    """Forks for each request, until there is nobody to ask; in a fork, returns what it is to be."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    running: dict[int, int] = {}
    with selectors.DefaultSelector() as selector:
        selector.register(control, selectors.EVENT_READ)
        selector.register(reading, selectors.EVENT_READ)
        while True:
            ready = {key.fileobj for key, _ in selector.select()}
            if reading in ready:
                os.read(reading, 4096)
                _tell_who_ended(running)
            if control in ready:
                request, files = _received(control)
                if request is None:
                    break
                pid = os.fork()
                if pid == 0:
                    os.dup2(files[0], 1)
                    os.dup2(files[1], 2)
                    return request
                running[pid] = files[2]
                os.close(files[0])
                os.close(files[1])
                control.sendall(f"{pid}\n".encode())
    for pid in running:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    while running:
        _tell_who_ended(running)
        time.sleep(0.01)
    return None


def _received(control: socket.socket) -> tuple[dict[str, Any] | None, list[int]]:
    """The next request, one line of JSON, and its stdout, stderr and the pipe for its status."""
    line, files, _, _ = socket.recv_fds(control, 65536, 3)
    while line and not line.endswith(b"\n"):
        line += control.recv(65536)
    return (json.loads(line) if line else None), files


def _tell_who_ended(running: dict[int, int]) -> None:
    for pid, told in list(running.items()):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            del running[pid]
            with contextlib.suppress(BrokenPipeError):
                os.write(told, str(os.waitstatus_to_exitcode(status)).encode())
            os.close(told)


def _become(request: dict[str, Any]) -> None:
    """Runs the command as a new Python would, to its end."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.closerange(3, 4096)
    os.chdir(request["cwd"])
    os.umask(request["umask"])
    os.environ.clear()
    os.environ.update(request["environment"])
    time.tzset()
    sys.argv = ["drift-bus", *request["arguments"]]
    try:
        runpy.run_module("drift_bus", run_name="__main__")
    except SystemExit as ending:
        if isinstance(ending.code, int):
            _end(ending.code)
        raise


def _end(status: int) -> NoReturn:
    """Ends as Python does, short of taking all modules apart, which costs three times what a short command does."""
    threading._shutdown()  # type: ignore[attr-defined]  # as multiprocessing ends its forks
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    _import_everything()
    gc.collect()
    gc.freeze()
    line = socket.socket(fileno=int(sys.argv[1]))
    line.sendall(b"\n")  # from now on a fork takes milliseconds
    wanted = _serve(line)
    if wanted is not None:
        _become(wanted)
