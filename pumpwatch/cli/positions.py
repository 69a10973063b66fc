"""How positions are shown, of a wallet or of a token: rounded in tables, exact in JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pumpwatch.cli import output
from pumpwatch.storage.positions import PositionRow
from pumpwatch.storage.queries import decimals_of

_NOTE = "t"


def money(base_units: int | None, quote_mint: str | None, quotes: Mapping[str, int | None]) -> str:
    """An amount of a quote, rounded: ``0.01235``, ``12.35``, ``12346``."""
    decimals = decimals_of(quote_mint, quotes)
    return output.UNKNOWN if base_units is None or decimals is None else rounded(base_units / 10**decimals)


def tokens(base_units: int) -> str:
    """An amount of a token, rounded."""
    return rounded(base_units / 10**output.TOKEN_DECIMALS)


def rounded(value: float) -> str:
    """Four digits that matter, and every one before the point."""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def percent(share: float | None) -> str:
    """A share as percent: ``3.42 %``."""
    return output.UNKNOWN if share is None else f"{share * 100:.3g} %" if share < 100 else f"{share * 100:.0f} %"


def note(row: PositionRow) -> str:
    """One sign, which :func:`print_notes` explains."""
    return _NOTE if row.remark is not None else ""


def print_notes(rows: Iterable[PositionRow]) -> None:
    """Say what the signs mean, and why an amount may be missing."""
    rows = list(rows)
    if any(row.remark is not None for row in rows):
        output.print_text(f"{_NOTE} = received by transfer: sold more than bought here, so the profit is unknown")
    if any(row.remark is None and row.realised_profit is None for row in rows):
        output.print_text("- = unknown: a trade is not on the chain yet, or an amount is not known")
