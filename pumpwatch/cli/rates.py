"""What the quotes cost in US dollars, as ``status`` tells it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from pumpwatch.cli import output
from pumpwatch.storage.queries import Reader
from pumpwatch.storage.rates import Rate, newest_rates
from pumpwatch.storage.schema_figures import RATE_MINUTES
from pumpwatch.telemetry import visible

_SHOWN: Final = 10


class RateRow(msgspec.Struct, frozen=True):
    """
    The newest rate of a quote.

    Attributes:
        usd: US dollars for a whole one.
        age_seconds: Since it was so.
        stale: It is too old for trades of now, whose USD is unknown.
    """

    quote_mint: str
    usd: float
    source: str
    at_us: int
    age_seconds: float
    stale: bool


def rates_now(reader: Reader, now: float) -> list[RateRow]:
    """Those of the quotes seen first."""
    return [_row(rate, now) for rate in newest_rates(reader, limit=_SHOWN)]


def print_rates(rates: Sequence[RateRow]) -> None:
    """One line each."""
    for rate in rates:
        ago = f"{output.ago(rate.age_seconds)} ago"
        age = f"stale: {ago}, USD of newer trades is unknown" if rate.stale else ago
        quote, source = visible(output.quote_name(rate.quote_mint), limit=44), visible(rate.source, limit=40)
        output.print_text(f"{quote} {rate.usd:.6g} USD ({source}, {age})")


def _row(rate: Rate, now: float) -> RateRow:
    age = max(0.0, now - rate.at_us / 1e6)
    return RateRow(rate.quote_mint, rate.usd, rate.source, rate.at_us, round(age, 1), age >= RATE_MINUTES * 60)
