"""Trades that a record no longer holds: what their baselines add up to, compared with the truth."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Sequence

from pumpwatch.simulator.truth import TradeRow

_BASELINES = """
    SELECT tokens.mint, baselines.slot, baselines.trades, baselines.buys, baselines.volume
    FROM baselines JOIN tokens ON tokens.id = token_id
"""


def pruned(connection: sqlite3.Connection, ledger: Sequence[TradeRow]) -> tuple[set[int], list[str]]:
    """
    Return the numbers of the trades that baselines account for, and what is wrong with those that do not add up.

    A record goes on without a hole from where it begins to where it ends, which may be before the baseline's slot: a token that
    was watched for a while, or of which a single trade was told by the way.
    """
    by_mint: dict[str, list[TradeRow]] = defaultdict(list)
    for row in ledger:
        by_mint[row.mint].append(row)
    numbers: set[int] = set()
    wrong = []
    for mint, slot, trades, buys, volume in connection.execute(_BASELINES):
        rows = [row for row in by_mint[mint] if row.slot <= slot]
        # The latest run of so many trades that adds up so.
        starts = range(len(rows) - trades, -1, -1)
        runs = (rows[start : start + trades] for start in starts)
        fitting = next((run for run in runs if _sums(run) == (trades, buys, volume)), None)
        if fitting is None:
            found = _sums(rows[len(rows) - trades :])
            wrong.append(f"the baseline of {mint} has {(trades, buys, volume)}, true are {found}: trades, buys, volume")
        numbers.update(row.number for row in fitting or rows[len(rows) - trades :])
    return numbers, wrong


def _sums(rows: Sequence[TradeRow]) -> tuple[int, int, int]:
    return len(rows), sum(row.is_buy for row in rows), sum(row.quote_amount for row in rows)
