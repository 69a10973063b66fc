"""
PURE. One trade, one row: how reports of a trade from several sources become one set of rows.

All reports about one (token, signature) are judged together. Two kinds of fact exist: trades of the chain, known by their
event_index, and PumpPortal's messages, known by wallet, side, token amount and message_key. The rows are a function of the
*sets* of these facts, not of the order in which they came: any order, any duplication and any restart end in the same table.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator

import msgspec

from pumpwatch.storage.schema import DROPPED, FINALIZED, PROVISIONAL, SUPERSEDED


class Row(msgspec.Struct, gc=False):
    """One row of ``trades``, fields in the order of its columns (without the token and the signature, which the group shares)."""

    id: int | None
    wallet_id: int
    event_index: int | None
    state: int
    is_buy: int
    venue: int
    by_mayhem_agent: int
    slot: int | None
    block_time: int | None
    token_amount: int
    quote_amount: int | None
    trader_quote_amount: int | None
    quote_id: int | None
    protocol_fee: int | None
    creator_fee: int | None
    lp_fee: int | None
    virtual_token_reserves: int | None
    virtual_quote_reserves: int | None
    real_token_reserves: int | None
    real_quote_reserves: int | None
    chain_key: bytes | None
    message_key: int | None
    pumpportal_at_us: int | None
    helius_at_us: int | None
    backfill_at_us: int | None

    @property
    def alike(self) -> tuple[int, int, int]:
        """What a PumpPortal message and a trade of the chain must have in common to be the same trade."""
        return self.wallet_id, self.is_buy, self.token_amount


def merge(rows: Iterable[Row], *, settled: Callable[[], bool]) -> list[Row]:
    """
    Merge what is stored and what arrived about one (token, signature).

    Args:
        rows: Stored rows (with id) and arrived ones (without), in any order. A row of the chain has an event_index. They may be
            changed.
        settled: Tells whether all trades of the transaction are known from the chain, those of other tokens too.

    Returns:
        The rows that should be stored now, each id of a stored row among them: such a row replaces the stored one. (Facts are
        only added. A stored message finds its trade only when that trade is new, and gives it its row.) At most one row an
        event_index, and one a message.

    """
    chain: dict[int, Row] = {}
    messages: dict[tuple[tuple[int, int, int], int | None], Row] = {}
    is_dropped = False
    for row in rows:
        is_dropped |= row.state == DROPPED
        if row.event_index is not None:
            known = chain.get(row.event_index)
            chain[row.event_index] = row if known is None else _same_trade(known, row)
        for message in _messages_of(row):
            key = (message.alike, message.message_key)
            twin = messages.get(key)
            messages[key] = message if twin is None else _same_message(twin, message)
    free_ids = {row.id for row in messages.values() if row.event_index is None and row.id is not None}
    unpaired = _pair(chain, messages.values())
    result = list(chain.values())
    if unpaired:
        state = SUPERSEDED if settled() else DROPPED if is_dropped else PROVISIONAL
        result.extend(_alone(message, chain, state) for message in unpaired)
    kept = {row.id for row in result if row.id is not None}
    spare = iter(sorted(free_ids - kept))
    for row in sorted(result, key=_place):
        if row.id is None:
            # A row that stands for nothing any more; that of its message a trade of the chain has taken over already.
            row.id = next(spare, None)
    return result


def _messages_of(row: Row) -> Iterator[Row]:
    """The PumpPortal message that a row stands for or has absorbed, if any, as a row of its own."""
    if row.event_index is None:
        yield row
    elif row.pumpportal_at_us is not None:
        yield msgspec.structs.replace(
            row,
            id=None,
            event_index=None,
            state=PROVISIONAL,
            by_mayhem_agent=0,
            slot=None,
            block_time=None,
            quote_amount=None,
            trader_quote_amount=None,
            quote_id=None,
            protocol_fee=None,
            creator_fee=None,
            lp_fee=None,
            virtual_token_reserves=_reserve(row.message_key),
            virtual_quote_reserves=None,
            real_token_reserves=None,
            real_quote_reserves=None,
            chain_key=None,
            helius_at_us=None,
            backfill_at_us=None,
        )


def _pair(chain: dict[int, Row], messages: Iterable[Row]) -> list[Row]:
    """Give each message to its trade of the chain, by token reserve where that decides, else in order; return the others."""
    for row in chain.values():
        row.message_key = row.pumpportal_at_us = None
    trades = defaultdict(list)
    for event_index in sorted(chain):
        trades[chain[event_index].alike].append(chain[event_index])
    waiting = []
    for message in sorted(messages, key=_message_order):
        exact = [row for row in trades[message.alike] if row.virtual_token_reserves == message.message_key]
        if not _absorb(exact, message):
            waiting.append(message)
    return [message for message in waiting if not _absorb(trades[message.alike], message)]


def _absorb(candidates: list[Row], message: Row) -> bool:
    """Let the first of *candidates* that has no message take this one, and its row. Return whether there was one."""
    for row in candidates:
        if row.pumpportal_at_us is None:
            row.id = message.id if row.id is None else row.id
            row.message_key = message.message_key
            row.pumpportal_at_us = message.pumpportal_at_us
            return True
    return False


def _same_trade(one: Row, other: Row) -> Row:
    """Two reports of the same event: what was read from history wins over what came live, a later slot over an earlier."""
    winner, loser = (one, other) if _trust(one) >= _trust(other) else (other, one)
    return msgspec.structs.replace(
        winner,
        id=one.id if one.id is not None else other.id,
        # What was dropped and is told by the chain again is on it after all.
        state=max((row.state for row in (one, other) if row.state <= FINALIZED), default=winner.state),
        helius_at_us=_earliest(one.helius_at_us, other.helius_at_us),
        backfill_at_us=_earliest(one.backfill_at_us, other.backfill_at_us),
        pumpportal_at_us=winner.pumpportal_at_us if winner.pumpportal_at_us is not None else loser.pumpportal_at_us,
        message_key=winner.message_key if winner.pumpportal_at_us is not None else loser.message_key,
    )


def _same_message(one: Row, other: Row) -> Row:
    """The same message twice. One that a trade had absorbed knows no amounts any more: the fuller one wins."""
    winner, loser = (one, other) if (one.quote_amount or -1) >= (other.quote_amount or -1) else (other, one)
    return msgspec.structs.replace(
        winner,
        id=winner.id if winner.id is not None else loser.id,
        pumpportal_at_us=_earliest(one.pumpportal_at_us, other.pumpportal_at_us),
    )


def _alone(message: Row, chain: dict[int, Row], state: int) -> Row:
    """
    A message that no trade of the chain has taken. If it is like one, it may have been absorbed before and its amounts forgotten:
    then they are left out in any case, so that the order of arrival leaves no trace.
    """
    twins = [row for row in chain.values() if row.alike == message.alike]
    if not twins:
        return msgspec.structs.replace(message, state=state)
    return msgspec.structs.replace(
        message,
        state=state,
        venue=twins[0].venue,
        quote_amount=None,
        trader_quote_amount=None,
        quote_id=None,
        virtual_token_reserves=_reserve(message.message_key),
        real_token_reserves=None,
    )


def _reserve(message_key: int | None) -> int | None:
    return message_key if message_key is not None and message_key > 0 else None


def _trust(row: Row) -> tuple[bool, int, int]:
    return row.backfill_at_us is not None, row.slot or 0, row.state


def _message_order(row: Row) -> tuple[int, int, int, int]:
    return *row.alike, row.message_key if row.message_key is not None else 0


def _place(row: Row) -> tuple[bool, int]:
    return row.event_index is None, row.event_index or 0


def _earliest(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return one if other is None else other
    return min(one, other)


def count(total: list[int], state: int, is_buy: int, quote_amount: int | None, *, sign: int = 1) -> None:
    """Add what a row means for its token to *total*: trades, buys, volume, provisional_volume, unknown_amounts."""
    if state > FINALIZED:
        return
    total[0] += sign
    total[1] += sign * is_buy
    if quote_amount is None:
        total[4] += sign
    else:
        total[3 if state == PROVISIONAL else 2] += sign * quote_amount
