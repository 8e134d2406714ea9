"""Oracle accounts: every format that a market can name, read into exact integers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from drift_publisher.accounts import OraclePrice
from drift_publisher.errors import AccountRefused
from drift_publisher.layout import Field, Layout

__all__ = ["QUOTE_ASSET_PRICE", "OracleFormat", "outside_oracles", "program_oracles", "read_oracle"]

_PRICE_EXPONENT: Final = 6
_PRICE_PRECISION: Final = 10**_PRICE_EXPONENT
_STABLE_COIN_SNAP: Final = 500
_SWITCHBOARD_EXPONENT: Final = 18
_I64: Final = range(-(2**63), 2**63)
_WORST_CONFIDENCE: Final = 2**64 - 1

QUOTE_ASSET_PRICE: Final = OraclePrice(price=_PRICE_PRECISION, confidence=1, slot=0)
"""The quote asset has no oracle account: it is worth one."""


@dataclass(frozen=True, slots=True)
class OracleFormat:
    """How the account of one oracle source is read.

    Attributes:
        owner: Program that must own the account.
        read: Bytes → price; raises AccountRefused.
        multiple: Tokens per quoted unit: 1000 for a 1K feed.
        stable_coin: Snap to one within the confidence interval, at most 5 bp.
        discriminator: What an account begins with, where the program that reads it also owns it.
    """

    owner: str
    read: Callable[[bytes, int], OraclePrice]
    multiple: int = 1
    stable_coin: bool = False
    discriminator: bytes = b""


def read_oracle(source: OracleFormat, owner: str, data: bytes) -> OraclePrice:
    """Reads an oracle account.

    Raises:
        AccountRefused: another owner, discriminator or size; or numbers that give no price.
    """
    if owner != source.owner:
        raise AccountRefused("owner", f"oracle owned by {owner}, not by {source.owner}")
    price = source.read(data, source.multiple)
    if price.price not in _I64 or price.confidence > _WORST_CONFIDENCE:
        raise AccountRefused("range", f"oracle price {price.price} ± {price.confidence} does not fit into 64 bits")
    if source.stable_coin and abs(price.price - _PRICE_PRECISION) <= min(_STABLE_COIN_SNAP, price.confidence):
        return price._replace(price=_PRICE_PRECISION)
    return price


class _Pyth(NamedTuple):
    price: int
    conf: int
    exponent: int
    slot: int


class _Lazer(NamedTuple):
    price: int
    conf: int
    exponent: int
    slot: int
    publish_time: int


class _PythLegacy(NamedTuple):
    price: int
    conf: int
    exponent: int
    slot: int
    num: int
    num_qt: int


class _Prelaunch(NamedTuple):
    price: int
    confidence: int
    amm_last_update_slot: int


class _SwitchboardOnDemand(NamedTuple):
    value: int
    range: int
    slot: int


class _Switchboard(NamedTuple):
    min_oracle_results: int
    num_success: int
    slot: int
    mantissa: int
    scale: int
    std_mantissa: int
    std_scale: int


_LAZER: Final = Layout("PythLazerOracle", bytes.fromhex("9f07a1f922517985"), 48, _Lazer, {
    "price": Field(8, "i64"), "publish_time": Field(16, "u64"), "slot": Field(24, "u64"),
    "exponent": Field(32, "i32"), "conf": Field(40, "u64"),
})  # fmt: skip
_PULL_DISCRIMINATOR: Final = bytes.fromhex("22f123639d7ef4cd")


def _pull(offset: int) -> Layout[_Pyth]:
    return Layout("PriceUpdateV2", _PULL_DISCRIMINATOR, offset + 92, _Pyth, {
        "price": Field(offset + 32, "i64"), "conf": Field(offset + 40, "u64"),
        "exponent": Field(offset + 48, "i32"), "slot": Field(offset + 84, "u64"),
    })  # fmt: skip


_PULL_FULL: Final = _pull(41)
_PULL_PARTIAL: Final = _pull(42)
_VERIFICATION_LEVEL_AT: Final = 40
_LEGACY: Final = Layout("Pyth Price", bytes.fromhex("d4c3b2a1"), 240, _PythLegacy, {
    "exponent": Field(20, "i32"), "num": Field(24, "u32"), "num_qt": Field(28, "u32"), "slot": Field(40, "u64"),
    "price": Field(208, "i64"), "conf": Field(216, "u64"),
})  # fmt: skip
_PRELAUNCH: Final = Layout("PrelaunchOracle", bytes.fromhex("5c0e8bea48f4441a"), 50, _Prelaunch, {
    "price": Field(8, "i64"), "confidence": Field(24, "u64"), "amm_last_update_slot": Field(40, "u64"),
})  # fmt: skip
_ON_DEMAND: Final = Layout("PullFeedAccountData", bytes.fromhex("c41b6cc40ad7db28"), 2376, _SwitchboardOnDemand, {
    "value": Field(2264, "i128"), "range": Field(2312, "i128"), "slot": Field(2368, "u64"),
})  # fmt: skip
_AGGREGATOR: Final = Layout("AggregatorAccountData", bytes.fromhex("d9e64165c9a21b7d"), 406, _Switchboard, {
    "min_oracle_results": Field(236, "u32"), "num_success": Field(341, "u32"), "slot": Field(350, "u64"),
    "mantissa": Field(366, "i128"), "scale": Field(382, "u32"),
    "std_mantissa": Field(386, "i128"), "std_scale": Field(402, "u32"),
})  # fmt: skip


def _read_lazer(data: bytes, multiple: int) -> OraclePrice:
    raw = _LAZER.read(data)
    return _pyth_price(raw, multiple)._replace(sequence_id=raw.publish_time)


def _read_pull(data: bytes, multiple: int) -> OraclePrice:
    is_full = len(data) > _VERIFICATION_LEVEL_AT and data[_VERIFICATION_LEVEL_AT] & 1
    return _pyth_price((_PULL_FULL if is_full else _PULL_PARTIAL).read(data), multiple)


def _read_legacy(data: bytes, multiple: int) -> OraclePrice:
    raw = _LEGACY.read(data)
    return _pyth_price(raw, multiple)._replace(has_sufficient_data_points=raw.num_qt >= min(raw.num, 3))


def _pyth_price(raw: _Pyth | _Lazer | _PythLegacy, multiple: int) -> OraclePrice:
    price = _to_price(raw.price, raw.exponent, multiple)
    if 10 ** abs(raw.exponent) <= multiple:
        raise AccountRefused("exponent", f"oracle exponent {raw.exponent} is too small for a multiple of {multiple}")
    return OraclePrice(price, _to_price(raw.conf, raw.exponent, multiple), raw.slot)


def _read_prelaunch(data: bytes, multiple: int) -> OraclePrice:
    raw = _PRELAUNCH.read(data)
    return OraclePrice(raw.price * multiple, raw.confidence * multiple, raw.amm_last_update_slot)


def _read_on_demand(data: bytes, multiple: int) -> OraclePrice:
    raw = _ON_DEMAND.read(data)
    return OraclePrice(
        _to_price(raw.value, -_SWITCHBOARD_EXPONENT, multiple),
        abs(_to_price(raw.range, -_SWITCHBOARD_EXPONENT, multiple)),
        raw.slot,
    )


def _read_aggregator(data: bytes, multiple: int) -> OraclePrice:
    raw = _AGGREGATOR.read(data)
    price = _to_price(raw.mantissa, -raw.scale, multiple)
    deviation = _to_price(raw.std_mantissa, -raw.std_scale, multiple)
    confidence = _WORST_CONFIDENCE if deviation < 0 else max(deviation, abs(price) // 1000)
    return OraclePrice(price, confidence, raw.slot, raw.num_success >= raw.min_oracle_results)


def _to_price(value: int, exponent: int, multiple: int) -> int:
    """Scales ``value * 10**-|exponent| * multiple`` to 1e-6, truncating toward zero as the program does."""
    if abs(exponent) > 38:
        raise AccountRefused("exponent", f"oracle exponent {exponent}: no price has so many digits")
    scaled: int = abs(value) * multiple * _PRICE_PRECISION // 10 ** abs(exponent)
    return scaled if value >= 0 else -scaled


def program_oracles(program_id: str) -> Mapping[str, OracleFormat]:
    """The oracle sources whose accounts the program itself owns and writes."""
    lazer = _LAZER.discriminator
    return {
        "PythLazer": OracleFormat(program_id, _read_lazer, discriminator=lazer),
        "PythLazer1K": OracleFormat(program_id, _read_lazer, 1_000, discriminator=lazer),
        "PythLazer1M": OracleFormat(program_id, _read_lazer, 1_000_000, discriminator=lazer),
        "PythLazerStableCoin": OracleFormat(program_id, _read_lazer, stable_coin=True, discriminator=lazer),
        "Prelaunch": OracleFormat(program_id, _read_prelaunch, discriminator=_PRELAUNCH.discriminator),
    }


def outside_oracles(
    *, pyth_push: str, pyth_receiver: str, switchboard: str, switchboard_on_demand: str
) -> Mapping[str, OracleFormat]:
    """The oracle sources whose accounts other programs own."""
    return {
        "Pyth": OracleFormat(pyth_push, _read_legacy),
        "Pyth1K": OracleFormat(pyth_push, _read_legacy, 1_000),
        "Pyth1M": OracleFormat(pyth_push, _read_legacy, 1_000_000),
        "PythStableCoin": OracleFormat(pyth_push, _read_legacy, stable_coin=True),
        "PythPull": OracleFormat(pyth_receiver, _read_pull),
        "Pyth1KPull": OracleFormat(pyth_receiver, _read_pull, 1_000),
        "Pyth1MPull": OracleFormat(pyth_receiver, _read_pull, 1_000_000),
        "PythStableCoinPull": OracleFormat(pyth_receiver, _read_pull, stable_coin=True),
        "Switchboard": OracleFormat(switchboard, _read_aggregator),
        "SwitchboardOnDemand": OracleFormat(switchboard_on_demand, _read_on_demand),
    }
