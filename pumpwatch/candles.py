"""
PURE. Candles: what a token's market did in each interval of time.

They are folded from bars in the chain's order: minutes as the record keeps them, or single trades. Prices may be in any unit; a
None among the prices of an interval makes all four of that candle unknown, as a high that leaves something out is none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import msgspec

#: By name: seconds.
INTERVALS: Final = {
    "1s": 1,
    "15s": 15,
    "1m": 60,
    "5m": 300,
    "15m": 900,
    "1h": 3600,
    "4h": 14_400,
    "1d": 86_400,
}


class Bar(NamedTuple):
    """What candles are made of: a minute, or one trade. *at*: unix seconds; volumes in base units of the quote, net of fees."""

    at: int
    open: float | None
    high: float | None
    low: float | None
    close: float | None
    volume: int
    buy_volume: int
    trades: int
    buys: int


class Candle(msgspec.Struct, frozen=True):
    """
    One interval.

    Attributes:
        opens_at: Unix seconds, a multiple of the interval.
        open: The price after its first trade, *close* after its last, in the chain's order.
        volume: Base units of the quote, net of fees; *buy_volume*: of its buys.
        volume_usd: None where it was not asked for, or a rate is unknown.
    """

    opens_at: int
    open: float | None
    high: float | None
    low: float | None
    close: float | None
    volume: int
    buy_volume: int
    trades: int
    buys: int
    volume_usd: float | None = None

    @property
    def sells(self) -> int:
        """Trades that are no buys."""
        return self.trades - self.buys


class _Open:
    """A candle in the making."""

    __slots__ = ("buy_volume", "buys", "close", "high", "is_known", "low", "open", "trades", "usd", "volume")

    def __init__(self, bar: Bar) -> None:
        self.open, self.high, self.low, self.close = bar.open, bar.high, bar.low, bar.close
        self.volume = self.buy_volume = self.trades = self.buys = 0
        self.is_known = True
        self.usd: float | None = 0.0

    def add(self, bar: Bar, usd_of_volume: float | None) -> None:
        if bar.high is None or bar.low is None:
            self.is_known = False
        elif self.high is not None and self.low is not None:
            self.high, self.low = max(self.high, bar.high), min(self.low, bar.low)
        self.close = bar.close
        self.volume += bar.volume
        self.buy_volume += bar.buy_volume
        self.trades += bar.trades
        self.buys += bar.buys
        self.usd = None if self.usd is None or usd_of_volume is None else self.usd + usd_of_volume


def fold(bars: Iterable[tuple[Bar, float | None]], interval_seconds: int) -> list[Candle]:
    """
    Return the candles in which something was traded, in the order of time.

    Args:
        bars: In the chain's order, each with what its volume was in US dollars (None: unknown).

    """
    candles: dict[int, _Open] = {}
    for bar, usd in bars:
        opens_at = bar.at // interval_seconds * interval_seconds
        candle = candles.get(opens_at)
        if candle is None:
            candle = candles[opens_at] = _Open(bar)
        candle.add(bar, usd)
    return [_closed(opens_at, candles[opens_at]) for opens_at in sorted(candles)]


def _closed(opens_at: int, candle: _Open) -> Candle:
    prices = (candle.open, candle.high, candle.low, candle.close) if candle.is_known else (None, None, None, None)
    return Candle(opens_at, *prices, candle.volume, candle.buy_volume, candle.trades, candle.buys, candle.usd)


def without_gaps(
    candles: Iterable[Candle], interval_seconds: int, *, since: int, until: int, close: float | None
) -> Iterator[Candle]:
    """
    Every interval from the one of *since* to that of *until* (unix seconds): flat at the last price where nothing was traded.

    Args:
        close: The price before; None: unknown, and intervals before the first trade are left out.

    """
    place = since // interval_seconds * interval_seconds
    last = until // interval_seconds * interval_seconds
    has_price = close is not None
    for candle in candles:
        while place < candle.opens_at and has_price:
            yield _flat(place, close)
            place += interval_seconds
        yield candle
        has_price, close = True, candle.close
        place = candle.opens_at + interval_seconds
    while place <= last and has_price:
        yield _flat(place, close)
        place += interval_seconds


def _flat(opens_at: int, close: float | None) -> Candle:
    return Candle(opens_at, close, close, close, close, 0, 0, 0, 0, 0.0)
