"""Trades that a record no longer holds: what their baselines add up to, compared with the truth."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Sequence

from pumpwatch.simulator.truth import TradeRow

_BASELINES = """
    SELECT tokens.mint, baselines.slot, baselines.trades, baselines.buys, baselines.volume
    FROM baselines JOIN tokens ON tokens.id = token_id
"""


def pruned(connection: sqlite3.Connection, ledger: Sequence[TradeRow]) -> tuple[set[int], list[str]]:
    """
    Return the numbers of the trades that baselines account for, and what is wrong with those that do not add up.

    A token's record goes on without a hole from where it begins: so many of its last trades up to the baseline's slot are those.
    """
    by_mint: dict[str, list[TradeRow]] = defaultdict(list)
    for row in ledger:
        by_mint[row.mint].append(row)
    numbers: set[int] = set()
    wrong = []
    for mint, slot, trades, buys, volume in connection.execute(_BASELINES):
        rows = [row for row in by_mint[mint] if row.slot <= slot][-trades:] if trades else []
        found = (len(rows), sum(row.is_buy for row in rows), _volume(rows))
        if found != (trades, buys, volume):
            wrong.append(f"the baseline of {mint} has {(trades, buys, volume)}, true are {found}: trades, buys, volume")
        numbers.update(row.number for row in rows)
    return numbers, wrong


def _volume(rows: Iterable[TradeRow]) -> int:
    return sum(row.quote_amount for row in rows)
