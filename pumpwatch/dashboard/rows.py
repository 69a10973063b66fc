"""A token as lists of the page show it: its row of the board, and its last hour."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from pumpwatch.storage.board import BoardRow, board_rows
from pumpwatch.storage.queries import Reader, decimals_of
from pumpwatch.storage.windows import Hour, hours_of

_HOUR_SECONDS = 3600


class TokenRow(BoardRow, frozen=True, kw_only=True):
    """
    All of ``token_board``, and more.

    Attributes:
        quote_decimals: Of the quote's amounts; null while they are not known.
        hour: What was traded in the last hour.
    """

    quote_decimals: int | None
    hour: Hour


def token_rows(reader: Reader, mints: Sequence[str], now: float) -> list[TokenRow]:
    """The rows of these tokens, in this order, at *now* (unix seconds); those that are not in the record are left out."""
    rows = board_rows(reader, list(mints))
    hours, quotes = hours_of(reader, mints, now), reader.quotes()
    return [
        TokenRow(
            *msgspec.structs.astuple(row),
            quote_decimals=decimals_of(row.quote_mint, quotes),
            hour=hours.get(row.mint, Hour(_HOUR_SECONDS)),
        )
        for row in rows
    ]
