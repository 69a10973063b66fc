"""Rows as text: CSV for spreadsheets, JSON lines for programs. Both in UTF-8."""

from __future__ import annotations

import contextlib
import csv
import functools
import io
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO, Final, TypeAlias

import msgspec

from pumpwatch.storage.streams import Field
from pumpwatch.telemetry import visible

Rows: TypeAlias = Sequence[Sequence[Any]]

#: Longer than any text in the record, when each character of it is spelled out.
_LONGEST: Final = 16_384

#: What makes a spreadsheet take a cell for a formula, at its beginning; or behind what some spreadsheets take for the end of one.
_FORMULA: Final = re.compile("(^|[;,|\"'])(\\s*)(?=[=+\\-@\uff0b\uff0d\uff1d\uff20])")

_NOT_ASCII: Final = re.compile(r"[^\x00-\x7f]")


@functools.lru_cache(maxsize=4096)
def neutral(text: str) -> str:
    """
    What a stranger wrote, so that neither a spreadsheet nor a terminal obeys it.

    Invisible characters are spelled out, and an apostrophe is put before what would begin a formula.
    """
    return _FORMULA.sub(r"\1'\2", visible(text, limit=_LONGEST))


@contextlib.contextmanager
def csv_rows(target: BinaryIO, fields: Sequence[Field]) -> Iterator[Callable[[Rows], None]]:
    """RFC 4180: commas, CR LF, quotes where they are needed, a head; unknown is empty. What is yielded writes rows."""
    texts = [place for place, field in enumerate(fields) if field.kind == "text"]

    def write(rows: Rows) -> None:
        page = io.StringIO(newline="")
        csv.writer(page).writerows([_with_neutral(row, texts) for row in rows] if texts else rows)
        target.write(page.getvalue().encode("utf-8", "backslashreplace"))

    target.write((",".join(field.name for field in fields) + "\r\n").encode())
    yield write


def _with_neutral(row: Sequence[Any], texts: Sequence[int]) -> list[Any]:
    cells = list(row)
    for place in texts:
        if isinstance(cells[place], str):
            cells[place] = neutral(cells[place])
    return cells


@contextlib.contextmanager
def json_lines(target: BinaryIO, fields: Sequence[Field]) -> Iterator[Callable[[Rows], None]]:
    """One object a line, in ASCII, with the names of ``--json``; unknown is null. What is yielded writes rows."""
    row_type = msgspec.defstruct("Row", [field.name for field in fields])
    encoder = msgspec.json.Encoder()

    def write(rows: Rows) -> None:
        page = encoder.encode_lines([row_type(*row) for row in rows])
        if not page.isascii():  # outside of strings it is
            page = _NOT_ASCII.sub(_escaped, page.decode()).encode()
        target.write(page)

    yield write


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < 0x10000:
        return f"\\u{code:04x}"
    code -= 0x10000
    return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"
