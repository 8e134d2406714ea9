"""The profile as a whole: addresses that the program's own tables name, and the oracles that it can read."""

from __future__ import annotations

import struct

import pytest

from drift_publisher.accounts import OraclePrice
from drift_publisher.errors import AccountRefused
from drift_publisher.oracles import read_oracle
from drift_publisher.profiles.velocity_v1 import VELOCITY_V1

PERPS = (
    "FDejXbUrSy6zayBCL5xuk2SXLHZgr8ppfFTLcHbyJorY",
    "7s5WRWA3GahueLNfNb8bbVnHnxCssK5YjGCR3wP6Aa1t",
    "Bx7JoyYAmBLDPnEdQsPUEhs2dDu4Ga5PoW5BhhhAcChg",
    "Sozrqx5wyAiRUQKJSmNTQisUT5sJJViK2L13nL9v46k",
    "5rrUpt58QM7UiCXAsRXycFu2tCeNARSzjoMrpLde1JRd",
)
SPOTS = (
    "2QpHj5vzgCdWaGM2KSoGtYJWeSkx24cMyzUDHDrucvRc",
    "5MzQRp6hhesVuM3CSAzBfPSNP1WaJyF1ifwkmzcrWLtU",
    "GmA9Ay8ADexoXxkRqoU1jmd63ezFgL4zhEBuX8izfiV4",
    "DPhkpuWJkxvHMdEfGJLq1ywofS6R2oUJXFBpSpbYrNuh",
    "DF6bKDsE5mxwb876exhNtcoXkoegtxehjvggLaNAqVAm",
)


def lazer_account(price: int, conf: int, exponent: int = -8) -> bytes:
    """A Lazer oracle posted in slot 7, published at 9 µs."""
    return bytes.fromhex("9f07a1f922517985") + struct.pack("<qQQi4xQ", price, 9, 7, exponent, conf)


def test_addresses_are_those_of_the_programs_own_tables() -> None:
    assert VELOCITY_V1.state_address == "2etx5NvPNxeMZ7EfHE6GjJfW2imRYEUANehNS1WB4CVW"
    assert tuple(VELOCITY_V1.perp_market_address(index) for index in range(5)) == PERPS
    assert tuple(VELOCITY_V1.spot_market_address(index) for index in range(5)) == SPOTS


def test_only_oracles_that_the_program_owns_can_be_read() -> None:
    """It refuses pull and Switchboard sources, and no market has another push oracle."""
    assert set(VELOCITY_V1.oracle_formats) == {
        "Prelaunch", "PythLazer", "PythLazer1K", "PythLazer1M", "PythLazerStableCoin",
    }  # fmt: skip
    assert {source.owner for source in VELOCITY_V1.oracle_formats.values()} == {VELOCITY_V1.program_id}


@pytest.mark.parametrize(
    ("source", "price", "read"),
    [
        ("PythLazer", 85_12345678, 85_123_456),
        ("PythLazer1K", 2345, 23_450),  # 0.00002345 a token, a thousand of them
        ("PythLazer1M", 2345, 23_450_000),
        ("PythLazerStableCoin", 99_980_000, 1_000_000),  # 2 bp below one, and certain to 3 bp
        ("PythLazerStableCoin", 99_940_000, 999_400),  # 6 bp below one
    ],
)
def test_a_lazer_price_is_brought_to_six_digits(source: str, price: int, read: int) -> None:
    data = lazer_account(price, conf=30_000)
    found = read_oracle(VELOCITY_V1.oracle_formats[source], VELOCITY_V1.program_id, data)
    assert (found.price, found.slot, found.sequence_id) == (read, 7, 9)


def test_an_oracle_of_another_program_is_refused() -> None:
    with pytest.raises(AccountRefused, match="owned by") as refused:
        read_oracle(VELOCITY_V1.oracle_formats["PythLazer"], "1" * 32, lazer_account(1, 1))
    assert refused.value.reason == "owner"


def test_a_prelaunch_oracle_is_in_six_digits_already() -> None:
    data = bytes.fromhex("5c0e8bea48f4441a") + struct.pack("<qqQQQH70x", 5_000_000, 9_000_000, 1_000, 8, 7, 3)
    found = read_oracle(VELOCITY_V1.oracle_formats["Prelaunch"], VELOCITY_V1.program_id, data)
    assert found == OraclePrice(5_000_000, 1_000, 7)
