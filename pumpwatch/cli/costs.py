"""What it costs, as ``status`` tells it: by provider, by token, by 1,000 trades."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from pumpwatch.cli import output
from pumpwatch.cli.output import Column
from pumpwatch.costs import ProviderCost, period_begins, shown
from pumpwatch.storage.queries import Reader
from pumpwatch.storage.spending import recorded_since
from pumpwatch.telemetry import visible

_DEAREST: Final = 5
_DEAREST_SHOWN: Final = 3
_SYMBOL_CHARACTERS: Final = 16

_COLUMNS: Final = (
    *(Column("COST", 10), Column("UNIT", 7), Column("PERIOD", 6), Column("SPENT", 11, is_number=True)),
    *(Column("LIMIT", 11, is_number=True), Column("PROJECTED", 11, is_number=True), Column("1,000 TRADES", 12, is_number=True)),
)


class TokenCost(msgspec.Struct, frozen=True):
    """A token, and about what it cost: its share of the trades, of what was spent."""

    mint: str
    symbol: str | None
    trades: int
    spent_estimate: float


class CostRow(msgspec.Struct, frozen=True):
    """
    One provider.

    Attributes:
        cost: Spent, limit, projection; *parts* of what was spent.
        share: Of the limit that is spent, 1 = all; None: there is no limit.
        trades: Recorded in the period, whoever brought them.
        per_1000_trades: None: nothing was recorded, or nothing is charged.
        dearest: The tokens that cost most. An estimate: by how many of the trades that this provider brought are theirs.
    """

    cost: ProviderCost
    share: float | None
    trades: int
    per_1000_trades: float | None
    dearest: list[TokenCost]


def costs_of(reader: Reader, costs: Sequence[ProviderCost], now: float) -> list[CostRow]:
    """What each provider has cost, set against what was recorded."""
    return [_row(reader, cost, now) for cost in costs]


def _row(reader: Reader, cost: ProviderCost, now: float) -> CostRow:
    since_us = int(period_begins(cost.period, now) * 1_000_000)
    period = recorded_since(reader, cost.provider, since_us=since_us, limit=_DEAREST)
    dearest = [TokenCost(busy.mint, busy.symbol, busy.trades, cost.spent * busy.trades / busy.of) for busy in period.busiest]
    return CostRow(
        cost=cost,
        share=cost.spent / cost.limit if cost.limit else None,
        trades=period.trades,
        per_1000_trades=cost.spent * 1000 / period.trades if period.trades and cost.limit else None,
        dearest=dearest if cost.spent else [],
    )


def print_costs(rows: Sequence[CostRow]) -> None:
    """A line each for those that charge anything, and the dearest tokens."""
    charged = [row for row in rows if row.cost.limit is not None]
    if not charged:
        return
    output.print_table(_COLUMNS, [_cells(row) for row in charged])
    for row in charged:
        tokens = ", ".join(
            f"{visible(token.symbol or token.mint, limit=_SYMBOL_CHARACTERS)} {shown(token.spent_estimate, row.cost.unit)}"
            for token in row.dearest[:_DEAREST_SHOWN]
        )
        if tokens:
            output.print_text(f"{row.cost.provider}: the dearest tokens, about ({row.cost.unit} by their trades): {tokens}")


def _cells(row: CostRow) -> tuple[object, ...]:
    cost = row.cost
    amounts = (cost.spent, cost.limit, cost.projected, row.per_1000_trades)
    return cost.provider, cost.unit, cost.period, *(None if one is None else shown(one, cost.unit) for one in amounts)
