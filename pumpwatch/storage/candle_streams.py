"""The candles of one token or of all, over any time, in constant memory: the numbers of :mod:`pumpwatch.storage.candles`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from pumpwatch.candles import Candle
from pumpwatch.figures import MINUTE_SECONDS
from pumpwatch.storage.candles import candles as newest_candles
from pumpwatch.storage.queries import Reader
from pumpwatch.storage.streams import Page, Stream, mints_of

#: Candles of a page, at most.
_PAGE_CANDLES: Final = 20_000

#: Minutes, or trades where candles are shorter, that are folded for a page.
_PAGE_MINUTES: Final = 20_000
_PAGE_TRADES: Final = 50_000

_TOKENS_AT_ONCE: Final = 1_000
_FIRST: Final = -(2**40)
_LAST: Final = 2**40

_IDS: Final = """
    SELECT tokens.id FROM tokens WHERE last_trade_at >= :since AND first_trade_at <= :until ORDER BY tokens.id
"""
_ENDS: Final = """
    SELECT min(minute), max(minute) FROM minutes WHERE token_id = (SELECT id FROM tokens WHERE mint = :mint)
"""
_NEXT: Final = """
    SELECT minute FROM minutes WHERE token_id = (SELECT id FROM tokens WHERE mint = :mint) AND minute >= :minute
    ORDER BY minute LIMIT 1
"""
_TRADES: Final = """
    SELECT ifnull(sum(trades), 0) FROM minutes
    WHERE token_id = (SELECT id FROM tokens WHERE mint = :mint) AND minute >= :first AND minute < :beyond
"""


class TokenCandle(msgspec.Struct, frozen=True):
    """
    A candle, and whose it is.

    Attributes:
        unit: Of the prices: ``USD``, or the mint of the quote; None: not known, and so are the prices.
        opens_at: Unix seconds, a multiple of *interval_seconds*.
        open: The price after its first trade, *close* after its last, in the chain's order; None: unknown.
        volume: Base units of the quote, net of fees; *buy_volume*: of its buys.
        volume_usd: None where a rate is unknown.
        completeness: Of the token's record.
    """

    mint: str
    symbol: str | None
    interval_seconds: int
    opens_at: int
    unit: str | None
    open: float | None
    high: float | None
    low: float | None
    close: float | None
    volume: int
    buy_volume: int
    trades: int
    buys: int
    sells: int
    volume_usd: float | None
    quote_mint: str | None
    completeness: str


class WantedCandles(msgspec.Struct, frozen=True, kw_only=True):
    """
    Which candles.

    Attributes:
        mints: Of these tokens; None: of all.
        since: Unix seconds; *until*: alike, both inclusive: the candles that hold them are whole.
        gapless: Also those in which nothing was traded, up to *until* or the token's last trade.
    """

    interval_seconds: int
    mints: tuple[str, ...] | None = None
    since: int | None = None
    until: int | None = None
    in_usd: bool = False
    gapless: bool = False


def candles(reader: Reader, wanted: WantedCandles) -> Stream:
    """Candles token by token, each in the order of time."""
    if wanted.mints is not None:
        mints: Iterator[str] = iter(wanted.mints)
        total = sum(_trades_of(reader, mint, _FIRST, _LAST) for mint in wanted.mints)
    else:
        since = _FIRST if wanted.since is None else wanted.since - wanted.interval_seconds
        # A gapless token goes on behind its last trade.
        since = _FIRST if wanted.gapless else since
        ids = reader.numbers(_IDS, since=since, until=_LAST if wanted.until is None else wanted.until + wanted.interval_seconds)
        mints = _mints(reader, ids)
        [(total,)] = reader.rows("SELECT ifnull(sum(trades), 0) FROM tokens")
    return Stream(TokenCandle, total, (page for mint in mints for page in _pages(reader, mint, wanted)))


def _mints(reader: Reader, ids: Sequence[int]) -> Iterator[str]:
    for start in range(0, len(ids), _TOKENS_AT_ONCE):
        yield from mints_of(reader, ids[start : start + _TOKENS_AT_ONCE])


def _pages(reader: Reader, mint: str, wanted: WantedCandles) -> Iterator[Page]:
    for start, end in _windows(reader, mint, wanted):
        series = newest_candles(
            reader,
            mint,
            wanted.interval_seconds,
            limit=_PAGE_CANDLES + MINUTE_SECONDS,
            since=start,
            until=end,
            in_usd=wanted.in_usd,
            gapless=wanted.gapless,
        )
        if series is not None:
            token = (series.mint, series.symbol, series.interval_seconds)
            record = (series.quote_mint, series.completeness)
            rows = [_row(token, series.unit, candle, record) for candle in series.candles]
            yield Page(rows, sum(candle.trades for candle in series.candles))


def _row(token: tuple[Any, ...], unit: str | None, candle: Candle, record: tuple[Any, ...]) -> tuple[Any, ...]:
    prices = (candle.open, candle.high, candle.low, candle.close)
    counts = (candle.volume, candle.buy_volume, candle.trades, candle.buys, candle.sells, candle.volume_usd)
    return (*token, candle.opens_at, unit, *prices, *counts, *record)


def _windows(reader: Reader, mint: str, wanted: WantedCandles) -> Iterator[tuple[int, int | None]]:
    """Stretches of whole candles and whole minutes that together hold all: from, and up to (inclusive; None: the last trade)."""
    unit = max(wanted.interval_seconds, MINUTE_SECONDS)
    [(first, last)] = reader.rows(_ENDS, mint=mint)
    if first is None:
        return
    place = first * MINUTE_SECONDS
    end = (last + 1) * MINUTE_SECONDS - 1
    if wanted.until is not None:
        end = wanted.until if wanted.gapless else min(end, wanted.until)
    since = _FIRST if wanted.since is None else wanted.since // wanted.interval_seconds * wanted.interval_seconds
    if since > place:
        place = since if wanted.gapless else _next(reader, mint, since, end)
    while place <= end:
        start = place // unit * unit
        beyond = start + _longest(reader, mint, start, wanted.interval_seconds)
        if beyond > end:
            yield max(start, since), wanted.until
            return
        yield max(start, since), beyond - 1
        place = beyond if wanted.gapless else _next(reader, mint, beyond, end)


def _next(reader: Reader, mint: str, start: int, end: int) -> int:
    """When the first minute with trades begins, from *start* on; beyond *end* if there is none."""
    rows = reader.rows(_NEXT, mint=mint, minute=start // MINUTE_SECONDS)
    return int(rows[0][0]) * MINUTE_SECONDS if rows else end + 1


def _longest(reader: Reader, mint: str, start: int, interval: int) -> int:
    """So many seconds from *start* make a page."""
    if interval >= MINUTE_SECONDS:
        return max(1, min(_PAGE_CANDLES, _PAGE_MINUTES * MINUTE_SECONDS // interval)) * interval
    minutes = max(1, _PAGE_CANDLES * interval // MINUTE_SECONDS)
    first = start // MINUTE_SECONDS
    while minutes > 1 and _trades_of(reader, mint, first, first + minutes) > _PAGE_TRADES:
        minutes //= 2
    return minutes * MINUTE_SECONDS


def _trades_of(reader: Reader, mint: str, first: int, beyond: int) -> int:
    return int(reader.rows(_TRADES, mint=mint, first=first, beyond=beyond)[0][0])
