"""Columns and files: what an event is, it stays, in every format."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drift_publisher.profiles import DRIFT_V2
from drift_schemas import EVENT_TYPES, KINDS, Kind, MarketDataEvent
from drift_subscribers.archive import DamagedExport, UnfitValue, columns_of
from drift_subscribers.archive.columns import Numbers, Row, row_maker
from drift_subscribers.archive.files import FORMATS, Format, open_writer, read_rows
from drift_subscribers.history import StoredMessage
from tests.schemas.strategies import events
from tests.support.bus_writer import funding_event, price_event, sample

ALL_WAYS = [
    (file_format, numbers, gzipped)
    for file_format, numbers, gzipped in product(FORMATS, ("integers", "decimals"), (False, True))
    if not (gzipped and file_format == "parquet")
]


def row_of(event: MarketDataEvent, sequence: int = 1, time_ns: int = 0, message_id: str | None = None) -> Row:
    headers = {} if message_id is None else {"Nats-Msg-Id": message_id}
    message = StoredMessage(sequence, time_ns, "", event.kind, "", headers, b"")
    return row_maker(event.kind)(message, event)


def written(path: Path, kind: Kind, rows: list[Row], file_format: Format, numbers: Numbers, gzipped: bool) -> list[Row]:
    """The rows after a journey through a file."""
    columns = columns_of(kind, numbers)
    writer = open_writer(path, file_format, columns, gzipped=gzipped)
    writer.write(rows)
    writer.close()
    return [row for batch in read_rows(path, file_format, columns, gzipped=gzipped) for row in batch]


@pytest.mark.parametrize(("file_format", "numbers", "gzipped"), ALL_WAYS)
@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_event_comes_back_as_it_was(
    kind: Kind, file_format: Format, numbers: Numbers, gzipped: bool, tmp_path: Path, data: st.DataObject
) -> None:
    found: Any = data.draw(st.lists(events(kind), min_size=1, max_size=3))
    times = st.integers(0, 2**63 - 1)
    ids = st.none() | st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), min_size=1)
    rows = [
        row_of(_bounded(event) if file_format == "parquet" else event, number + 1, data.draw(times), data.draw(ids))
        for number, event in enumerate(found)
    ]
    assert written(tmp_path / "part", kind, rows, file_format, numbers, gzipped) == rows


def _bounded(event: MarketDataEvent) -> MarketDataEvent:
    """The event with its integers brought into the range of their columns."""
    bounds = {"integer": 2**63, "unsigned": 2**64, "wide": 10**38}
    types = {column.name: column.type for column in columns_of(event.kind)}
    fields = {
        name: abs(value) % bounds[types[name]] * (1 if value >= 0 else -1)
        for name, value in event
        if type(value) is int
    }
    return event.model_copy(update=fields)


def test_the_wide_columns_are_those_with_128_bits_on_chain() -> None:
    fields = {name for kind in KINDS for name in EVENT_TYPES[kind].model_fields}
    layouts = (DRIFT_V2.perp_market, DRIFT_V2.spot_market)
    on_chain = {name for layout in layouts for name, field in layout.fields.items() if field.type in ("u128", "i128")}
    sides_of_open_interest = {"open_interest_long", "open_interest_short"}  # base_asset_amount_long and _short there
    wide = {column.name for kind in KINDS for column in columns_of(kind) if column.type == "wide"}
    assert fields & on_chain | sides_of_open_interest == wide


@pytest.mark.parametrize("kind", KINDS)
def test_parquet_says_unit_and_scale_of_every_column(kind: Kind, tmp_path: Path) -> None:
    for numbers in ("integers", "decimals"):
        path = tmp_path / f"{numbers}.parquet"
        written(path, kind, [row_of(sample(kind, "SOL-PERP"))], "parquet", numbers, False)
        schema = pq.read_schema(path)
        for name, unit in EVENT_TYPES[kind].units().items():
            said = schema.field(name).metadata
            assert said[b"unit"].decode() == unit.name
            assert said[b"scale"].decode() == ("1" if numbers == "decimals" else unit.scale)
            if unit.exponent and numbers == "decimals":
                assert schema.field(name).type == pa.decimal128(38, unit.exponent)
        assert pq.ParquetFile(path).metadata.row_group(0).column(0).compression == "ZSTD"


def test_decimals_are_in_natural_units_and_exact(tmp_path: Path) -> None:
    rows = [row_of(price_event("SOL-PERP", 150_250_001)), row_of(funding_event(funding_rate=-1, mark_twap=2))]
    written(tmp_path / "p.parquet", "price", rows[:1], "parquet", "decimals", False)
    assert str(pq.read_table(tmp_path / "p.parquet")["oracle_price"][0]) == "150.250001"
    written(tmp_path / "f.csv", "funding", rows[1:], "csv", "decimals", False)
    header, line = (tmp_path / "f.csv").read_text().splitlines()
    fields = dict(zip(header.split(","), line.split(","), strict=True))
    assert (fields["funding_rate"], fields["mark_twap"]) == ("-0.000000001", "0.000002")
    written(tmp_path / "p.jsonl", "price", rows[:1], "jsonl", "decimals", False)
    assert json.loads((tmp_path / "p.jsonl").read_text())["oracle_price"] == "150.250001"


def test_integers_that_fit_no_column_are_named_with_the_remedy(tmp_path: Path) -> None:
    rows = [row_of(price_event(mark_twap=twap), 7 + n) for n, twap in enumerate((1, 2**63, 2, 2**64 - 1))]
    with pytest.raises(UnfitValue, match=r"mark_twap = 9223372036854775808 .* sequence 8 .* csv or jsonl") as unfit:
        written(tmp_path / "part", "price", rows, "parquet", "integers", False)
    assert unfit.value.rows == {8, 10}
    assert written(tmp_path / "part", "price", rows, "csv", "integers", False) == rows


@pytest.mark.parametrize(("file_format", "numbers", "gzipped"), ALL_WAYS)
def test_the_worst_confidence_is_an_ordinary_value(
    file_format: Format, numbers: Numbers, gzipped: bool, tmp_path: Path
) -> None:
    rows = [row_of(price_event(oracle_confidence=2**64 - 1)), row_of(price_event(oracle_confidence=None), 2)]
    assert written(tmp_path / "part", "price", rows, file_format, numbers, gzipped) == rows


@pytest.mark.parametrize(("file_format", "numbers", "gzipped"), ALL_WAYS)
def test_the_same_rows_give_the_same_bytes(
    file_format: Format, numbers: Numbers, gzipped: bool, tmp_path: Path
) -> None:
    rows = [row_of(price_event("SOL-PERP", 150 + n), n + 1) for n in range(100)]
    for name in ("a", "b"):
        written(tmp_path / name, "price", rows, file_format, numbers, gzipped)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize(
    ("file_format", "gzipped"), [("parquet", False), ("csv", True), ("jsonl", True), ("jsonl", False)]
)
def test_a_file_that_is_cut_off_is_told(file_format: Format, gzipped: bool, tmp_path: Path) -> None:
    rows = [row_of(price_event("SOL-PERP", 150 + n), n + 1) for n in range(100)]
    path = tmp_path / "part"
    written(path, "price", rows, file_format, "integers", gzipped)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DamagedExport, match="part: cannot be read"):
        list(read_rows(path, file_format, columns_of("price"), gzipped=gzipped))


@pytest.mark.parametrize("file_format", ["parquet", "csv"])
def test_a_file_with_other_columns_is_told(file_format: Format, tmp_path: Path) -> None:
    path = tmp_path / "part"
    written(path, "price", [row_of(price_event())], file_format, "integers", False)
    with pytest.raises(DamagedExport, match="export it again"):
        list(read_rows(path, file_format, columns_of("funding"), gzipped=False))
