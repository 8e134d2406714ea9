"""Driftpy's own formulas evaluated without floats: its installed source, with every ``/`` an exact fraction.

So a test can say ``==`` where driftpy itself rounds somewhere in the middle of a formula, and a deviation is a
deviation of ours. Two mistakes of driftpy's are mended, each shown in ``test_vamm``: ``adjust_k_cost`` below, and an
assertion that says ``>= 0`` and checks ``> 0``, so that driftpy cannot price a market whose AMM holds no position.
"""

from __future__ import annotations

import ast
import inspect
import math
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import driftpy.math.amm
import driftpy.math.funding
import driftpy.math.oracles
import driftpy.math.repeg
import driftpy.math.spot_balance
import driftpy.math.spot_market
import driftpy.math.utils

__all__ = ["adjust_k_cost", "exact", "set_time"]

_MODULES = (
    driftpy.math.utils,
    driftpy.math.oracles,
    driftpy.math.repeg,
    driftpy.math.amm,
    driftpy.math.funding,
    driftpy.math.spot_market,
    driftpy.math.spot_balance,
)


def adjust_k_cost(amm: Any, numerator: int, denominator: int) -> int:
    """Quote (1e-6) that scaling the curve's depth costs, negative where it pays: the value of the AMM's position
    y·d·Q/(x + d) before, minus after, as the protocol's TypeScript SDK has it. Its division truncates toward zero.

    In driftpy the scaling of the result reaches only the second term, and the first factor lost nine digits.
    """
    x, y, d, peg = amm.base_asset_reserve, amm.quote_asset_reserve, amm.base_asset_amount_with_amm, amm.peg_multiplier
    p = numerator * 10**6 // denominator
    before = int(Fraction(y * d * peg * 10**12, x + d))
    after = int(Fraction(int(Fraction(y * d * peg * p * 10**12, 10**6)), x * p // 10**6 + d))
    return -int(Fraction(before - after, 10**12 * 10**3 * 10**6))


class _Exact(ast.NodeTransformer):
    """Turns ``a / b`` into a fraction, ``float(x)`` into ``x``, and leaves out driftpy's imports of its own math."""

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        if not isinstance(node.op, ast.Div):
            return node
        return ast.copy_location(ast.Call(ast.Name("_fraction", ast.Load()), [node.left, node.right], []), node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        return None if (node.module or "").startswith("driftpy.math") else node

    def visit_Assert(self, node: ast.Assert) -> ast.AST | None:
        return None if ast.unparse(node).startswith("assert swap_amount > 0") else node


def _fraction(numerator: Any, denominator: Any) -> Fraction:
    return Fraction(numerator) / Fraction(denominator)


@lru_cache(maxsize=1)
def _namespace() -> dict[str, Any]:
    names: dict[str, Any] = {"_fraction": _fraction}
    for module in _MODULES:
        names |= {name: value for name, value in vars(module).items() if not name.startswith("__")}
    for module in _MODULES:
        tree = ast.fix_missing_locations(_Exact().visit(ast.parse(inspect.getsource(module))))
        exec(compile(tree, f"exact {module.__name__}", "exec"), names)
    for name, value in names.items():
        if isinstance(value, float):
            names[name] = Fraction(value)
    names["float"] = lambda value: value
    integers = SimpleNamespace(sqrt=math.isqrt, floor=math.floor, ceil=math.ceil)
    names |= {"math": integers, "calculate_adjust_k_cost": adjust_k_cost}
    return names


def exact(name: str) -> Callable[..., Any]:
    """Returns driftpy's function of this name, in exact arithmetic."""
    found: Callable[..., Any] = _namespace()[name]
    return found


def set_time(now: int) -> None:
    """Sets the time that driftpy's exact functions see."""
    _namespace()["time"] = SimpleNamespace(time=lambda: now)
