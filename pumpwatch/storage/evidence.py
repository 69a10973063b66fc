"""What ``audit`` reads: of each token all that was recorded, as it was recorded, and nothing that was concluded from it."""

from __future__ import annotations

import contextlib
import marshal
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec
import sqlalchemy as sa

from pumpwatch.continuity import Segment, State, Step
from pumpwatch.errors import DatabaseError
from pumpwatch.storage.baseline import Baseline, baseline_of, segments_of
from pumpwatch.storage.chains import step_of_change
from pumpwatch.storage.database import reading_engine, translated
from pumpwatch.storage.known import SEAMS, Token, known_tokens

#: Tokens read in one transaction, and when no other is begun in it: a long one keeps the log from shrinking.
_TOKENS_AT_ONCE: Final = 200
_TRANSACTION_SECONDS: Final = 0.25

#: Trades of one token that wait in memory for their turn.
_MEMORY_BYTES: Final = 4 * 1024 * 1024
_ROWS_AT_ONCE: Final = 5_000

_IDS: Final = "SELECT id FROM tokens WHERE :wanted IS NULL OR mint IN (SELECT value FROM json_each(:wanted)) ORDER BY id"
_TOKENS: Final = """
    SELECT tokens.id, symbol, quotes.mint
    FROM tokens LEFT JOIN quotes ON quotes.id = quote_id WHERE tokens.id IN (SELECT value FROM json_each(?)) ORDER BY tokens.id
"""
_ACCOUNTS: Final = """
    SELECT tokens.mint, quotes.mint, migrated_signature IS NOT NULL
    FROM tokens LEFT JOIN quotes ON quotes.id = quote_id
    WHERE CASE WHEN :wanted IS NULL
        THEN tokens.mint IN (SELECT address FROM spells WHERE kind = 'token' AND ended_at_us IS NULL)
        ELSE tokens.mint IN (SELECT value FROM json_each(:wanted))
    END
"""
_TRADES: Final = """
    SELECT venue, is_buy, token_amount, quote_amount, lp_fee, by_mayhem_agent, slot, block_time, chain_key,
        virtual_token_reserves, virtual_quote_reserves, real_token_reserves, real_quote_reserves,
        state, pumpportal_at_us, helius_at_us, backfill_at_us
    FROM trades WHERE token_id = ? AND state <= 2 ORDER BY chain_key
"""
_CHANGES: Final = f"""
    SELECT venue, slot, block_time,
        before_virtual_token_reserves, before_virtual_quote_reserves, before_real_token_reserves, before_real_quote_reserves,
        virtual_token_reserves, virtual_quote_reserves, real_token_reserves, real_quote_reserves
    FROM reserve_changes WHERE token_id = ? AND slot > ? AND kind NOT IN {SEAMS} ORDER BY venue, slot, event_index
"""
_ANCHORS: Final = """
    SELECT venue, slot, asked_at_us, block_time, account_exists,
        virtual_token_reserves, virtual_quote_reserves, real_token_reserves, real_quote_reserves
    FROM anchors WHERE token_id = ? ORDER BY venue, slot
"""
_LAST_COMMIT: Final = "SELECT value FROM meta WHERE key = 'last_commit_us'"
_OPEN_GAPS: Final = "SELECT count(*) FROM gaps WHERE state IN ('open', 'filling')"

#: The arguments of :func:`pumpwatch.continuity.step_of_trade`, then state and when each source first had it (SOURCES).
TradeValues: TypeAlias = tuple[Any, ...]


class AnchorSeen(NamedTuple):
    """A row of ``anchors``, without what was concluded from it."""

    venue: int
    slot: int
    asked_at_us: int
    block_time: int | None
    exists: bool
    state: State


class Record(NamedTuple):
    """
    One token.

    Attributes:
        changes: Steps of its chain that are no trades, in order of venue and slot.
        baseline: What was pruned; None: nothing was. *begun*: its segments.
        trades: Once, in order of chain_key, those without one first; before the next record is asked for.
    """

    token: Token
    symbol: str | None
    quote_mint: str | None
    anchors: list[AnchorSeen]
    changes: list[Step]
    baseline: Baseline | None
    begun: list[Segment]
    trades: Iterator[TradeValues]


class Evidence:
    """Reads one database. Use :func:`open_evidence`; every method raises DatabaseError as that does."""

    def __init__(self, engine: sa.Engine, path: Path) -> None:
        self._engine = engine
        self._path = path

    def last_commit_us(self) -> int | None:
        """When the file was last written, in unix microseconds."""
        with translated(self._path), self._engine.connect() as connection:
            value = connection.exec_driver_sql(_LAST_COMMIT).scalar()
        return None if value is None else int(value)

    def gaps_open(self) -> int:
        """How many gaps nobody has closed."""
        with translated(self._path), self._engine.connect() as connection:
            return int(connection.exec_driver_sql(_OPEN_GAPS).scalar_one())

    def accounts(self, mints: Sequence[str] | None = None) -> list[tuple[str, str | None, bool]]:
        """Mint, quote mint and whether it has migrated, of *mints* or of all tokens that are watched now."""
        wanted = None if mints is None else msgspec.json.encode(list(mints)).decode()
        with translated(self._path), self._engine.connect() as connection:
            rows = connection.execute(sa.text(_ACCOUNTS), {"wanted": wanted})
            return [(mint, quote_mint, bool(is_graduated)) for mint, quote_mint, is_graduated in rows]

    def records(self, mints: Sequence[str] | None = None) -> Iterator[Record]:
        """Yield all tokens, or those of *mints*, the oldest first; each as it is in one moment."""
        wanted = None if mints is None else msgspec.json.encode(list(mints)).decode()
        with translated(self._path), self._engine.connect() as connection:
            numbers = list(connection.execute(sa.text(_IDS), {"wanted": wanted}).scalars())
        waiting = numbers[::-1]
        while waiting:
            with contextlib.ExitStack() as kept:
                yield from self._read(waiting, kept)

    def _read(self, waiting: list[int], kept: contextlib.ExitStack) -> list[Record]:
        """Take the next tokens from *waiting*, in one short transaction: what is made of them is made after it."""
        found = []
        with translated(self._path), self._engine.connect() as connection:
            connection.exec_driver_sql("BEGIN")
            driver = connection.connection.driver_connection
            assert driver is not None
            numbers = waiting[: -_TOKENS_AT_ONCE - 1 : -1]
            known = known_tokens(connection, numbers)
            named = driver.execute(_TOKENS, (msgspec.json.encode(numbers).decode(),)).fetchall()
            ends = time.monotonic() + _TRANSACTION_SECONDS
            del waiting[-len(numbers) :]
            for place, (number, symbol, quote_mint) in enumerate(named):
                if place and time.monotonic() > ends:
                    waiting += [number for number, *_ in reversed(named[place:])]
                    break
                found.append(_record_of(driver, number, known[number], symbol, quote_mint, kept.enter_context(_Kept())))
        return found


def _record_of(driver: Any, number: int, token: Token, symbol: str | None, quote_mint: str | None, kept: _Kept) -> Record:
    anchors = [
        AnchorSeen(venue, slot, asked, time, bool(exists), State(*state))
        for venue, slot, asked, time, exists, *state in driver.execute(_ANCHORS, (number,))
    ]
    baseline = baseline_of(driver.execute, number)
    changes = [
        step_of_change(venue, slot, time, State(*values[:4]), State(*values[4:]))
        for venue, slot, time, *values in driver.execute(_CHANGES, (number, -1 if baseline is None else baseline.slot))
    ]
    begun = [] if baseline is None else segments_of(driver.execute, number)
    kept.take(driver.execute(_TRADES, (number,)))
    return Record(token, symbol, quote_mint, anchors, changes, baseline, begun, kept.rows())


class _Kept:
    """The trades of one token for when the transaction is over: few in memory, many in a file that has no name."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=_MEMORY_BYTES)  # noqa: SIM115 - closed with the other tokens'

    def take(self, cursor: Any) -> None:
        """
        Read all rows, and keep them.

        Raises:
            DatabaseError: There is no room for them.

        """
        try:
            while rows := cursor.fetchmany(_ROWS_AT_ONCE):
                marshal.dump(rows, self._file)
            self._file.seek(0)
        except OSError as error:
            where = tempfile.gettempdir()
            raise DatabaseError(f"{where} has no room for temporary files ({error.strerror}): make some") from error

    def rows(self) -> Iterator[TradeValues]:
        """What was taken."""
        with contextlib.suppress(EOFError):
            while True:
                yield from marshal.load(self._file)  # noqa: S302 - what we wrote ourselves

    def __enter__(self) -> _Kept:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


@contextlib.contextmanager
def open_evidence(path: Path) -> Iterator[Evidence]:
    """
    Open the database at *path* for reading.

    Raises:
        DatabaseError: Missing, damaged, of another schema, or not to be read now.

    """
    engine = reading_engine(path)
    try:
        yield Evidence(engine, path)
    finally:
        engine.dispose()
