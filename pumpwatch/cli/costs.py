"""What it costs, as ``status`` tells it: by provider, by token, by 1,000 trades."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pumpwatch.cli import output
from pumpwatch.cli.output import Column
from pumpwatch.costs import shown
from pumpwatch.overview import CostRow
from pumpwatch.telemetry import visible

_DEAREST_SHOWN: Final = 3
_SYMBOL_CHARACTERS: Final = 16

_COLUMNS: Final = (
    *(Column("COST", 10), Column("UNIT", 7), Column("PERIOD", 6), Column("SPENT", 11, is_number=True)),
    *(Column("LIMIT", 11, is_number=True), Column("PROJECTED", 11, is_number=True), Column("1,000 TRADES", 12, is_number=True)),
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
