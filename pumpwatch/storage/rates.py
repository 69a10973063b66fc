"""What the record has of US dollar rates, and lacks: read-only."""

from __future__ import annotations

from typing import Final

import msgspec

from pumpwatch.storage.database import ShortReads
from pumpwatch.storage.queries import Reader
from pumpwatch.storage.statements import sought_key

#: A close of the past was asked for later than it was true.
_NEWEST: Final = """
    SELECT quotes.mint, usd, source, min(at_us, (minute + 1) * 60000000) FROM quotes JOIN rates ON rates.quote_id = quotes.id
    WHERE rates.minute = (SELECT max(minute) FROM rates WHERE quote_id = quotes.id)
    ORDER BY quotes.id LIMIT :limit
"""

#: Down the minutes in which anything traded, one seek in the index each, from before a minute on.
_WALK: Final = """
    WITH RECURSIVE walk (minute, step) AS (
        SELECT (SELECT max(block_time) FROM trades WHERE block_time < :before * 60) / 60, 1
        UNION ALL
        SELECT (SELECT max(block_time) FROM trades WHERE block_time < walk.minute * 60) / 60, step + 1
        FROM walk WHERE step < :steps AND minute > 0
    )
    SELECT minute, EXISTS (
        SELECT 1 FROM rates WHERE quote_id = (SELECT id FROM quotes WHERE mint = :quote) AND rates.minute = walk.minute
    ) FROM walk WHERE minute > 0
"""

_NEAREST: Final = """
    SELECT minute, usd FROM (
        SELECT * FROM (SELECT minute, usd FROM rates WHERE quote_id = :id AND minute <= :minute ORDER BY minute DESC LIMIT 1)
        UNION ALL
        SELECT * FROM (SELECT minute, usd FROM rates WHERE quote_id = :id AND minute > :minute ORDER BY minute LIMIT 1)
    ) ORDER BY abs(minute - :minute) LIMIT 1
"""


class Rate(msgspec.Struct, frozen=True):
    """The newest rate of a quote: US dollars for a whole one, who said so, and when that was so."""

    quote_mint: str
    usd: float
    source: str
    at_us: int


class Walked(msgspec.Struct, frozen=True):
    """
    Minutes (unix time / 60) in which something traded.

    Attributes:
        unpriced: Those without a rate, the newest first.
        reached: The last that was looked at; None: there are none beyond.
    """

    unpriced: list[int]
    reached: int | None


class PriceWorklist(ShortReads):
    """What the prices' thread asks."""

    def quotes(self, *, limit: int) -> list[str]:
        """Quote mints, those seen first."""
        return [mint for (mint,) in self._rows("SELECT mint FROM quotes ORDER BY id LIMIT :limit", limit=limit)]

    def traded_quotes(self, *, limit: int) -> list[str]:
        """Those of :meth:`quotes` that a token trades against."""
        rows = self._rows(
            "SELECT mint FROM quotes WHERE id IN (SELECT DISTINCT quote_id FROM tokens) ORDER BY id LIMIT :limit", limit=limit
        )
        return [mint for (mint,) in rows]

    def newest(self, *, limit: int) -> list[Rate]:
        """The newest rate of each quote that has one."""
        return [Rate(*row) for row in self._rows(_NEWEST, limit=limit)]

    def nearest(self, quote: str, minute: int) -> tuple[int, float] | None:
        """Minute and US dollars of the rate that is nearest in time."""
        ids = self._rows("SELECT id FROM quotes WHERE mint = :quote", quote=quote)
        rows = self._rows(_NEAREST, id=ids[0][0], minute=minute) if ids else []
        return (int(rows[0][0]), float(rows[0][1])) if rows else None

    def walk(self, quote: str, *, before: int, steps: int) -> Walked:
        """Look at the *steps* newest minutes with trades before the minute *before*."""
        rows = self._rows(_WALK, quote=quote, before=before, steps=steps)
        unpriced = [int(minute) for minute, is_priced in rows if not is_priced]
        return Walked(unpriced, int(rows[-1][0]) if len(rows) >= steps else None)

    def sought(self, quote: str) -> tuple[tuple[int, int], ...]:
        """Stretches of minutes that no source had a close for."""
        rows = self._rows("SELECT value FROM meta WHERE key = :key", key=sought_key(quote))
        return msgspec.json.decode(rows[0][0], type=tuple[tuple[int, int], ...]) if rows else ()


def newest_rates(reader: Reader, *, limit: int) -> list[Rate]:
    """The newest rate of each quote that has one."""
    return [Rate(*row) for row in reader.rows(_NEWEST, limit=limit)]
