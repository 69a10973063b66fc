"""
What tokens did lately, read from their minutes when it is asked: a sum that was stored would be stale as soon as trading stops.

A window holds every minute of which some part lies in it: 5 minutes are five whole minutes and the running one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from pumpwatch.figures import MINUTE_SECONDS
from pumpwatch.storage.queries import Reader
from pumpwatch.storage.schema_figures import RATE_MINUTES

#: By name: seconds.
WINDOWS: Final = {"1m": 60, "5m": 300, "1h": 3600, "24h": 86_400}

_HOUR_SECONDS: Final = 3600

_MINUTES: Final = """
    SELECT tokens.mint, tokens.quote_id, minutes.minute, minutes.trades, minutes.buys, minutes.volume, minutes.open, minutes.close
    FROM json_each(:mints) AS place
    CROSS JOIN tokens ON tokens.mint = place.value
    CROSS JOIN minutes ON minutes.token_id = tokens.id AND minutes.minute >= :first
    ORDER BY place.key, minutes.minute
"""
_BEFORE: Final = """
    SELECT place.value, (
        SELECT close FROM minutes WHERE token_id = tokens.id AND minute < :first ORDER BY minute DESC LIMIT 1
    ) FROM json_each(:mints) AS place CROSS JOIN tokens ON tokens.mint = place.value
"""
_RATES: Final = "SELECT quote_id, minute, usd FROM rates WHERE minute >= :first ORDER BY quote_id, minute"
_UNITS: Final = "SELECT id, units FROM quotes"


class Window(msgspec.Struct, frozen=True):
    """
    What was traded of one token in the last *seconds*, in trades that the chain told.

    Attributes:
        volume: Base units of the quote, net of fees; *volume_usd*: each minute at its own rate, None where one is unknown.
        price_change: The last price / the last one before the window - 1. None: no price is known.
        is_from_first: There was none before: the change is from the price after its first trade in the window on.
    """

    seconds: int
    trades: int = 0
    buys: int = 0
    sells: int = 0
    volume: int = 0
    volume_usd: float | None = 0.0
    price_change: float | None = None
    is_from_first: bool = False


class Hour(Window, frozen=True):
    """
    The last hour, and how the price went in it.

    Attributes:
        closes: Of each minute with a trade, the oldest first: when it began (unix seconds), and its last price, whole quote for
            a whole token. Empty while the quote's decimals are not known.
    """

    closes: list[tuple[int, float]] = []


class _Minute(msgspec.Struct, frozen=True):
    quote_id: int | None
    minute: int
    trades: int
    buys: int
    volume: int
    open: float | None
    close: float | None


def windows(reader: Reader, mint: str, now: float) -> list[Window]:
    """The windows of one token at *now* (unix seconds), in the order of :data:`WINDOWS`."""
    return [windows_of(reader, (mint,), now, seconds).get(mint, Window(seconds)) for seconds in WINDOWS.values()]


def first_minute(now: float, seconds: int) -> int:
    """The first minute (unix time / 60) of a window that ends *now*."""
    return int(now - seconds) // MINUTE_SECONDS


def windows_of(reader: Reader, mints: Iterable[str], now: float, seconds: int) -> dict[str, Window]:
    """One window of several tokens, by mint; those that are not in the record are left out."""
    return {mint: window for mint, window, _ in _looked_at(reader, mints, now, seconds)}


def hours_of(reader: Reader, mints: Iterable[str], now: float) -> dict[str, Hour]:
    """The last hour of several tokens, by mint; those that are not in the record are left out."""
    units = dict(reader.rows(_UNITS))
    found: dict[str, Hour] = {}
    for mint, window, minutes in _looked_at(reader, mints, now, _HOUR_SECONDS):
        found[mint] = Hour(**msgspec.structs.asdict(window), closes=list(_closes(minutes, units)))
    return found


def _closes(minutes: Iterable[_Minute], units: Mapping[int | None, float | None]) -> Iterator[tuple[int, float]]:
    for minute in minutes:
        of_quote = units.get(minute.quote_id)
        if of_quote is not None and minute.close is not None:
            yield minute.minute * MINUTE_SECONDS, minute.close * 1e6 / of_quote


def _looked_at(reader: Reader, mints: Iterable[str], now: float, seconds: int) -> Iterator[tuple[str, Window, Sequence[_Minute]]]:
    """Each token, its window, and what the window was made of."""
    first = first_minute(now, seconds)
    wanted = msgspec.json.encode(list(mints)).decode()
    minutes: dict[str, list[_Minute]] = {}
    for mint, *values in reader.rows(_MINUTES, mints=wanted, first=first):
        minutes.setdefault(mint, []).append(_Minute(*values))
    rates = _Rates(reader, first) if minutes else None
    for mint, before in reader.rows(_BEFORE, mints=wanted, first=first):
        of_token = minutes.get(mint, [])
        yield mint, _window(of_token, before, seconds, rates), of_token


def _window(minutes: list[_Minute], before: float | None, seconds: int, rates: _Rates | None) -> Window:
    trades, buys = sum(minute.trades for minute in minutes), sum(minute.buys for minute in minutes)
    volume = sum(minute.volume for minute in minutes)
    in_usd: float | None = 0.0
    for minute in minutes:
        usd = rates.usd(minute) if rates is not None else None
        in_usd = None if usd is None or in_usd is None else in_usd + usd
    begin = before if before is not None else next((m.open for m in minutes if m.open is not None), None)
    last = next((m.close for m in reversed(minutes) if m.close is not None), before)
    change = last / begin - 1 if begin and last is not None else None
    is_from_first = before is None and change is not None
    return Window(seconds, trades, buys, trades - buys, volume, in_usd, change, is_from_first)


class _Rates:
    """US dollars for a whole quote, by minute."""

    def __init__(self, reader: Reader, first: int) -> None:
        self._units = dict(reader.rows(_UNITS))
        self._rates: dict[Any, dict[int, float]] = {}
        for quote_id, minute, usd in reader.rows(_RATES, first=first - RATE_MINUTES):
            self._rates.setdefault(quote_id, {})[minute] = usd

    def usd(self, minute: _Minute) -> float | None:
        """What that minute's volume was."""
        units, rates = self._units.get(minute.quote_id), self._rates.get(minute.quote_id)
        if units is None or rates is None:
            return None
        for number in range(minute.minute, minute.minute - RATE_MINUTES, -1):
            if number in rates:
                return float(minute.volume / units * rates[number])
        return None
