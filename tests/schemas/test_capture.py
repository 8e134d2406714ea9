"""The capture file: what goes in comes out, and nothing wrong comes out of a file that is cut or damaged."""

from __future__ import annotations

import io
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drift_schemas.capture import (
    CapturedAccount,
    CaptureDamaged,
    CapturedSlot,
    CaptureError,
    CaptureHeader,
    CaptureReader,
    CaptureRecord,
    NotACapture,
    pack_account,
    pack_end,
    pack_frame,
    pack_header,
    pack_slot,
)

HEADER = CaptureHeader("drift-v2", "dRift", "devnet", None, "confirmed", "polling", "a test", 5, ("slot", "account A"))
U64 = st.integers(0, 2**64 - 1)
RECORDS = st.lists(
    st.builds(CapturedSlot, U64, U64)
    | st.builds(CapturedAccount, st.text(), st.text(), U64, st.none() | st.binary(), U64, st.booleans())
)


def _inflate(body: bytes, _size: int) -> bytes:
    return zlib.decompress(body)


def _packed(frames: list[list[CaptureRecord]], *, is_closed: bool = True) -> list[bytes]:
    """The frames of a file, the header's first."""
    contents = [(1, pack_header(HEADER))]
    for records in frames:
        packed = [pack_slot(*one) if isinstance(one, CapturedSlot) else pack_account(*one) for one in records]
        contents.append((len(records), b"".join(packed)))
    if is_closed:
        contents.append((1, pack_end(7)))
    return [pack_frame(number, count, content, zlib.compress) for number, (count, content) in enumerate(contents)]


def _read(path: Path, raw: bytes) -> tuple[CaptureReader, list[CaptureRecord]]:
    path.write_bytes(raw)
    reader = CaptureReader(path, _inflate)
    return reader, list(reader.records())


SOME: list[list[CaptureRecord]] = [
    [CapturedSlot(10, 1), CapturedAccount("A", "P", 10, b"\0" * 40, 2, False)],
    [CapturedAccount("A", "", 11, None, 3, True)],
]
ALL = [record for frame in SOME for record in frame]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(frames=st.lists(RECORDS, max_size=4))
def test_what_goes_in_comes_out(tmp_path: Path, frames: list[list[CaptureRecord]]) -> None:
    reader, records = _read(tmp_path / "a", b"".join(_packed(frames)))
    assert records == [record for frame in frames for record in frame]
    assert (reader.header, reader.cut_short) == (HEADER, None)


def test_cut_at_any_byte_it_gives_the_whole_frames_and_says_so(tmp_path: Path) -> None:
    frames = _packed(SOME)
    raw = b"".join(frames)
    ends = [sum(map(len, frames[: count + 1])) for count in range(len(frames))]
    for length in range(len(raw)):
        if length < ends[0]:
            with pytest.raises(NotACapture):
                _read(tmp_path / "a", raw[:length])
            continue
        reader, records = _read(tmp_path / "a", raw[:length])
        whole = sum(end <= length for end in ends)
        assert records == [record for frame in SOME[: whole - 1] for record in frame]
        assert reader.cut_short is not None
        assert (reader.cut_short.frame, reader.cut_short.offset) == (whole, ends[whole - 1])


def test_one_changed_bit_anywhere_is_found(tmp_path: Path) -> None:
    frames = _packed(SOME)
    raw = b"".join(frames)
    for position in range(len(raw)):
        changed = bytearray(raw)
        changed[position] ^= 1 << position % 8
        path = tmp_path / "a"
        path.write_bytes(changed)
        seen: list[CaptureRecord] = []
        with pytest.raises(CaptureError):
            seen.extend(CaptureReader(path, _inflate).records())
        assert seen == ALL[: len(seen)]


def test_damage_names_frame_and_offset(tmp_path: Path) -> None:
    header, first, second, _end = _packed(SOME)
    path = tmp_path / "a"
    path.write_bytes(header + first + second[:-1] + b"?")
    seen: list[CaptureRecord] = []
    with pytest.raises(CaptureDamaged, match=f"frame 2, byte {len(header + first)}: its checksum") as caught:
        for record in CaptureReader(path, _inflate).records():
            seen.append(record)
    assert (caught.value.frame, caught.value.offset) == (2, len(header + first))
    assert seen == SOME[0]


@pytest.mark.parametrize(
    ("frames", "why"),
    [
        ([0, 2, 3], "frame 2 stands here"),
        ([0, 1, 1, 2, 3], "frame 1 stands here"),
    ],
)
def test_a_frame_that_is_missing_or_there_twice_is_found(tmp_path: Path, frames: list[int], why: str) -> None:
    packed = _packed(SOME)
    with pytest.raises(CaptureDamaged, match=why):
        _read(tmp_path / "a", b"".join(packed[number] for number in frames))


def test_something_else_is_no_capture(tmp_path: Path) -> None:
    for raw in (b"", b"PAR1", b"{}" * 100, zlib.compress(b"x" * 999)):
        with pytest.raises(NotACapture):
            _read(tmp_path / "a", raw)
    with pytest.raises(NotACapture, match="this is no capture"):
        _read(tmp_path / "a", pack_frame(0, 1, b"\x80", zlib.compress))


def test_a_later_format_is_named(tmp_path: Path) -> None:
    later = pack_header(HEADER).replace(b"\xa7version\x01", b"\xa7version\x02")
    with pytest.raises(NotACapture, match="format 2 is not known"):
        _read(tmp_path / "a", pack_frame(0, 1, later, zlib.compress))


def test_kinds_of_a_later_version_are_passed_over(tmp_path: Path) -> None:
    content = b"\x93\x63\x01\x02" + pack_slot(10, 1)  # [99, 1, 2]
    frames = [(1, pack_header(HEADER)), (2, content), (1, pack_end(1))]
    raw = b"".join(pack_frame(number, count, frame, zlib.compress) for number, (count, frame) in enumerate(frames))
    assert _read(tmp_path / "a", raw)[1] == [CapturedSlot(10, 1)]


@pytest.mark.parametrize("content", [b"\xc1", b"\x01", b"\x90", b"\x92\x00\x01", b"\x93\x00\x01\xa1x", b"\x93\x00\x01"])
def test_records_of_another_form_are_damage(tmp_path: Path, content: bytes) -> None:
    frames = [pack_header(HEADER), content, pack_end(1)]
    raw = b"".join(pack_frame(number, 1, frame, zlib.compress) for number, frame in enumerate(frames))
    with pytest.raises(CaptureDamaged, match="frame 1"):
        _read(tmp_path / "a", raw)


def test_an_end_that_is_missing_is_told(tmp_path: Path) -> None:
    raw = b"".join(_packed(SOME, is_closed=False))
    reader, records = _read(tmp_path / "a", raw)
    assert records == ALL
    assert reader.cut_short is not None
    assert f"3 frames ({len(raw)} bytes) of it are whole" in str(reader.cut_short)


def test_it_can_be_read_again_and_by_frames(tmp_path: Path) -> None:
    reader, records = _read(tmp_path / "a", b"".join(_packed(SOME)))
    assert list(reader.records()) == records
    assert [(head.number, head.records, len(found)) for head, found in reader.frames()] == [
        (1, 2, 2),
        (2, 1, 1),
        (3, 1, 0),
    ]
    assert io.BytesIO((tmp_path / "a").read_bytes()).read(4) == b"\x5d\x2a\x4d\x18"
