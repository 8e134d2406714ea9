"""The answer of ``/stats/markets``: read strictly, and what an older shape lacks is named."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final, NoReturn

from drift_bus.reconcile.figures import Field, MarketFigures
from drift_schemas import indexed_name

__all__ = ["HostedMarkets", "WrongShape", "read_answer"]

_LARGEST_EXPONENT: Final = 30
_LONGEST_NUMBER: Final = 60
_LONGEST_NAME: Final = 64
_SHOWN: Final = 40
_PRICES: Final[tuple[tuple[str, Field], ...]] = (("oraclePrice", "oracle_price"), ("markPrice", "mark_price"))
_NO_SIDES: Final = "is one number, not {long, short}: not compared"


class WrongShape(ValueError):
    """The answer is not what it should be; the text names the place."""


@dataclass(frozen=True, slots=True)
class HostedMarkets:
    """The perp markets of an answer.

    Attributes:
        markets: By name.
        remarks: What could not be taken as it stands, and of which market.
    """

    markets: dict[str, MarketFigures]
    remarks: tuple[tuple[str, str], ...]


def read_answer(body: bytes) -> HostedMarkets:
    """Reads the perp markets of an answer.

    The shape is the one of 2026-09-02: ``{success, markets: [{symbol, marketIndex, marketType, oraclePrice, markPrice,
    openInterest {long, short}, fundingRate {long, short}, fundingRateUpdateTs, …}]}`` with numbers as decimal strings.
    Accepted too: numbers as JSON numbers, a bare array of markets, and fields that are missing, null, or empty (which
    the API sends for what it could not compute); those become ``None``. Where ``openInterest`` or ``fundingRate`` is
    one number, as the published documentation has it, its unit and side are not told, and it is not compared.

    Args:
        body: JSON.

    Raises:
        WrongShape: it is no JSON, says that it failed, or a field is not what it should be.
    """
    try:
        answer = json.loads(body, parse_float=Decimal, parse_constant=_refuse_constant)
    except (ValueError, RecursionError, InvalidOperation) as error:
        raise WrongShape(f"the answer is no JSON: {type(error).__name__}; it begins {_shown(body)}") from None
    if isinstance(answer, dict):
        if answer.get("success", True) is not True:
            reason = answer.get("message") or answer.get("error")
            raise WrongShape("it says success: false" + (f", {_shown(reason)}" if reason else ""))
        if "markets" not in answer:
            raise WrongShape(f"markets is missing; there are {_shown(', '.join(answer)) if answer else 'no fields'}")
        answer = answer["markets"]
    if not isinstance(answer, list):
        raise WrongShape(f"markets is {_kind(answer)}, not an array")
    reader = _Reader()
    for position, entry in enumerate(answer):
        reader.read(f"markets[{position}]", entry)
    return HostedMarkets(reader.markets, tuple(reader.remarks))


class _Reader:
    def __init__(self) -> None:
        self.markets: dict[str, MarketFigures] = {}
        self.remarks: list[tuple[str, str]] = []

    def read(self, place: str, entry: Any) -> None:
        if not isinstance(entry, dict):
            raise WrongShape(f"{place} is {_kind(entry)}, not an object")
        kind = _text(entry, "marketType", place)
        if kind.lower() != "perp":
            return
        name = _text(entry, "symbol", place).strip()
        place = f"{place} ({name})"
        values: dict[Field, Decimal | None] = {
            "oracle_price": _number(entry.get("oraclePrice"), f"{place}.oraclePrice"),
            "mark_price": _number(entry.get("markPrice"), f"{place}.markPrice"),
        }
        values["funding_long"], values["funding_short"] = self._sides(entry, "fundingRate", name, place)
        long, short = self._sides(entry, "openInterest", name, place)
        # The short side is the chain's own number, which is negative; the bus has its size.
        values["open_interest_long"], values["open_interest_short"] = long, None if short is None else short.copy_abs()
        settled = _number(entry.get("fundingRateUpdateTs"), f"{place}.fundingRateUpdateTs")
        index = _number(entry.get("marketIndex"), f"{place}.marketIndex")
        figures = MarketFigures(
            name,
            None if index is None else _whole(index, f"{place}.marketIndex"),
            values,
            None if settled is None else _whole(settled, f"{place}.fundingRateUpdateTs"),
        )
        self.markets[self._free_name(figures, place)] = figures
        for field, key in _PRICES:
            if values[key] is None:
                self._lacks(name, field)

    def _free_name(self, figures: MarketFigures, place: str) -> str:
        """The programs let two markets have one name: the second goes by its index."""
        other = self.markets.get(figures.market)
        if other is None:
            return figures.market
        if figures.index is None or other.index is None or figures.index == other.index:
            raise WrongShape(f"{place}.symbol is there twice")
        name = indexed_name(figures.market, "perp", figures.index)
        if name in self.markets:
            raise WrongShape(f"{place}.symbol is there twice")
        return name

    def _sides(self, entry: dict[str, Any], field: str, name: str, place: str) -> tuple[Decimal | None, Decimal | None]:
        given = entry.get(field)
        if given is None or given == "":
            self._lacks(name, field)
            return None, None
        if not isinstance(given, dict):
            _number(given, f"{place}.{field}")
            self.remarks.append((name, f"hosted {field} {_NO_SIDES}"))
            return None, None
        long, short = (_number(given.get(side), f"{place}.{field}.{side}") for side in ("long", "short"))
        for side, value in (("long", long), ("short", short)):
            if value is None:
                self._lacks(name, f"{field}.{side}")
        return long, short

    def _lacks(self, name: str, field: str) -> None:
        self.remarks.append((name, f"the hosted API has no {field}"))


def _text(entry: dict[str, Any], field: str, place: str) -> str:
    value = entry.get(field)
    if field not in entry:
        raise WrongShape(f"{place}.{field} is missing")
    if not isinstance(value, str) or not value.strip() or not value.isprintable() or len(value) > _LONGEST_NAME:
        raise WrongShape(f"{place}.{field} is {_shown(value)}, not a name")
    return value


def _number(value: Any, place: str) -> Decimal | None:
    if value is None or value == "":
        return None
    if isinstance(value, str | int | Decimal) and not isinstance(value, bool):
        try:
            number = Decimal(value) if len(str(value)) <= _LONGEST_NUMBER else None
        except (InvalidOperation, ValueError):
            number = None
        # Bounded, so that no later step has to write out or add a number of a billion digits.
        if number is not None and number.is_finite() and abs(number.adjusted()) <= _LARGEST_EXPONENT:
            return number
    raise WrongShape(f"{place} is {_shown(value)}, not a number")


def _whole(number: Decimal, place: str) -> int:
    if number != int(number) or number < 0:
        raise WrongShape(f"{place} is {number}, not a whole number")
    return int(number)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _kind(value: Any) -> str:
    kinds: dict[type, str] = {dict: "an object", list: "an array", str: "a text", bool: "a boolean", type(None): "null"}
    return kinds.get(type(value), "a number")


def _shown(value: Any) -> str:
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    cut = text[:_SHOWN] + (" …" if len(text) > _SHOWN else "")
    return repr(cut) if cut else "with nothing"
