"""
What is kept of trades that were pruned: where everything that is made of trades begins again.

A token's trades are gone up to one slot, which ends a minute of the chain's clock. Its baseline has what they added up to; what
is folded anew begins with it, and goes on with the trades that are left.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeAlias

import msgspec
import sqlalchemy as sa

from pumpwatch.continuity import Segment, State
from pumpwatch.figures import MINUTE_SECONDS, Position

#: Of a position: what trades that the chain told add up to. Provisional ones are never pruned.
POSITION: Final = tuple(name for name in Position.__struct_fields__ if not name.startswith("provisional_"))

#: One statement and its rows, whichever connection it is.
Ask: TypeAlias = Callable[[str, tuple[object, ...]], Iterable[Any]]

SEGMENT_COLUMNS: Final = (
    "venue, trades, first_key, last_key, first_slot, last_slot, first_time, last_time, "
    "before_virtual_token, before_virtual_quote, before_real_token, before_real_quote, "
    "after_virtual_token, after_virtual_quote, after_real_token, after_real_quote"
)


class Baseline(msgspec.Struct, gc=False):
    """
    A row of ``baselines``, in its order.

    Attributes:
        slot: The last slot whose trades are gone.
        minute: The first one (unix time / 60) whose trades are all still there.
        last_id: The largest id of those rows of ``trades`` that are gone.
        is_whole: No trade is left: what the trades that are gone add up to, table ``positions`` has, and ``baseline_positions``
            has nothing, until there is a trade again.
        timed: How many of the *trades* are in a minute.
        last_key: And so on: of the last of them in the chain's order.
    """

    token_id: int
    slot: int
    minute: int
    pruned_at_us: int
    last_id: int = 0
    is_whole: int = 0
    late: int = 0
    trades: int = 0
    buys: int = 0
    volume: int = 0
    unknown_amounts: int = 0
    timed: int = 0
    price_high: float | None = None
    price_low: float | None = None
    first_trade_at: int | None = None
    last_trade_at: int | None = None
    last_key: bytes | None = None
    last_venue: int | None = None
    last_by_mayhem_agent: int | None = None
    last_virtual_token_reserves: int | None = None
    last_virtual_quote_reserves: int | None = None
    last_real_token_reserves: int | None = None
    last_real_quote_reserves: int | None = None
    completeness: str = "unproven"
    complete_from: int | None = None
    proven_to_slot: int | None = None
    reason: str | None = None

    @property
    def state(self) -> State:
        """After the last of its trades, as far as it can be relied on."""
        quote = None if self.last_by_mayhem_agent else self.last_virtual_quote_reserves
        return State(self.last_virtual_token_reserves, quote, self.last_real_token_reserves, self.last_real_quote_reserves)


BASELINE_COLUMNS: Final = ", ".join(Baseline.__struct_fields__)
_BASELINE: Final = f"SELECT {BASELINE_COLUMNS} FROM baselines WHERE token_id = ?"
_SEGMENTS: Final = f"SELECT id, {SEGMENT_COLUMNS} FROM baseline_segments WHERE token_id = ? ORDER BY id"
_NUMBERS: Final = ", ".join(POSITION)
_IS_WHOLE: Final = "SELECT 1 FROM baselines WHERE token_id = ? AND is_whole"
_OF_WALLETS: Final = "AND wallet_id IN (SELECT value FROM json_each(?))"
_BOUNDS: Final = "SELECT token_id, slot, minute, is_whole FROM baselines WHERE token_id IN (SELECT value FROM json_each(?))"
_BEGIN_AGAIN: Final = (
    (
        f"INSERT INTO baseline_positions (token_id, wallet_id, {_NUMBERS}) "
        f"SELECT token_id, wallet_id, {_NUMBERS} FROM positions WHERE token_id = ?"
    ),
    "UPDATE baselines SET is_whole = 0 WHERE token_id = ?",
)


def asking(connection: sa.Connection) -> Ask:
    """Ask *connection*, in its transaction. Rows as the driver has them: SQLAlchemy's cost more than what is done with them."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    return driver.execute


def baseline_of(ask: Ask, token_id: int) -> Baseline | None:
    """The baseline of a token; None: nothing of it was pruned."""
    row = next(iter(ask(_BASELINE, (token_id,))), None)
    return None if row is None else Baseline(*row)


class Bounds:
    """Up to where the trades of some tokens are gone: what comes of these slots and minutes is late."""

    def __init__(self, connection: sa.Connection, token_ids: Iterable[int]) -> None:
        rows = asking(connection)(_BOUNDS, (msgspec.json.encode(list(token_ids)).decode(),))
        self._connection = connection
        self._bounds: dict[int, tuple[int, int]] = {}
        self._whole: set[int] = set()
        for token_id, slot, minute, is_whole in rows:
            self._bounds[token_id] = (slot, minute * MINUTE_SECONDS)
            if is_whole:
                self._whole.add(token_id)

    def is_late(self, token_id: int, slot: int | None, block_time: int | None) -> bool:
        """Whether an event of the chain belongs to what is gone. Without a slot nobody can tell: it does not."""
        bounds = self._bounds.get(token_id) if self._bounds else None
        if bounds is None or slot is None:
            return False
        return slot <= bounds[0] or (block_time is not None and block_time < bounds[1])

    def begin_again(self, token_id: int) -> None:
        """A trade is about to be written of this token: what was before it is kept, if there was no trade any more."""
        if token_id in self._whole:
            self._whole.remove(token_id)
            for statement in _BEGIN_AGAIN:
                self._connection.exec_driver_sql(statement, (token_id,))


def segments_of(ask: Ask, token_id: int) -> list[Segment]:
    """The segments of what is gone; their ids are those of ``baseline_segments``."""
    found = []
    for row in ask(_SEGMENTS, (token_id,)):
        number, venue, trades, first_key, last_key, first_slot, last_slot, first_time, last_time, *ends = row
        before, after = State(*ends[:4]), State(*ends[4:])
        found.append(
            Segment(venue, trades, first_key, last_key, first_slot, last_slot, first_time, last_time, before, after, number)
        )
    return found


def positions_of(ask: Ask, token_id: int, wallet_ids: Iterable[int] | None = None) -> dict[int, Position]:
    """The positions of all wallets, or of some, as they were when the last trade that is gone was made."""
    table = "positions" if any(ask(_IS_WHOLE, (token_id,))) else "baseline_positions"
    statement = f"SELECT wallet_id, {_NUMBERS} FROM {table} WHERE token_id = ?"
    if wallet_ids is None:
        rows = ask(statement, (token_id,))
    else:
        rows = ask(f"{statement} {_OF_WALLETS}", (token_id, msgspec.json.encode(list(wallet_ids)).decode()))
    return {wallet: Position(**dict(zip(POSITION, values, strict=True))) for wallet, *values in rows}
