from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pumpwatch.decode.borsh import Field, OutOfRange, Reader, UnreadableEvent

FIELDS = [Field("a", "u64"), Field("b", "bool"), Field("s", "str"), Field("c", "i128"), Field("l", "shv"), Field("d", "u16")]
HEAD = b"12345678"
A, B, S, C, L, D = (
    (7).to_bytes(8, "little"),
    b"\x01",
    b"\x02\0\0\0hi",
    b"\xfe" + b"\xff" * 15,
    b"\x01\0\0\0" + b"x" * 34,
    b"\x05\0",
)


def read(payload: bytes, wanted: str = "abscld", required: int = 1) -> tuple[tuple[object, ...], int]:
    return Reader(FIELDS, frozenset(wanted), required=required).read(payload)


def test_all_fields_are_read_in_order() -> None:
    assert read(HEAD + A + B + S + C + L + D) == ((7, True, b"hi", C, b"x" * 34, 5), 0)


def test_fields_not_wanted_are_skipped() -> None:
    assert read(HEAD + A + B + S + C + L + D, "ad") == ((7, 5), 0)
    assert read(HEAD + A + B + S + C + L + D, "l") == ((b"x" * 34,), 0)


@pytest.mark.parametrize(("length", "fields"), [(16, 1), (17, 2), (23, 3), (39, 4), (77, 5)])
def test_an_older_version_ends_at_a_field(length: int, fields: int) -> None:
    values, surplus = read((HEAD + A + B + S + C + L + D)[:length])
    assert (len(values), surplus) == (fields, 0)


def test_a_newer_version_goes_on() -> None:
    assert read(HEAD + A + B + S + C + L + D + b"new")[1] == 3


def test_a_payload_without_the_required_fields_is_refused() -> None:
    with pytest.raises(UnreadableEvent, match="before the fields"):
        read(HEAD + A, required=2)
    with pytest.raises(UnreadableEvent, match="before the fields"):
        read(HEAD)


@pytest.mark.parametrize("count", [3, 0xFFFFFFFF])
def test_a_text_longer_than_the_payload_is_refused(count: int) -> None:
    with pytest.raises(UnreadableEvent, match="text or list"):
        read(HEAD + A + B + count.to_bytes(4, "little") + b"hi")


@pytest.mark.parametrize("byte", [2, 128, 188, 255])
@pytest.mark.parametrize("wanted", ["a", "ab"])
def test_a_bool_is_0_or_1_whether_wanted_or_not(byte: int, wanted: str) -> None:
    with pytest.raises(UnreadableEvent, match=f"bool of {byte}"):
        read(HEAD + A + bytes([byte]), wanted)


def test_a_number_no_database_holds_is_out_of_range_where_wanted() -> None:
    payload = HEAD + (2**63).to_bytes(8, "little") + B
    with pytest.raises(OutOfRange):
        read(payload)
    assert read(payload, "b") == ((True,), 0)
    assert read(HEAD + (2**63 - 1).to_bytes(8, "little"))[0] == (2**63 - 1,)


def test_a_payload_shorter_than_its_discriminator_is_refused() -> None:
    with pytest.raises(UnreadableEvent):
        read(HEAD[:5])


_COUNTS = st.integers(0, 3)


_PARTS = st.tuples(
    st.sampled_from((0, 1, 2**63 - 1, 2**63)),  # the last is out of range
    st.sampled_from((0, 1, 1, 2)),  # 2 is no bool
    _COUNTS,
    _COUNTS,
    st.binary(max_size=3),
    st.one_of(st.just(0), st.integers(0, 90)),
)


@given(st.lists(_PARTS, min_size=2, max_size=12))
def test_a_remembered_build_reads_what_a_fresh_reader_reads(payloads: list[tuple[int, int, int, int, bytes, int]]) -> None:
    wanted = frozenset("abcd")
    remembering = Reader(FIELDS, wanted, required=1)
    for number, flag, letters, shares, surplus, cut in payloads * 2:
        text = letters.to_bytes(4, "little") + b"t" * letters
        holders = shares.to_bytes(4, "little") + b"x" * 34 * shares
        payload = HEAD + number.to_bytes(8, "little") + bytes([flag]) + text + C + holders + D + surplus
        payload = payload[: len(payload) - cut]
        assert outcome(remembering, payload) == outcome(Reader(FIELDS, wanted, required=1), payload)


def outcome(reader: Reader, payload: bytes) -> object:
    try:
        return reader.read(payload)
    except (UnreadableEvent, OutOfRange) as error:
        return str(error)


def test_a_remembered_build_checks_numbers_bools_and_counts() -> None:
    reader = Reader(FIELDS, frozenset("abcd"), required=1)
    good = HEAD + A + B + S + C + L + D
    assert reader.read(good) == reader.read(good) == ((7, True, C, 5), 0)
    with pytest.raises(OutOfRange):
        reader.read(HEAD + b"\xff" * 8 + B + S + C + L + D)
    with pytest.raises(UnreadableEvent, match="bool of 2"):
        reader.read(HEAD + A + b"\x02" + S + C + L + D)
    with pytest.raises(UnreadableEvent, match="text or list"):
        reader.read(HEAD + A + B + b"\xff\0\0\0hi" + C + L + D)
    other = HEAD + A + B + b"\x04\0\0\0hihi" + C + L  # as long, with the text's end elsewhere
    assert reader.read(other) == ((7, True, C), 0)


def test_what_is_remembered_of_builds_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pumpwatch.decode.borsh._MOST_BUILDS", 2)
    reader = Reader(FIELDS, frozenset("a"), required=1)
    for surplus in range(5):
        assert reader.read(HEAD + A + B + S + C + L + D + b"n" * surplus) == ((7,), surplus)
    assert len(reader._builds) == 2
