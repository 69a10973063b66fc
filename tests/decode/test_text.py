from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pumpwatch.decode.text import TEXT_LIMIT, clean_bytes, clean_text, mend_surrogates

HALVES = [r"\ud83d", r"\uDE00", r"\udfff", r"\ud800"]


@pytest.mark.parametrize("text", ["plain", "=cmd()", "ümlaut 🚀", "\u202eevil", "<b>", "a\nb\tc", ""])
def test_storable_text_stays_as_it_is(text: str) -> None:
    assert clean_text(text) == text
    assert clean_bytes(text.encode()) == text


def test_what_no_database_stores_is_replaced() -> None:
    assert clean_text("a\x00b\ud800c\udfffd") == "a�b�c�d"


def test_text_is_bounded() -> None:
    assert clean_text("🚀" * 5000) == "🚀" * TEXT_LIMIT
    assert clean_bytes("🚀".encode() * 5000) == "🚀" * TEXT_LIMIT
    assert len(clean_bytes(b"\xff" * 100_000)) == TEXT_LIMIT


@given(st.binary())
def test_any_bytes_become_storable_text(data: bytes) -> None:
    clean_bytes(data).encode("utf-8")


@pytest.mark.parametrize("half", HALVES)
def test_a_json_text_with_half_a_character_becomes_readable(half: str) -> None:
    raw = f'{{"name":"a{half}b\\"{half}"}}'.encode()
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(raw)
    assert msgspec.json.decode(mend_surrogates(raw)) == {"name": 'a�b"�'}


@given(st.text(), st.sampled_from(HALVES))
def test_only_halves_are_mended(text: str, half: str) -> None:
    whole = json.dumps(text.encode("utf-8", "replace").decode())
    assert mend_surrogates(whole.encode()) == whole.encode()
    assert msgspec.json.decode(mend_surrogates(f'"{half}{whole[1:]}'.encode())) in (f"�{json.loads(whole)}",)


def test_an_escaped_backslash_before_u_is_no_escape() -> None:
    assert mend_surrogates(rb'"\\ud800"') == rb'"\\ud800"'
