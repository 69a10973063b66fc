"""What the quotes cost in US dollars, as ``status`` tells it."""

from __future__ import annotations

from collections.abc import Sequence

from pumpwatch.cli import output
from pumpwatch.overview import RateRow
from pumpwatch.telemetry import visible


def print_rates(rates: Sequence[RateRow]) -> None:
    """One line each."""
    for rate in rates:
        ago = f"{output.ago(rate.age_seconds)} ago"
        age = f"stale: {ago}, USD of newer trades is unknown" if rate.stale else ago
        quote, source = visible(output.quote_name(rate.quote_mint), limit=44), visible(rate.source, limit=40)
        output.print_text(f"{quote} {rate.usd:.6g} USD ({source}, {age})")
