"""
How results look: plain tables of at most 80 columns, or one JSON document.

Text from the chain goes through :func:`pumpwatch.telemetry.visible`. Amounts are written from their integers, never through a
float, and are never cut: a number that does not fit makes its line longer. Unknown is ``-``.
"""

from __future__ import annotations

import json
import textwrap
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from pumpwatch.decode.addresses import USD1, USDC
from pumpwatch.errors import StopError
from pumpwatch.events import WRAPPED_SOL
from pumpwatch.telemetry import visible

UNKNOWN: Final = "-"
TOKEN_DECIMALS: Final = 6

_QUOTE_NAMES: Final = {WRAPPED_SOL: "SOL", USDC: "USDC", USD1: "USD1"}

_UNITS: Final = ((86_400, "d"), (3600, "h"), (60, "min"), (0, "s"))


class AnswerIsNo(StopError):
    """What was asked for is not there, or was not done."""

    exit_status = 1


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table. *is_number*: aligned to the right, and never cut."""

    heading: str
    width: int
    is_number: bool = False


class Sentence(str):
    """Words of ours, with nothing in them that could act on a terminal: never cut."""

    __slots__ = ()


def print_json(document: object) -> None:
    """One document, in ASCII, so that nothing in it can act on a terminal."""
    print(json.dumps(msgspec.to_builtins(document), indent=2, ensure_ascii=True, allow_nan=False))


def print_table(columns: Sequence[Column], rows: Sequence[Sequence[object]]) -> None:
    """The rows under their headings. None is unknown."""
    print(line(columns, [column.heading for column in columns]))
    for row in rows:
        print(line(columns, row))


def print_text(sentence: str) -> None:
    """A sentence of ours, over as many lines as it needs."""
    print(textwrap.fill(sentence, 80, break_long_words=False, break_on_hyphens=False))


def print_fields(fields: Sequence[tuple[str, object]]) -> None:
    """A name and a value on each line, a :class:`Sentence` on as many as it needs. None is unknown."""
    width = max(len(name) for name, _ in fields)
    room = max(20, 78 - width)
    for name, value in fields:
        lines = textwrap.wrap(value, room, break_on_hyphens=False) if isinstance(value, Sentence) else [text(value, width=room)]
        for number, line in enumerate(lines):
            print(f"{'' if number else name:<{width}}  {line}")


def text(value: object, *, width: int) -> str:
    """*value* on one line of at most *width* terminal cells."""
    if value is None:
        return UNKNOWN
    shown = visible(value, limit=width)
    while _cells(shown) > width:
        shown = f"{shown[:-2]}…"
    return shown


def amount(base_units: int | None, decimals: int | None) -> str:
    """Base units as a decimal number, exactly. Unknown decimals leave the integer, marked as one: ``12345 units``."""
    if base_units is None:
        return UNKNOWN
    if decimals is None:
        return f"{base_units} units"
    sign = "-" if base_units < 0 else ""
    whole, rest = divmod(abs(base_units), 10**decimals)
    fraction = f"{rest:0{decimals}d}".rstrip("0") if rest else ""
    return f"{sign}{whole}.{fraction}" if fraction else f"{sign}{whole}"


def quote_name(mint: str | None) -> str:
    """``SOL``, ``USDC``, the beginning of another mint, or ``?`` while the chain has not told."""
    if mint is None:
        return "?"
    return _QUOTE_NAMES.get(mint) or visible(mint, limit=5)


def number(value: float | None) -> str:
    """A price: four digits that matter."""
    return UNKNOWN if value is None else f"{value:.4g}"


def change(share: float | None) -> str:
    """A change as percent: ``+12.3%``."""
    return UNKNOWN if share is None else f"{share * 100:+.1f}%" if abs(share) < 100 else f"{share * 100:+.3g}%"


def pruned_text(until: int, *, is_one: bool) -> str:
    """That single trades are gone up to a time (unix seconds), of the token that is shown, or else of some."""
    whose = "the" if is_one else "some tokens'"
    return f"{whose} trades of before {moment(until)} UTC were taken out of the record ([retention])"


def count(number: int, noun: str) -> str:
    """``1 token``, ``2 tokens``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def ago(seconds: float | None) -> str:
    """A duration in its largest unit: ``3 min``."""
    if seconds is None:
        return UNKNOWN
    seconds = max(0.0, seconds)
    size, unit = next((size, unit) for size, unit in _UNITS if seconds >= size)
    return f"{seconds // max(1, size):.0f} {unit}"


def delay(milliseconds: float | None) -> str:
    """A short duration: ``380 ms``, ``2.4 s``."""
    if milliseconds is None:
        return UNKNOWN
    return f"{milliseconds:.0f} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.1f} s"


def moment(unix_seconds: float | None) -> str:
    """A time in UTC."""
    return UNKNOWN if unix_seconds is None else _utc(unix_seconds).strftime("%Y-%m-%d %H:%M:%S")


def short_moment(unix_seconds: float | None) -> str:
    """A time in UTC, without the year."""
    return UNKNOWN if unix_seconds is None else _utc(unix_seconds).strftime("%m-%d %H:%M:%S")


def _utc(unix_seconds: float) -> datetime:
    latest = 253_402_300_799.0  # the chain's time is an i64: beyond the year 9999 there is no calendar
    return datetime.fromtimestamp(min(max(unix_seconds, 0.0), latest), tz=UTC)


def line(columns: Sequence[Column], row: Sequence[Any]) -> str:
    """One row of a table. None is unknown."""
    cells = []
    for column, value in zip(columns, row, strict=True):
        if column.is_number:
            cells.append(f"{UNKNOWN if value is None else value!s:>{column.width}}")
        else:
            shown = text(value, width=column.width)
            cells.append(shown + " " * (column.width - _cells(shown)))
    return " ".join(cells).rstrip()


def _cells(shown: str) -> int:
    """How many cells of a terminal the text takes: wide letters and pictures take two, accents none."""
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in shown
    )
