"""
What the command line reads: short read-only questions to the views, each with a bound.

The views are the interface (``docs/data.md``). The tables below them are used to find the few rows that are shown without looking
at all of them.
"""

from __future__ import annotations

import contextlib
from array import array
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from pumpwatch.errors import DatabaseBusy, DatabaseError
from pumpwatch.events import WRAPPED_SOL, Usage
from pumpwatch.storage import statements
from pumpwatch.storage.database import in_time, reading_engine
from pumpwatch.storage.schema import SCHEMA_VERSION
from pumpwatch.storage.scoreboard import LAST_TRADES, SPELLS, Score, scores


class SpellRow(msgspec.Struct, frozen=True):
    """A stretch in which a token or wallet was watched; *ended_at_us* None: it still is."""

    kind: str
    address: str
    reason: str
    started_at_us: int
    ended_at_us: int | None
    end_reason: str | None
    symbol: str | None


class GapCount(msgspec.Struct, frozen=True):
    """Gaps of one cause that are not closed: how many wait, how many backfill is at, how many cannot be filled."""

    cause: str
    open: int
    filling: int
    unfillable: int
    oldest_us: int


class GapRow(msgspec.Struct, frozen=True):
    """A row of ``gaps`` that is not closed; *net_* are base units, how the reserves changed unseen."""

    cause: str
    state: str
    feed: str | None
    from_us: int
    to_us: int | None
    from_slot: int | None
    to_slot: int | None
    net_token_amount: int | None
    net_quote_amount: int | None
    signature: str | None
    detail: str | None
    reason: str | None


class SourceCounts(msgspec.Struct, frozen=True):
    """
    Who delivered the trades of one token.

    Attributes:
        trades: How many were looked at: those that stand in ``trade_log``.
        backfilled: Those that only backfill had.
        dropped: Told by PumpPortal, not on the chain.
    """

    trades: int
    pumpportal: int
    helius: int
    backfill: int
    backfilled: int
    dropped: int


_SPELL_COLUMNS: Final = (
    "spells.kind, spells.address, spells.reason, started_at_us, ended_at_us, end_reason, tokens.symbol "
    "FROM spells LEFT JOIN tokens ON spells.kind = 'token' AND tokens.mint = spells.address"
)
_IS_WATCHED: Final = "spells.kind = 'token' AND spells.address = place.mint AND spells.ended_at_us IS NULL"


_SOL_DECIMALS: Final = 9
_LATEST_US: Final = 2**62
_GAP_COLUMNS: Final = ", ".join(GapRow.__struct_fields__)
_WATCHED_THEN: Final = (
    "SELECT 1 FROM spells WHERE kind = 'token' AND address = :mint AND started_at_us <= ifnull(gaps.to_us, started_at_us) "
    "AND ifnull(ended_at_us, gaps.from_us) >= gaps.from_us"
)
#: Of ``gaps``: what concerned all tokens that were watched then, ``:mint`` among them.
OF_ALL_TOKENS: Final = (
    f"mint IS NULL AND signature IS NULL AND cause NOT IN ('refused', 'limit', 'budget') AND EXISTS ({_WATCHED_THEN})"
)


class Reader:
    """
    Reads one database; one statement is one transaction. Use :func:`open_reader`.

    Every method raises DatabaseError if the file is damaged, or cannot be read now.
    """

    def __init__(self, engine: sa.Engine, path: Path) -> None:
        self._engine = engine
        self._path = path

    def origin(self) -> str:
        """``mainnet``, ``simulator`` or ``replay``."""
        rows = self.rows("SELECT value FROM meta WHERE key = 'origin'")
        return str(rows[0][0]) if rows else "unknown"

    def mints_beginning_with(self, start: str, *, limit: int) -> list[str]:
        """At most *limit* known mints that begin with *start*."""
        rows = self.rows(
            "SELECT mint FROM tokens WHERE mint >= :start AND mint < :beyond ORDER BY mint LIMIT :limit",
            start=start,
            beyond=f"{start}\x7f",
            limit=limit,
        )
        return [mint for (mint,) in rows]

    def open_spells(self) -> list[SpellRow]:
        """What is watched, in the order in which it was begun."""
        rows = self.rows(f"SELECT {_SPELL_COLUMNS} WHERE ended_at_us IS NULL ORDER BY started_at_us, spells.id")
        return [SpellRow(*row) for row in rows]

    def spells(self, address: str, *, limit: int) -> list[SpellRow]:
        """The last *limit* spells of one token or wallet, the newest first."""
        rows = self.rows(
            f"SELECT {_SPELL_COLUMNS} WHERE spells.kind IN ('token', 'wallet') AND spells.address = :address "
            "ORDER BY started_at_us DESC LIMIT :limit",
            address=address,
            limit=limit,
        )
        return [SpellRow(*row) for row in rows]

    def completeness(self) -> dict[str, int]:
        """How many of the watched tokens have which completeness."""
        rows = self.rows(
            f"SELECT board.completeness, count(*) FROM tokens AS place JOIN spells ON {_IS_WATCHED} "
            "JOIN token_board AS board ON board.mint = place.mint GROUP BY board.completeness"
        )
        return {str(completeness): int(count) for completeness, count in rows}

    def gap_counts(self) -> list[GapCount]:
        """What is not closed, by cause, most first."""
        rows = self.rows(
            "SELECT cause, sum(state = 'open'), sum(state = 'filling'), sum(state = 'unfillable'), min(from_us) "
            "FROM gaps WHERE state <> 'closed' GROUP BY +cause ORDER BY count(*) DESC, cause"  # +: not down an index, row by row
        )
        return [GapCount(*row) for row in rows]

    def gaps_of(self, mint: str, *, limit: int, since_us: int = 0, until_us: int = _LATEST_US) -> list[GapRow]:
        """
        At most *limit* gaps that are not closed: those of this token, and those of all tokens while it was watched.

        Args:
            since_us: Only those that reach into the time from here to *until_us*.

        """
        rows = self.rows(
            f"SELECT {_GAP_COLUMNS} FROM (SELECT * FROM gaps WHERE mint = :mint AND state <> 'closed' "
            f"UNION ALL SELECT * FROM gaps WHERE state <> 'closed' AND {OF_ALL_TOKENS}) "
            "WHERE from_us <= :until_us AND ifnull(to_us, :until_us) >= :since_us ORDER BY from_us DESC LIMIT :limit",
            mint=mint,
            limit=limit,
            since_us=since_us,
            until_us=until_us,
        )
        return [GapRow(*row) for row in rows]

    def sources_of(self, mint: str, *, last: int) -> SourceCounts:
        """Who delivered the *last* trades of a token, in the chain's order."""
        rows = self.rows(
            "SELECT ifnull(sum(state <= 2), 0), count(CASE WHEN state <= 2 THEN pumpportal_at_us END), "
            "count(CASE WHEN state <= 2 THEN helius_at_us END), count(CASE WHEN state <= 2 THEN backfill_at_us END), "
            "ifnull(sum(state <= 2 AND backfill_at_us IS NOT NULL AND helius_at_us IS NULL AND pumpportal_at_us IS NULL), 0), "
            "ifnull(sum(state = 3), 0) FROM (SELECT * FROM trades WHERE token_id = (SELECT id FROM tokens WHERE mint = :mint) "
            "ORDER BY chain_key DESC LIMIT :last)",
            mint=mint,
            last=last,
        )
        return SourceCounts(*rows[0])

    def scoreboard(self, *, last: int = 20_000) -> list[Score]:
        """What each source delivered, missed, invented and delivered late, of the *last* rows of ``trades``."""
        return scores(self.rows(LAST_TRADES, last=last), self.rows(SPELLS, last=last))

    def quotes(self) -> dict[str, int | None]:
        """Mint -> decimals of what tokens trade against; None: not known."""
        return dict(self.rows("SELECT mint, decimals FROM quotes"))

    def usage(self) -> list[Usage]:
        """What the providers delivered in the last 31 days."""
        return statements.usage_of(
            self.rows(f"{statements.USAGE} WHERE day >= date('now', '-31 days') ORDER BY day, provider"),
        )

    @contextlib.contextmanager
    def moment(self) -> Iterator[Moment]:
        """For several questions that must be answered from one moment: one transaction, which is to be short."""
        with _readable(self._path), self._engine.connect() as connection:
            connection.exec_driver_sql("BEGIN")
            yield Moment(self._engine, self._path, connection)

    def rows(self, statement: str, **parameters: object) -> list[Any]:
        """Every row of one question: for the modules of this package that ask it."""
        with _readable(self._path), self._engine.connect() as connection:
            return list(connection.execute(sa.text(statement), parameters))

    def numbers(self, statement: str, **parameters: object) -> array[int]:
        """The only column of a question, integers, however many rows: at eight bytes each."""
        with _readable(self._path), self._engine.connect() as connection:
            found = connection.execution_options(yield_per=10_000).execute(sa.text(statement), parameters)
            return array("q", found.scalars())


class Moment(Reader):
    """A reader whose every answer is of one moment; see :meth:`Reader.moment`."""

    def __init__(self, engine: sa.Engine, path: Path, connection: sa.Connection) -> None:
        super().__init__(engine, path)
        self.connection = connection

    def rows(self, statement: str, **parameters: object) -> list[Any]:
        with in_time(self._path):
            return list(self.connection.execute(sa.text(statement), parameters))

    def numbers(self, statement: str, **parameters: object) -> array[int]:
        return array("q", (row[0] for row in self.rows(statement, **parameters)))


def decimals_of(quote_mint: str | None, quotes: Mapping[str, int | None]) -> int | None:
    """Decimals of a quote. While the chain has not told it, amounts are PumpPortal's, which are lamports."""
    return quotes.get(WRAPPED_SOL, _SOL_DECIMALS) if quote_mint is None else quotes.get(quote_mint)


@contextlib.contextmanager
def open_reader(path: Path, *, most_seconds: float | None = None) -> Iterator[Reader]:
    """
    Open the database at *path* for reading.

    Args:
        most_seconds: From then on, counted from now, whatever takes longer ends with DatabaseError.

    Raises:
        DatabaseError: Missing, damaged, of a newer schema, of another program, or not to be read now.

    """
    with _readable(path):
        engine = reading_engine(path, most_seconds=most_seconds)
    try:
        with _readable(path), engine.connect() as connection:
            version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
            if 0 < version < SCHEMA_VERSION:
                raise DatabaseError(
                    f"{path} was written by an older pumpwatch: `python -m pumpwatch db migrate` updates it, and so does the "
                    "worker when it starts"
                )
            if version == 0:
                raise DatabaseError(
                    f"{path} holds no record of pumpwatch: start `python -m pumpwatch` first, or name another file"
                )
        yield Reader(engine, path)
    finally:
        engine.dispose()


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        with in_time(path):
            yield
    except DatabaseBusy as error:
        raise DatabaseError(f"{path} cannot be read now: {error}") from error
