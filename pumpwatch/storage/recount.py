"""
Every number that is kept, counted again from the trades, and compared with what is stored.

The folds are those of ``figures.py``; what the writer keeps as it goes must be what they give. A token's trades and its figures
are read in one transaction, so that a running worker is no difference.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from pumpwatch.continuity import Segment
from pumpwatch.figures import LARGEST, MINUTE_SECONDS, Minute, Position, Traded
from pumpwatch.storage.baseline import Ask, Baseline, baseline_of, positions_of, segments_of
from pumpwatch.storage.chains import Chains
from pumpwatch.storage.database import reading_engine, translated
from pumpwatch.storage.figures import rebuild
from pumpwatch.storage.identity import count
from pumpwatch.storage.schema import PROVISIONAL

#: A transaction that lasts keeps the log from shrinking: after so long the next token is read in a new one.
_TRANSACTION_SECONDS: Final = 0.5

_TRADED: Final = Traded._fields
_POSITION: Final = Position.__struct_fields__
_MINUTE: Final = Minute.__struct_fields__

_KEY: Final = _TRADED.index("chain_key")
_TOKENS: Final = "SELECT id, trades FROM tokens ORDER BY id"
_TRADES: Final = f"""
    SELECT state, venue, real_token_reserves, {", ".join(_TRADED)} FROM trades
    WHERE token_id = ? AND state <= 2 ORDER BY chain_key, id
"""
_POSITIONS: Final = f"SELECT wallet_id, {', '.join(_POSITION)} FROM positions WHERE token_id = ?"
_MINUTES: Final = f"SELECT minute, {', '.join(_MINUTE)} FROM minutes WHERE token_id = ? AND minute >= ?"
_MINUTES_BEFORE: Final = "SELECT ifnull(sum(trades), 0) FROM minutes WHERE token_id = ? AND minute < ?"
_LINKED: Final = "SELECT venue, sum(trades) FROM segments WHERE token_id = ? GROUP BY venue HAVING sum(trades)"
_WALLET: Final = "SELECT address FROM wallets WHERE id = ?"
_IS_PENDING: Final = "SELECT 1 FROM meta WHERE key IN ('to_link', 'to_figure')"

#: In the order of :attr:`Counted.total`.
_TOTALS: Final = ("trades", "buys", "volume", "provisional_volume", "unknown_amounts")
_TOKEN: Final = (
    *_TOTALS,
    *("wallets", "price_high", "price_low", "first_trade_at", "last_trade_at", "last_key", "last_venue"),
    *("last_virtual_token_reserves", "last_virtual_quote_reserves", "last_real_token_reserves"),
)
_STORED: Final = f"SELECT mint, {', '.join(_TOKEN)} FROM tokens WHERE id = ?"
_SET_TOTALS: Final = f"UPDATE tokens SET {', '.join(f'{name} = ?' for name in _TOTALS)} WHERE id = ?"


class Difference(msgspec.Struct, frozen=True):
    """
    One number that is not what the trades say.

    Attributes:
        row: Of *table*: a wallet's address, a minute (unix time / 60) or a venue (0 curve, 1 pool); None: the token's only one.
        column: None: the row as a whole is missing (*stored* None), or nothing of it should be there (*expected* None).
        stored: What the database has; a key in hexadecimal digits. *expected*: what its trades give.
    """

    mint: str
    table: str
    row: str | int | None
    column: str | None
    stored: Any
    expected: Any


class Counted:
    """The figures of one token: :meth:`add` its trades in the chain's order, those without a place in it first."""

    def __init__(self) -> None:
        #: What was pruned, and is counted as its baseline says; None: nothing was.
        self.baseline: Baseline | None = None
        self.total = [0, 0, 0, 0, 0]
        self.positions: dict[int, Position] = {}
        self.minutes: dict[int, Minute] = {}
        #: Trades that can be linked, by venue.
        self.linked: dict[int, int] = {}
        self._high: float | None = None
        self._low: float | None = None
        self._first_at: int | None = None
        self._last: tuple[object, ...] = (None,) * 6

    def begin(self, baseline: Baseline, positions: dict[int, Position], segments: list[Segment]) -> None:
        """Begin with what trades that are gone added up to."""
        self.baseline = baseline
        self.total = [baseline.trades, baseline.buys, baseline.volume, 0, baseline.unknown_amounts]
        self.positions = positions
        for segment in segments:
            self.linked[segment.venue] = self.linked.get(segment.venue, 0) + segment.trades
        self._high, self._low, self._first_at = baseline.price_high, baseline.price_low, baseline.first_trade_at
        reserves = (baseline.last_virtual_token_reserves, baseline.last_virtual_quote_reserves, baseline.last_real_token_reserves)
        self._last = (baseline.last_trade_at, baseline.last_key, baseline.last_venue, *reserves)

    def add(self, state: int, venue: int, real_token_reserves: int | None, values: tuple[Any, ...]) -> None:
        """Add one trade; *values*: the fields of :class:`Traded`."""
        trade = Traded(*values)
        count(self.total, state, trade.is_buy, trade.quote_amount)
        if state != PROVISIONAL and values[_KEY] is None:
            return  # not told as of which slot
        position = self.positions.get(trade.wallet_id)
        if position is None:
            position = self.positions[trade.wallet_id] = Position()
        if state == PROVISIONAL:
            position.add_provisional(is_buy=trade.is_buy, token_amount=trade.token_amount, sign=1)
            return
        position.add(trade)
        price, at = trade.price, trade.block_time
        if price is not None:
            self._high = price if self._high is None or price > self._high else self._high
            self._low = price if self._low is None or price < self._low else self._low
        if at is not None:
            self._first_at = at if self._first_at is None or at < self._first_at else self._first_at
            minute = self.minutes.get(at // MINUTE_SECONDS)
            if minute is None:
                minute = self.minutes[at // MINUTE_SECONDS] = Minute.begun_by(trade)
            minute.add(trade)
        if trade.quote_amount is not None:
            self.linked[venue] = self.linked.get(venue, 0) + 1
        reserves = (trade.virtual_token_reserves, trade.virtual_quote_reserves, real_token_reserves)
        self._last = (at, trade.chain_key, venue, *reserves)

    @property
    def totals(self) -> list[int]:
        """As the columns of ``tokens`` hold them."""
        return [max(-LARGEST, min(number, LARGEST)) for number in self.total]

    @property
    def of_token(self) -> tuple[object, ...]:
        """What the columns of ``tokens`` should hold."""
        return (*self.totals, len(self.positions), self._high, self._low, self._first_at, *self._last)


def count_token(ask: Ask, token_id: int) -> Counted:
    """Count all trades of one token, those that are gone as its baseline says."""
    counted = Counted()
    baseline = baseline_of(ask, token_id)
    if baseline is not None:
        counted.begin(baseline, positions_of(ask, token_id), segments_of(ask, token_id))
    for state, venue, real_token_reserves, *values in ask(_TRADES, (token_id,)):
        counted.add(state, venue, real_token_reserves, tuple(values))
    return counted


def compare_token(ask: Ask, token_id: int) -> tuple[Counted, list[Difference]]:
    """Return what the trades of one token give, and where something else is stored; in one transaction of the caller."""
    counted = count_token(ask, token_id)
    mint, *stored = next(iter(ask(_STORED, (token_id,))))
    found = _differing(mint, "tokens", None, _TOKEN, stored, counted.of_token)

    def name(wallet_id: object) -> str | int | None:
        row = next(iter(ask(_WALLET, (wallet_id,))), None)
        return f"wallet {wallet_id}" if row is None else str(row[0])

    found += _compare_rows(mint, "positions", _POSITION, ask(_POSITIONS, (token_id,)), counted.positions, name)
    baseline = counted.baseline
    since = 0 if baseline is None else baseline.minute
    found += _compare_rows(mint, "minutes", _MINUTE, ask(_MINUTES, (token_id, since)), counted.minutes, lambda minute: minute)
    if baseline is not None:
        [(before,)] = ask(_MINUTES_BEFORE, (token_id, since))
        found += _differing(mint, "baselines", None, ("timed",), (baseline.timed,), (before,))
    linked: dict[int, int] = dict(iter(ask(_LINKED, (token_id,))))
    for venue in sorted(linked.keys() | counted.linked.keys()):
        found += _differing(mint, "segments", venue, ("trades",), (linked.get(venue, 0),), (counted.linked.get(venue, 0),))
    return counted, found


def _compare_rows(
    mint: str,
    table: str,
    columns: tuple[str, ...],
    stored: Iterable[tuple[Any, ...]],
    expected: dict[int, Any],
    name: Callable[[Any], str | int | None],
) -> list[Difference]:
    """Compare the rows of one table; the *stored* ones are read to the end before *name* is asked."""
    missing = dict(expected)
    found: list[Difference] = []
    wrong = []
    for key, *values in stored:
        row = missing.pop(key, None)
        if row is None or tuple(values) != msgspec.structs.astuple(row):
            wrong.append((key, values, row))
    for key, values, row in wrong:
        if row is None:
            found.append(Difference(mint, table, name(key), None, "a row", None))
        else:
            found += _differing(mint, table, name(key), columns, values, msgspec.structs.astuple(row))
    return found + [Difference(mint, table, name(key), None, None, "a row") for key in missing]


def _differing(
    mint: str,
    table: str,
    row: str | int | None,
    columns: Iterable[str],
    stored: Iterable[object],
    expected: Iterable[object],
) -> list[Difference]:
    return [
        Difference(mint, table, row, column, _shown(one), _shown(other))
        for column, one, other in zip(columns, stored, expected, strict=True)
        if one != other
    ]


def _shown(value: object) -> object:
    return value.hex() if isinstance(value, bytes) else value


class Step(msgspec.Struct, frozen=True):
    """What was counted of one token, and what differs."""

    trades: int
    positions: int
    minutes: int
    differences: list[Difference]


class Recount:
    """Reads one database; every method raises what :func:`reading_engine` does."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._engine = reading_engine(path)

    def close(self) -> None:
        """Give the connections back. Idempotent."""
        self._engine.dispose()

    @property
    def is_pending(self) -> bool:
        """An update of the file has not been done to its end: there are no figures yet."""
        with translated(self._path), self._engine.connect() as connection:
            return connection.exec_driver_sql(_IS_PENDING).first() is not None

    def tokens(self) -> dict[int, int]:
        """All tokens by id, with the number of their trades as it is stored."""
        with translated(self._path), self._engine.connect() as connection:
            return dict(iter(_ask(connection)(_TOKENS, ())))

    def steps(self, token_ids: Iterable[int]) -> Iterator[tuple[int, Step]]:
        """Count one token after the other."""
        waiting = list(token_ids)[::-1]
        while waiting:
            ends = time.monotonic() + _TRANSACTION_SECONDS
            with translated(self._path), self._engine.connect() as connection:
                connection.exec_driver_sql("BEGIN")
                ask = _ask(connection)
                while waiting and time.monotonic() < ends:
                    token_id = waiting.pop()
                    counted, found = compare_token(ask, token_id)
                    yield token_id, Step(counted.total[0], len(counted.positions), len(counted.minutes), found)


def repair(connection: sa.Connection, token_id: int) -> None:
    """Make all figures of one token anew from its trades, in a transaction of the caller, who holds the writer's lock."""
    rebuild(connection, token_id)
    connection.exec_driver_sql(_SET_TOTALS, (*count_token(_ask(connection), token_id).totals, token_id))
    chains = Chains()
    chains.forget(connection)
    chains.load(connection, (token_id,))
    chains.rebuild(connection, token_id)
    chains.flush(connection)


def _ask(connection: sa.Connection) -> Ask:
    """Rows as the driver has them: SQLAlchemy's cost more than the fold."""
    driver = connection.connection.driver_connection
    assert driver is not None

    def ask(statement: str, parameters: tuple[object, ...]) -> Iterable[tuple[Any, ...]]:
        rows: Iterable[tuple[Any, ...]] = driver.execute(statement, parameters)
        return rows

    return ask
