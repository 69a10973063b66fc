"""
Everything of a choice, however much, in short transactions and constant memory: for exports, notebooks and bots.

Rows are tuples of plain values, a page of them at a time, each page one transaction. Trades and tokens that are there when a
stream begins come once, those that the writer adds later are left out. A row is as it was when its page was read: a trade that
was dropped until then is not in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, Literal, NamedTuple, TypeAlias, get_args, get_type_hints

import msgspec

from pumpwatch.storage.board import EVERY_TOKEN, BoardRow, WantedTokens, board_rows, token_ids
from pumpwatch.storage.chosen import COLUMNS, TradeRow, Wanted
from pumpwatch.storage.queries import Reader
from pumpwatch.storage.schema_figures import TRADE_TABLES
from pumpwatch.storage.stretches import Order, Stretches

#: Some 50 ms on a slow machine.
_PAGE_ROWS: Final = 5_000
_PAGE_TOKENS: Final = 1_000

#: What a column holds. ``second`` and ``microsecond``: integers, unix time. ``flag``: 0 or 1. ``word``: one of few. ``address``:
#: base58. ``key``: hexadecimal digits. ``text``: what a stranger wrote, and whatever else is not known to be harmless.
Kind: TypeAlias = Literal["integer", "number", "second", "microsecond", "flag", "word", "address", "key", "text"]

_BY_NAME: Final[dict[str, Kind]] = {
    **dict.fromkeys(("side", "venue", "mint", "quote_mint", "sources", "completeness", "status", "watched", "unit"), "word"),
    **dict.fromkeys(("signature", "wallet", "creator", "developer", "pool"), "address"),
    **dict.fromkeys(("block_time", "created_at", "first_trade_at", "last_trade_at", "usd_at", "opens_at"), "second"),
    **dict.fromkeys(("complete_from", "complete_until"), "second"),
    **dict.fromkeys(("confirmed", "is_mayhem_mode", "is_cashback_enabled", "is_holder_reward"), "flag"),
    "received_at_us": "microsecond",
    "chain_key": "key",
}


class Field(NamedTuple):
    """A column."""

    name: str
    kind: Kind


def fields_of(row: type[msgspec.Struct]) -> tuple[Field, ...]:
    """The columns of a kind of row."""
    return tuple(Field(name, _BY_NAME.get(name) or _kind_of(hint)) for name, hint in get_type_hints(row).items())


def _kind_of(hint: Any) -> Kind:
    types = get_args(hint) or (hint,)
    if float in types:
        return "number"
    return "integer" if int in types else "text"


class Trade(TradeRow, frozen=True):
    """A row of ``trade_log``, *chain_key* in hexadecimal digits, and how complete the token's record is."""

    completeness: str


class Page(NamedTuple):
    """
    Rows, each a tuple.

    Attributes:
        looked: How many rows were looked at for them, of the stream's *total*: for a progress bar.
    """

    rows: Sequence[tuple[Any, ...]]
    looked: int


class Stream(NamedTuple):
    """
    The pages of an answer. They can be read once.

    Attributes:
        row: The kind of row that each tuple holds the fields of.
        total: About how many rows will be looked at.
    """

    row: type[msgspec.Struct]
    total: int
    pages: Iterator[Page]

    @property
    def fields(self) -> tuple[Field, ...]:
        """The columns of its rows."""
        return fields_of(self.row)


def trades(reader: Reader, wanted: Wanted, *, order: Order = "chain") -> Stream:
    """
    Trades: token by token as they first appeared, each in the chain's order; or all by the chain's clock.

    Those without a place there (provisional) are the last of their token, or of all.
    """
    stretches = Stretches(reader, wanted, order)
    return Stream(Trade, stretches.count(), _trade_pages(reader, wanted, stretches))


def _trade_pages(reader: Reader, wanted: Wanted, stretches: Stretches) -> Iterator[Page]:
    chosen = " AND ".join((wanted.states, wanted.lasting, wanted.passing))
    statement = (
        f"SELECT {COLUMNS}, tokens.completeness FROM json_each(:ids) AS place CROSS JOIN {TRADE_TABLES} "
        f"WHERE trades.id = place.value AND {chosen} ORDER BY place.key"
    )
    for ids in stretches:
        for start in range(0, len(ids), _PAGE_ROWS):
            few = ids[start : start + _PAGE_ROWS]
            rows = reader.rows(statement, ids=msgspec.json.encode(list(few)).decode(), **wanted.parameters)
            yield Page(rows, len(few))


def tokens(reader: Reader, wanted: WantedTokens = EVERY_TOKEN) -> Stream:
    """Tokens, as they first appeared."""
    ids = token_ids(reader, wanted)
    return Stream(BoardRow, len(ids), _token_pages(reader, ids))


def _token_pages(reader: Reader, ids: Sequence[int]) -> Iterator[Page]:
    for start in range(0, len(ids), _PAGE_TOKENS):
        few = ids[start : start + _PAGE_TOKENS]
        yield Page([msgspec.structs.astuple(row) for row in board_rows(reader, mints_of(reader, few))], len(few))


def mints_of(reader: Reader, ids: Sequence[int]) -> list[str]:
    """The mints of these rows of ``tokens``, in this order."""
    found = reader.rows(
        "SELECT tokens.mint FROM json_each(:ids) AS place CROSS JOIN tokens ON tokens.id = place.value ORDER BY place.key",
        ids=msgspec.json.encode(list(ids)).decode(),
    )
    return [mint for (mint,) in found]
