"""What the trades of a period say of its costs: how many there are, and which tokens had most of them. Bounded work."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from pumpwatch.storage.queries import Reader

#: Of larger periods the newest so many trades tell whose they are.
MOST_TRADES: Final = 200_000

_NEVER: Final = 2**62
#: One at a time: for both in one question SQLite reads the whole table.
_ENDS: Final = "SELECT (SELECT min(id) FROM trades), (SELECT max(id) FROM trades)"
_ARRIVED: Final = f"""
    SELECT id, min(ifnull(pumpportal_at_us, {_NEVER}), ifnull(helius_at_us, {_NEVER}), ifnull(backfill_at_us, {_NEVER}))
    FROM trades WHERE id >= :id ORDER BY id LIMIT 1
"""
_SOURCES: Final = {
    "pumpportal": "pumpportal_at_us IS NOT NULL",
    "helius": "(helius_at_us IS NOT NULL OR backfill_at_us IS NOT NULL)",
}
_BUSIEST: Final = """
    SELECT tokens.mint, tokens.symbol, counted.trades, counted.of
    FROM (
        SELECT token_id, count(*) AS trades, sum(count(*)) OVER () AS of FROM trades NOT INDEXED
        WHERE id >= :id AND {source} GROUP BY token_id ORDER BY count(*) DESC, token_id LIMIT :limit
    ) AS counted JOIN tokens ON tokens.id = counted.token_id
    ORDER BY counted.trades DESC, tokens.id
"""


class Busy(msgspec.Struct, frozen=True):
    """A token, and how many *trades* it had *of* all that were looked at."""

    mint: str
    symbol: str | None
    trades: int
    of: int


class Period(msgspec.Struct, frozen=True):
    """
    What was recorded since a moment.

    Attributes:
        trades: All that are still there.
        busiest: Of the newest :data:`MOST_TRADES` of them, that a provider brought, those with most.
    """

    trades: int
    busiest: list[Busy]


def recorded_since(reader: Reader, provider: str, *, since_us: int, limit: int) -> Period:
    """What was recorded from *since_us* on; the *limit* busiest tokens of *provider*."""
    first, last = reader.rows(_ENDS)[0]
    if last is None:
        return Period(0, [])
    begin = _first_of(reader, first, last, since_us)
    if begin > last:
        return Period(0, [])
    statement = _BUSIEST.format(source=_SOURCES[provider])
    rows: list[Any] = reader.rows(statement, id=max(begin, last + 1 - MOST_TRADES), limit=limit)
    return Period(last + 1 - begin, [Busy(*row) for row in rows])


def _first_of(reader: Reader, first: int, last: int, since_us: int) -> int:
    """The id of the first trade that came at *since_us* or later: rows are numbered as they come. Halving: 30 looks at most."""
    low, high = first, last + 1
    while low < high:
        middle = (low + high) // 2
        found, arrived_us = reader.rows(_ARRIVED, id=middle)[0]
        if arrived_us >= since_us:
            high = middle
        else:
            low = found + 1
    return low
