"""Price oracles: their accounts in each provider's layout, and the price the program reads from them."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from solders.pubkey import Pubkey

from .addresses import PYTH_LEGACY_PROGRAM, PYTH_RECEIVER_PROGRAM, SWITCHBOARD_PROGRAM
from .arithmetic import quotient
from .layout import Idl, LayoutError, switchboard_idl

__all__ = ["Oracle", "OraclePrice", "multiple_of", "price_update_layout_idl"]

_PRICE: Final = 1_000_000
_STABLE_BAND: Final = 500
_LEGACY_SIZE: Final = 3312
_SWITCHBOARD_EXPONENT: Final = -18

_OWNERS: Final = {
    "pull": PYTH_RECEIVER_PROGRAM,
    "legacy": PYTH_LEGACY_PROGRAM,
    "switchboard": SWITCHBOARD_PROGRAM,
}


@lru_cache(maxsize=1)
def price_update_layout_idl() -> Idl:
    """Return the Pyth receiver's ``PriceUpdateV2`` with a full verification level (one byte)."""
    fields: list[dict[str, Any]] = [
        {"name": "writeAuthority", "type": "publicKey"},
        {"name": "verificationLevel", "type": "u8"},
        {"name": "feedId", "type": {"array": ["u8", 32]}},
        {"name": "price", "type": "i64"},
        {"name": "conf", "type": "u64"},
        {"name": "exponent", "type": "i32"},
        {"name": "publishTime", "type": "i64"},
        {"name": "prevPublishTime", "type": "i64"},
        {"name": "emaPrice", "type": "i64"},
        {"name": "emaConf", "type": "u64"},
        {"name": "postedSlot", "type": "u64"},
        {"name": "padding", "type": "u8"},
    ]
    return Idl({"accounts": [{"name": "PriceUpdateV2", "type": {"kind": "struct", "fields": fields}}]})


@dataclass(frozen=True)
class OraclePrice:
    """What the program reads from an oracle for one source: 1e-6 price and confidence, age in slots.

    The sequence id is a Lazer oracle's time of publication in microseconds, else 0.
    """

    price: int
    confidence: int
    delay: int
    sequence_id: int = 0


def multiple_of(source: str) -> int:
    """Return how many tokens one unit of a source's market stands for (1, 1,000 or 1,000,000)."""
    return 1_000_000 if "1M" in source else 1_000 if "1K" in source else 1


def _family(source: str) -> str:
    if source.startswith("PythLazer"):
        return "lazer"
    if source.endswith("Pull"):
        return "pull"
    if source == "Prelaunch":
        return "prelaunch"
    if source == "SwitchboardOnDemand":
        return "switchboard"
    if source in {"Pyth", "Pyth1K", "Pyth1M", "PythStableCoin"}:
        return "legacy"
    raise LayoutError(f"no oracle account for source {source}")


class Oracle:
    """One oracle account. Markets may read it under different sources of the same family.

    Args:
        pubkey: The account's address.
        source: An OracleSource variant; it decides the account's layout and owner.
        price: Starting price of one token in USD.
        owner: The program that reads it; Lazer and prelaunch oracles are its own accounts.
        idl: That program's types.
        perp_market_index: For a prelaunch oracle, the market it belongs to.
        least_confidence: What part of a Lazer price its confidence is at least, as a denominator; None: no limit.
    """

    def __init__(
        self,
        pubkey: Pubkey,
        source: str,
        price: float,
        *,
        owner: Pubkey,
        idl: Idl,
        perp_market_index: int = 0,
        least_confidence: int | None = None,
    ) -> None:
        self.pubkey = pubkey
        self.source = source
        self.family = _family(source)
        self.owner = _OWNERS.get(self.family, owner)
        self._idl = idl
        self._least_confidence = least_confidence if self.family == "lazer" else None
        self.is_stable = "StableCoin" in source
        self.exponent = self._choose_exponent(price)
        self._precision: int = 10**-self.exponent
        self.base_raw = max(1, round(price * self._precision))
        self.raw = self.base_raw
        self.confidence_raw = max(1, self.raw // 4000)
        self.posted_slot = 0
        self._feed = hashlib.sha256(b"feed:" + bytes(pubkey)).digest()
        self._perp_market_index = perp_market_index
        if self.family == "legacy":
            self._buffer = bytearray(_LEGACY_SIZE)
            struct.pack_into("<IIIIIi", self._buffer, 0, 0xA1B2C3D4, 2, 3, _LEGACY_SIZE, 1, self.exponent)
        else:
            self._record = self._new_record()
            self._buffer = self._record.buffer
        self.last_publish_ts = 0
        self.sequence_id = 0

    @property
    def data(self) -> bytearray:
        """The account's bytes, patched in place."""
        return self._buffer

    def read(self, source: str, slot: int) -> OraclePrice:
        """Read the oracle as the program does under ``source``."""
        if source == "QuoteAsset":
            return OraclePrice(_PRICE, 1, 0)
        price, confidence = self._scaled(self.raw, source), self._scaled(self.confidence_raw, source)
        if "StableCoin" in source and abs(price - _PRICE) <= min(confidence, _STABLE_BAND):
            price = _PRICE
        return OraclePrice(price, confidence, max(0, slot - self.posted_slot), self.sequence_id)

    def raw_from_price(self, price: int, source: str) -> int:
        """Return the raw mantissa that reads as a 1e-6 ``price`` under ``source``; 0 only for 0."""
        return max(min(price, 1), price * self._precision // (_PRICE * multiple_of(source)))

    def post(self, raw: int, confidence_raw: int, now: float, slot: int) -> None:
        """Publish a new price into the account."""
        seconds = int(now)
        if self._least_confidence is not None:
            confidence_raw = max(confidence_raw, raw // self._least_confidence)
        self.raw, self.confidence_raw, self.posted_slot = raw, max(1, confidence_raw), slot
        if self.family == "lazer":
            self.sequence_id = int(now * 1e6)
            self._record.update(
                {
                    "price": raw,
                    "publish_time": self.sequence_id,
                    "posted_slot": slot,
                    "conf": self.confidence_raw,
                }
            )
        elif self.family == "prelaunch":
            self._record.update(
                {
                    "price": raw,
                    "max_price": max(raw, self._record["max_price"]),
                    "confidence": self.confidence_raw,
                    "last_update_slot": slot,
                    "amm_last_update_slot": slot,
                }
            )
        elif self.family == "pull":
            ema = self._record["ema_price"] or raw
            self._record.update(
                {
                    "price": raw,
                    "conf": self.confidence_raw,
                    "publish_time": seconds,
                    "prev_publish_time": self.last_publish_ts or seconds,
                    "ema_price": ema + quotient(raw - ema, 64),
                    "ema_conf": self.confidence_raw,
                    "posted_slot": slot,
                }
            )
        elif self.family == "switchboard":
            self._record.update(
                {
                    "last_update_timestamp": seconds,
                    "result.value": raw,
                    "result.mean": raw,
                    "result.std_dev": self.confidence_raw // 2,
                    "result.range": self.confidence_raw,
                    "result.min_value": raw - self.confidence_raw // 2,
                    "result.max_value": raw + self.confidence_raw // 2,
                    "result.num_samples": 3,
                    "result.slot": slot,
                    "result.min_slot": slot,
                    "result.max_slot": slot,
                }
            )
        else:
            self._post_legacy(seconds, slot)
        self.last_publish_ts = seconds

    def _post_legacy(self, seconds: int, slot: int) -> None:
        ema = struct.unpack_from("<q", self._buffer, 48)[0] or self.raw
        ema += quotient(self.raw - ema, 64)
        struct.pack_into("<II", self._buffer, 24, 1, 1)
        struct.pack_into("<QQ", self._buffer, 32, slot, slot)
        struct.pack_into("<qqqq", self._buffer, 48, ema, 1, 1, self.confidence_raw)
        struct.pack_into("<q", self._buffer, 96, seconds)
        struct.pack_into("<qQIIQ", self._buffer, 208, self.raw, self.confidence_raw, 1, 0, slot)

    def _choose_exponent(self, price: float) -> int:
        if self.family == "prelaunch":
            return -6
        if self.family == "switchboard":
            return _SWITCHBOARD_EXPONENT
        return -10 if price < 0.01 else -8

    def _new_record(self) -> Any:
        if self.family == "lazer":
            record = self._idl.account("PythLazerOracle").record()
            record["exponent"] = self.exponent
        elif self.family == "prelaunch":
            record = self._idl.account("PrelaunchOracle").record()
            record.update({"max_price": self.base_raw, "perp_market_index": self._perp_market_index})
        elif self.family == "pull":
            record = price_update_layout_idl().account("PriceUpdateV2").record()
            record.update({"write_authority": self._feed, "verification_level": 1, "feed_id": self._feed})
            record["exponent"] = self.exponent
        else:
            record = switchboard_idl().account("PullFeedAccountData").record()
            record.update({"authority": self._feed, "queue": self._feed, "feed_hash": self._feed})
            record.update({"max_variance": 1_000_000_000, "min_responses": 1, "max_staleness": 150})
        return record

    def _scaled(self, raw: int, source: str) -> int:
        return raw * multiple_of(source) * _PRICE // self._precision
