"""
Old trades out: in small steps, each one transaction, of one token from its beginning on, leaving its baseline.

What goes is a closed prefix: whole minutes of the chain's clock, all of them confirmed, with no open gap before their end.
Everything that is shown of the token but its single trades stays as it was.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import msgspec
import sqlalchemy as sa

from pumpwatch.continuity import Chain, State, step_of_trade
from pumpwatch.figures import LARGEST, MINUTE_SECONDS, Position, Traded
from pumpwatch.storage.baseline import (
    BASELINE_COLUMNS,
    POSITION,
    SEGMENT_COLUMNS,
    Ask,
    Baseline,
    asking,
    baseline_of,
    positions_of,
    segments_of,
)
from pumpwatch.storage.chains import step_of_change
from pumpwatch.storage.identity import count
from pumpwatch.storage.schema import CONFIRMED, FINALIZED

#: An open gap is given up when what is kept begins behind its end, and it has ended for so long; before that, it is waited for.
GAP_PATIENCE_SECONDS: Final = 86_400

#: A token that has no trade left keeps no second copy of its positions, if they are so few: else making it again takes too long.
_FEW_WALLETS: Final = 2_000

_OF_CHAIN: Final = f"state IN ({CONFIRMED}, {FINALIZED})"
_ROWS: Final = f"""
    SELECT id, state, venue, is_buy, token_amount, quote_amount, lp_fee, by_mayhem_agent, slot, block_time, chain_key,
        virtual_token_reserves, virtual_quote_reserves, real_token_reserves, real_quote_reserves, wallet_id, trader_quote_amount
    FROM trades WHERE token_id = ? AND chain_key IS NOT NULL AND {_OF_CHAIN} ORDER BY chain_key, id LIMIT ?
"""
_UNPLACED: Final = """
    SELECT id, state, is_buy, quote_amount, slot, coalesce(pumpportal_at_us, helius_at_us, backfill_at_us) FROM trades
    WHERE token_id = ? AND chain_key IS NULL AND state <> 0
"""
_FIRST_OF_POOL: Final = f"""
    SELECT slot, block_time FROM trades WHERE token_id = ? AND chain_key >= x'01' AND {_OF_CHAIN} ORDER BY chain_key LIMIT 1
"""
_CHANGES: Final = """
    SELECT venue, slot, block_time,
        before_virtual_token_reserves, before_virtual_quote_reserves, before_real_token_reserves, before_real_quote_reserves,
        virtual_token_reserves, virtual_quote_reserves, real_token_reserves, real_quote_reserves
    FROM reserve_changes WHERE token_id = ? AND slot > ? AND slot <= ? ORDER BY slot, event_index
"""
_TOKEN: Final = """
    SELECT mint, completeness, complete_from, proven_to_slot, reason, wallets,
        EXISTS (SELECT 1 FROM spells WHERE kind = 'token' AND address = tokens.mint AND ended_at_us IS NULL) AS is_watched
    FROM tokens WHERE id = ?
"""
_OF_OPEN_GAPS: Final = "FROM gaps WHERE state IN ('open', 'filling') AND (mint = ? OR mint IS NULL)"
_OLDEST_GAP: Final = f"SELECT min(from_us) {_OF_OPEN_GAPS}"
#: Ids of trades are given once: the next one follows the largest that is there.
_NEWEST: Final = "SELECT id, token_id, block_time FROM trades ORDER BY id DESC LIMIT 1"
_IS_LEFT: Final = "SELECT 1 FROM trades WHERE token_id = ? LIMIT 1"
_FORGET_POSITIONS: Final = "DELETE FROM baseline_positions WHERE token_id = ?"
#: For those who read the record: up to this id, and this time (unix seconds), trades may be gone.
_SET_PRUNED_TO: Final = """
    INSERT INTO meta (key, value) VALUES (?, ?)
    ON CONFLICT DO UPDATE SET value = excluded.value WHERE CAST(value AS INTEGER) < CAST(excluded.value AS INTEGER)
"""
_GIVE_UP: Final = f"""
    UPDATE gaps SET state = 'unfillable', reason = 'its time is no longer kept: [retention]', closed_at_us = ?
    WHERE id IN (SELECT id {_OF_OPEN_GAPS} AND to_us < ? LIMIT 100)
"""
_DELETE: Final = "DELETE FROM trades WHERE id IN (SELECT value FROM json_each(?))"
_SET_BASELINE: Final = "INSERT OR REPLACE INTO baselines ({}) VALUES ({})".format(
    BASELINE_COLUMNS, ", ".join("?" * len(Baseline.__struct_fields__))
)
_SET_POSITION: Final = "INSERT OR REPLACE INTO baseline_positions (token_id, wallet_id, {}) VALUES ({})".format(
    ", ".join(POSITION), ", ".join("?" * (len(POSITION) + 2))
)
_INSERT_SEGMENT: Final = f"INSERT INTO baseline_segments (token_id, {SEGMENT_COLUMNS}) VALUES ({', '.join('?' * 17)})"
_UPDATE_SEGMENT: Final = f"UPDATE baseline_segments SET ({SEGMENT_COLUMNS}) = ({', '.join('?' * 16)}) WHERE id = ?"
_DELETE_SEGMENT: Final = "DELETE FROM baseline_segments WHERE id = ?"

Blocked: TypeAlias = Literal["an open gap", "not proven yet", "its trades are not in order", "the newest trade stays"]


class Pruned(NamedTuple):
    """
    What came of one step.

    Attributes:
        rows: Taken out.
        is_done: Nothing more of this token is old enough, or what is may not go (*blocked*).
    """

    rows: int
    is_done: bool
    blocked: Blocked | None = None


def prune_token(connection: sa.Connection, token_id: int, *, before: int, rows: int, now_us: int) -> Pruned:
    """
    Take the first trades of a token out, about *rows* of them, if they were made before the minute of *before* (unix seconds).

    A minute goes as a whole, so it may be more. In a transaction of the caller, who holds the writing connection.
    """
    ask = asking(connection)
    token = _Token(*_one(ask(_TOKEN, (token_id,))))
    newest = _Newest(*_one(ask(_NEWEST, ())))
    until, waits_for = _until(ask, token, before=before, now_us=now_us)
    before, until = (seconds - seconds % MINUTE_SECONDS for seconds in (before, until))
    prefix, is_done, is_in_order = _prefix(ask, token_id, until, _proven(token), rows, newest=newest.id)
    if not is_in_order:
        return Pruned(0, is_done=True, blocked="its trades are not in order")
    removed = _take_out(connection, token_id, token, prefix, newest=newest.id, now_us=now_us) if prefix else 0
    blocked = _what_blocks(ask, token_id, before, waits_for, newest) if is_done or not prefix else None
    return Pruned(removed, is_done=is_done or not prefix, blocked=blocked)


class _Token(NamedTuple):
    """As :data:`_TOKEN` has it."""

    mint: str
    completeness: str
    complete_from: int | None
    proven_to_slot: int | None
    reason: str | None
    wallets: int
    is_watched: int


class _Newest(NamedTuple):
    """The newest trade of all, which stays."""

    id: int
    token_id: int
    block_time: int | None


class _Row(NamedTuple):
    """A trade, as :data:`_ROWS` has it."""

    id: int
    state: int
    venue: int
    is_buy: int
    token_amount: int
    quote_amount: int | None
    lp_fee: int | None
    by_mayhem_agent: int
    slot: int
    block_time: int | None
    chain_key: bytes
    virtual_token_reserves: int
    virtual_quote_reserves: int
    real_token_reserves: int | None
    real_quote_reserves: int | None
    wallet_id: int
    trader_quote_amount: int | None


def _one(rows: Iterable[Any]) -> Any:
    """The first row of those that there must be."""
    return next(iter(rows))


def _until(ask: Ask, token: _Token, *, before: int, now_us: int) -> tuple[int, Blocked | None]:
    """
    Up to which second trades may go: those behind the beginning of an open gap stay, for as long as it is waited for.

    Of a gap that lasts, or ended lately, only what is older than that is given up: the rest may still be fetched.
    """
    no_longer = min(before, now_us // 1_000_000 - GAP_PATIENCE_SECONDS)
    ask(_GIVE_UP, (now_us, token.mint, no_longer * 1_000_000))
    oldest_us = _one(ask(_OLDEST_GAP, (token.mint,)))[0]
    if oldest_us is None or oldest_us >= before * 1_000_000:
        return before, None
    until = max(oldest_us // 1_000_000, no_longer)
    return until, "an open gap" if until < before else None


def _proven(token: _Token) -> int:
    """Up to which slot trades may go: what is watched waits for its proof, if it gets one."""
    if token.is_watched and token.completeness in ("complete", "since"):
        return int(token.proven_to_slot or -1)
    return LARGEST


def _what_blocks(ask: Ask, token_id: int, before: int, waits_for: Blocked | None, newest: _Newest) -> Blocked | None:
    """Why trades that are old enough are still there; None: there are none."""
    first = next(map(_Row._make, ask(_ROWS, (token_id, 1))), None)
    if first is None or first.block_time is None or first.block_time >= before:
        return None
    is_newest = newest.token_id == token_id and (newest.block_time or 0) // MINUTE_SECONDS == first.block_time // MINUTE_SECONDS
    return waits_for or ("the newest trade stays" if is_newest else "not proven yet")


def _prefix(ask: Ask, token_id: int, before: int, last_slot: int, most: int, *, newest: int) -> tuple[list[_Row], bool, bool]:
    """
    Whole minutes from the beginning on, *most* rows of them, or a single one that has more; not the row *newest*.

    Also whether that is all that may go (before a second, up to a slot), and whether slots and times are in order.
    """
    while True:
        found = list(map(_Row._make, ask(_ROWS, (token_id, most + 1))))
        if any(row.block_time is None for row in found):
            return [], True, False
        minutes = [(row.block_time or 0) // MINUTE_SECONDS for row in found]
        ends = [place for place in range(1, len(found)) if minutes[place] != minutes[place - 1]]
        if len(found) <= most:
            ends.append(len(found))
        if not ends:
            most *= 4
            continue
        stays = next((place for place, row in enumerate(found) if row.id == newest), len(found))
        fit = (
            end
            for end in ends
            if end <= stays and minutes[end - 1] < before // MINUTE_SECONDS and found[end - 1].slot <= last_slot
        )
        end = max(fit, default=0)
        is_done = end < ends[-1] or len(found) <= most
        is_in_order = end == 0 or (_is_in_order([row.slot for row in found], end) and _is_in_order(minutes, end))
        if end and found[end - 1].venue == 0:
            of_pool = next(iter(ask(_FIRST_OF_POOL, (token_id,))), None)
            is_in_order = is_in_order and (of_pool is None or of_pool[0] > found[end - 1].slot)
        return found[:end], is_done, is_in_order


def _is_in_order(numbers: Sequence[int], end: int) -> bool:
    """Whether those before *end* never go back, and all behind are larger."""
    before = numbers[:end]
    return all(map(operator.le, before, before[1:])) and min(numbers[end:], default=LARGEST) > before[-1]


def _take_out(
    connection: sa.Connection, token_id: int, token: _Token, prefix: Sequence[_Row], *, newest: int, now_us: int
) -> int:
    """Leave a baseline, and delete. Returns how many rows."""
    ask = asking(connection)
    slot, minute = prefix[-1].slot, max(row.block_time or 0 for row in prefix) // MINUTE_SECONDS + 1
    known = baseline_of(ask, token_id)
    baseline = known or Baseline(token_id, slot, minute, now_us)
    total = [baseline.trades, baseline.buys, baseline.volume, 0, baseline.unknown_amounts]
    wallets = {row.wallet_id for row in prefix}
    positions = {} if known is None else positions_of(ask, token_id, wallets)
    chain = Chain([] if known is None else segments_of(ask, token_id))
    _fold(prefix, baseline, total, positions, chain)
    from_slot = -1 if known is None else known.slot
    for venue, of_slot, time, *reserves in ask(_CHANGES, (token_id, from_slot, slot)):
        chain.add(step_of_change(venue, of_slot, time, State(*reserves[:4]), State(*reserves[4:])))
    gone = [row.id for row in prefix]
    for number, state, is_buy, quote_amount in _unplaced(ask, token_id, slot=slot, until_us=minute * MINUTE_SECONDS * 1_000_000):
        if number != newest:
            count(total, state, is_buy, quote_amount)
            gone.append(number)
    ask(_DELETE, (msgspec.json.encode(gone).decode(),))
    baseline.trades, baseline.buys, baseline.volume, _, baseline.unknown_amounts = (min(number, LARGEST) for number in total)
    baseline.slot, baseline.minute, baseline.pruned_at_us = slot, minute, now_us
    baseline.last_id = max(baseline.last_id, *gone)
    baseline.completeness, baseline.complete_from = token.completeness, token.complete_from
    baseline.proven_to_slot, baseline.reason = token.proven_to_slot, token.reason
    # Their positions would be the same numbers once more. Large ones have them all the same: to move them takes its time.
    has_none_left = next(iter(ask(_IS_LEFT, (token_id,))), None) is None
    baseline.is_whole = int(has_none_left and (known is None or token.wallets <= _FEW_WALLETS))
    if not baseline.is_whole:
        values = [(token_id, wallet, *(getattr(position, name) for name in POSITION)) for wallet, position in positions.items()]
        connection.exec_driver_sql(_SET_POSITION, values)
    elif known is not None:
        ask(_FORGET_POSITIONS, (token_id,))
    ask(_SET_BASELINE, msgspec.structs.astuple(baseline))
    ask(_SET_PRUNED_TO, ("pruned_to_id", str(baseline.last_id)))
    ask(_SET_PRUNED_TO, ("pruned_until", str(minute * MINUTE_SECONDS)))
    _write_segments(ask, token_id, chain)
    return len(gone)


def _fold(prefix: Sequence[_Row], baseline: Baseline, total: list[int], positions: dict[int, Position], chain: Chain) -> None:
    """Add the trades to all that is kept of them."""
    prices = [price for price in (baseline.price_high, baseline.price_low) if price is not None]
    for row in prefix:
        trade = _traded(row)
        position = positions.get(row.wallet_id)
        if position is None:
            position = positions[row.wallet_id] = Position()
        position.add(trade)
        price = trade.price
        if price is not None:
            prices.append(price)
        count(total, row.state, row.is_buy, row.quote_amount)
        step = step_of_trade(*row[2:15])
        if step is not None:
            chain.add(step)
    baseline.price_high, baseline.price_low = max(prices, default=None), min(prices, default=None)
    first = min(row.block_time for row in prefix if row.block_time is not None)
    baseline.first_trade_at = first if baseline.first_trade_at is None else min(first, baseline.first_trade_at)
    baseline.timed += len(prefix)
    last = prefix[-1]
    baseline.last_trade_at, baseline.last_key, baseline.last_venue = last.block_time, last.chain_key, last.venue
    baseline.last_by_mayhem_agent = last.by_mayhem_agent
    baseline.last_virtual_token_reserves, baseline.last_virtual_quote_reserves = last[11:13]
    baseline.last_real_token_reserves, baseline.last_real_quote_reserves = last[13:15]


def _unplaced(ask: Ask, token_id: int, *, slot: int, until_us: int) -> Iterator[tuple[int, int, int, int | None]]:
    """Rows without a place in the chain's order that go with the others: id, state, is_buy, quote_amount."""
    for number, state, is_buy, quote_amount, of_slot, at_us in ask(_UNPLACED, (token_id,)):
        never_was = state not in (CONFIRMED, FINALIZED) and at_us is not None and at_us < until_us
        if never_was if of_slot is None else of_slot <= slot:
            yield number, state, is_buy, quote_amount


def _traded(row: _Row) -> Traded:
    return Traded(
        row.chain_key,
        row.wallet_id,
        row.is_buy,
        row.token_amount,
        row.quote_amount,
        row.trader_quote_amount,
        row.virtual_token_reserves,
        row.virtual_quote_reserves,
        row.block_time,
    )


def _write_segments(ask: Ask, token_id: int, chain: Chain) -> None:
    changed, gone = chain.take_changes()
    for segment in changed:
        values = (
            *(segment.venue, segment.trades, segment.first_key, segment.last_key, segment.first_slot, segment.last_slot),
            *(segment.first_time, segment.last_time, *segment.before, *segment.after),
        )
        if segment.id is None:
            ask(_INSERT_SEGMENT, (token_id, *values))
        else:
            ask(_UPDATE_SEGMENT, (*values, segment.id))
    for number in gone:
        ask(_DELETE_SEGMENT, (number,))
