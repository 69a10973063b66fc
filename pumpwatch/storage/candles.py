"""
Candles of one token, read from its minutes, or from its trades where they are shorter.

A minute is by the chain's clock (block_time). In US dollars every minute has its own rate: the newest up to it, at most
RATE_MINUTES old.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from pumpwatch.candles import Bar, Candle, fold, without_gaps
from pumpwatch.figures import MINUTE_SECONDS
from pumpwatch.storage.pruned import pruned_until
from pumpwatch.storage.queries import Reader
from pumpwatch.storage.schema_figures import RATE_MINUTES

_ROWS_AT_ONCE: Final = 5_000

#: Rows that are looked at for one answer.
_MOST_ROWS: Final = 200_000
_LATEST: Final = 2**40

_TOKEN: Final = """
    SELECT tokens.id, quotes.id, quotes.mint, quotes.units, board.completeness, board.reason, board.symbol
    FROM tokens LEFT JOIN quotes ON quotes.id = tokens.quote_id JOIN token_board AS board ON board.mint = tokens.mint
    WHERE tokens.mint = :mint
"""
_MINUTES: Final = """
    SELECT minute, open, high, low, close, volume, buy_volume, trades, buys FROM minutes
    WHERE token_id = :token_id AND minute < :before AND minute >= :first ORDER BY minute DESC LIMIT :limit
"""
_TRADES: Final = """
    SELECT chain_key, block_time, virtual_quote_reserves, virtual_token_reserves, quote_amount, is_buy FROM trades
    WHERE token_id = :token_id AND chain_key < :before AND state IN (1, 2) AND block_time IS NOT NULL
    ORDER BY chain_key DESC LIMIT :limit
"""
_KEY_AT: Final = "SELECT last_key FROM minutes WHERE token_id = :token_id AND minute <= :minute ORDER BY minute DESC LIMIT 1"
_CLOSE_BEFORE: Final = """
    SELECT minute, close FROM minutes WHERE token_id = :token_id AND minute < :minute ORDER BY minute DESC LIMIT 1
"""
_RATES: Final = (
    "SELECT minute, usd FROM rates WHERE quote_id = :quote_id AND minute >= :first AND minute <= :last ORDER BY minute"
)


class Series(msgspec.Struct, frozen=True):
    """
    Candles of one token, and how far its record is to be trusted.

    Attributes:
        interval_seconds: Of each candle.
        unit: Of the prices: ``USD``, or the mint of the quote; None: not known, and so are the prices.
        is_cut: The work was bounded: there may be older candles in the asked time.
        pruned_until: Up to then (unix seconds) there are none as short as these any more, as their trades are gone.
    """

    mint: str
    symbol: str | None
    interval_seconds: int
    unit: str | None
    quote_mint: str | None
    completeness: str
    reason: str | None
    candles: list[Candle]
    is_cut: bool = False
    pruned_until: int | None = None


class _Token(msgspec.Struct, frozen=True):
    id: int
    quote_id: int | None
    quote_mint: str | None
    units: float | None
    completeness: str
    reason: str | None
    symbol: str | None


def candles(
    reader: Reader,
    mint: str,
    interval_seconds: int,
    *,
    limit: int,
    since: int | None = None,
    until: int | None = None,
    in_usd: bool = False,
    gapless: bool = False,
) -> Series | None:
    """
    Return the newest *limit* candles, in the order of time; None: there is no such token.

    Args:
        interval_seconds: One of :data:`pumpwatch.candles.INTERVALS`.
        since: Unix seconds; *until*: alike, both inclusive: the candles that hold them are whole.
        gapless: Also those in which nothing was traded, up to *until* or the last trade.

    """
    rows = reader.rows(_TOKEN, mint=mint)
    if not rows:
        return None
    token = _Token(*rows[0])
    since = None if since is None else since // interval_seconds * interval_seconds
    until = None if until is None else until // interval_seconds * interval_seconds + interval_seconds - 1
    pruned = pruned_until(reader, mint) if interval_seconds < MINUTE_SECONDS else None
    since = since if pruned is None else max(since or 0, pruned)  # else gapless would say that nothing was traded
    first = since
    if gapless and until is not None:
        first = max(since or 0, until + 1 - limit * interval_seconds)
    found: list[Bar] = []
    is_cut = False
    places: set[int] = set()
    for bar in _bars(reader, token.id, interval_seconds, since=first, until=until):
        places.add(bar.at // interval_seconds)
        if len(places) > limit:
            break
        if len(found) == _MOST_ROWS:
            is_cut = True
            break
        found.append(bar)
    if is_cut:  # the oldest may lack some of its trades
        oldest = min(places)
        found = [bar for bar in found if bar.at // interval_seconds != oldest]
    found.reverse()
    money = _Money(reader, token, found, in_usd=in_usd)
    folded = fold(money.priced(found), interval_seconds)
    if gapless and (first is None or until is None or first <= until):
        folded = _filled(reader, token, folded, money, interval_seconds, limit=limit, since=first, until=until)
    unit = None if token.units is None else "USD" if in_usd else token.quote_mint
    of_record = (token.completeness, token.reason)
    return Series(mint, token.symbol, interval_seconds, unit, token.quote_mint, *of_record, folded, is_cut, pruned)


def _bars(reader: Reader, token_id: int, interval_seconds: int, *, since: int | None, until: int | None) -> Iterator[Bar]:
    """What happened between these times, from the newest down."""
    of = _minutes if interval_seconds >= MINUTE_SECONDS else _trades
    return of(reader, token_id, since=since or 0, until=_LATEST if until is None else until)


def _minutes(reader: Reader, token_id: int, *, since: int, until: int) -> Iterator[Bar]:
    before = until // MINUTE_SECONDS + 1
    first = -(-since // MINUTE_SECONDS)
    while True:
        rows = reader.rows(_MINUTES, token_id=token_id, before=before, first=first, limit=_ROWS_AT_ONCE)
        for minute, *values in rows:
            yield Bar(minute * MINUTE_SECONDS, *values)
        if len(rows) < _ROWS_AT_ONCE:
            return
        before = rows[-1][0]


def _trades(reader: Reader, token_id: int, *, since: int, until: int) -> Iterator[Bar]:
    last = reader.rows(_KEY_AT, token_id=token_id, minute=until // MINUTE_SECONDS)
    if not last:
        return
    before = last[0][0] + b"\x00"  # the least key behind that of the last trade in that minute
    while True:
        rows = reader.rows(_TRADES, token_id=token_id, before=before, limit=_ROWS_AT_ONCE)
        for _, at, quote_reserve, token_reserve, amount, is_buy in rows:
            if at < since - MINUTE_SECONDS:  # the chain's clock is not quite steady
                return
            if since <= at <= until:
                price = quote_reserve / token_reserve if token_reserve > 0 else None
                volume = amount or 0
                yield Bar(at, price, price, price, price, volume, volume if is_buy else 0, 1, int(is_buy))
        if len(rows) < _ROWS_AT_ONCE:
            return
        before = rows[-1][0]


class _Money:
    """From base units of the quote per base unit of the token to prices that people read, and volumes to dollars."""

    def __init__(self, reader: Reader, token: _Token, bars: list[Bar], *, in_usd: bool) -> None:
        self._reader = reader
        self._token = token
        self._in_usd = in_usd
        self._minutes: list[int] = []
        self._rates: list[float] = []
        if bars:
            first, last = bars[0].at // MINUTE_SECONDS, max(bar.at for bar in bars) // MINUTE_SECONDS
            self._read_rates(first, last)

    def _read_rates(self, first: int, last: int) -> None:
        slack = first - RATE_MINUTES
        rows = self._reader.rows(_RATES, quote_id=self._token.quote_id, first=slack, last=last)
        self._minutes = [minute for minute, _ in rows]
        self._rates = [usd for _, usd in rows]

    def _rate(self, at: int) -> float | None:
        """US dollars for a whole quote at that time."""
        minute = at // MINUTE_SECONDS
        place = bisect.bisect_right(self._minutes, minute) - 1
        if place < 0 or self._minutes[place] <= minute - RATE_MINUTES:
            return None
        return self._rates[place]

    def priced(self, bars: Iterable[Bar]) -> Iterator[tuple[Bar, float | None]]:
        """Each bar with its prices in the wanted unit, and its volume in dollars."""
        units = self._token.units
        for bar in bars:
            rate = self._rate(bar.at)
            factor = None if units is None else 1e6 / units if not self._in_usd else None if rate is None else rate * 1e6 / units
            usd = None if units is None or rate is None else bar.volume / units * rate
            yield _times(bar, factor), usd

    def price(self, raw: float | None, at: int) -> float | None:
        """One price of that time."""
        self._read_rates(at // MINUTE_SECONDS, at // MINUTE_SECONDS)
        (priced, _), *_ = self.priced([Bar(at, raw, raw, raw, raw, 0, 0, 0, 0)])
        return priced.close


def _times(bar: Bar, factor: float | None) -> Bar:
    prices: dict[str, Any] = {
        name: None if factor is None or value is None else value * factor
        for name, value in (("open", bar.open), ("high", bar.high), ("low", bar.low), ("close", bar.close))
    }
    return bar._replace(**prices)


def _filled(
    reader: Reader,
    token: _Token,
    found: list[Candle],
    money: _Money,
    interval_seconds: int,
    *,
    limit: int,
    since: int | None,
    until: int | None,
) -> list[Candle]:
    """With the intervals in which nothing was traded: from *since*, or the first trade, to *until*, or the last."""
    if since is None and until is None and not found:
        return []
    end = until if until is not None else found[-1].opens_at if found else since or 0
    begin = since if since is not None else found[0].opens_at if found else end
    begin = max(begin, end // interval_seconds * interval_seconds - (limit - 1) * interval_seconds)
    earlier = [candle for candle in found if candle.opens_at < begin]
    close = earlier[-1].close if earlier else None
    if not earlier:
        close = _close_before(reader, token, begin, money)
    later = found[len(earlier) :]
    return list(without_gaps(later, interval_seconds, since=begin, until=end, close=close))


def _close_before(reader: Reader, token: _Token, at: int, money: _Money) -> float | None:
    """The last price before a time (unix seconds); None: unknown."""
    minute = at // MINUTE_SECONDS
    # What was traded before it in its own minute, where candles are shorter.
    for bar in _trades(reader, token.id, since=minute * MINUTE_SECONDS, until=at - 1) if at % MINUTE_SECONDS else ():
        return money.price(bar.close, bar.at)
    before = reader.rows(_CLOSE_BEFORE, token_id=token.id, minute=minute)
    return money.price(before[0][1], before[0][0] * MINUTE_SECONDS) if before else None
