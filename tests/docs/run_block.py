"""Runs a block of a page as a reader would who pastes it into a file: ``python run_block.py FILE``.

A block may await at its top, as in a notebook. Tests that it defines are called.
"""

import ast
import asyncio
import inspect
import sys
from pathlib import Path
from typing import Any

path = Path(sys.argv[1])
code = compile(path.read_text(), str(path), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
names: dict[str, Any] = {"__name__": "__main__"}
outcome = eval(code, names)
if inspect.iscoroutine(outcome):
    asyncio.run(outcome)
for name, value in list(names.items()):
    if name.startswith("test_"):
        value()
