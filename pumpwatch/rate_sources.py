"""
PURE. What the keyless sources of US dollar prices are asked, and what their answers say: live prices, and one-minute closes.

Source: facts/solana_rpc.md section 7; https://docs.cdp.coinbase.com/api-reference/exchange-api/rest-api/products/get-product-candles;
https://developers.binance.com/docs/binance-spot-api-docs/rest-api/market-data-endpoints (klines).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from pumpwatch.decode.addresses import USD1, USDC
from pumpwatch.errors import DecodeError
from pumpwatch.events import WRAPPED_SOL

USDT: Final = "Es9vMFrzaCERmJfrF4H2FYD4KCoNkY11McCe8BenwNYB"

#: No rate that anyone could mean lies outside.
SMALLEST_USD: Final = 1e-9
LARGEST_USD: Final = 1e7

#: Jupiter takes so many mints in one request.
MOST_QUOTES: Final = 50

#: What CoinGecko says is set aside when it is older.
_OLDEST_SECONDS: Final = 600.0

#: Coinbase rejects more candles in one request.
_COINBASE_MINUTES: Final = 300
_BINANCE_MINUTES: Final = 1000

_DECIMAL: Final = re.compile(r"[0-9]{1,20}(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?")
#: Columns of a candle, in both exchanges' lists.
_TIME, _CLOSE = 0, 4


class Coin(NamedTuple):
    """
    How others name a quote.

    Attributes:
        code: As a person, and Coinbase, calls it.
        at_coinbase: Coinbase tells its price; *on_exchange*: and its exchange trades it against US dollars.
        binance: Its pair with USDT, taken for US dollars.
    """

    code: str
    at_coinbase: bool
    on_exchange: bool
    coingecko: str
    binance: str | None


COINS: Final[Mapping[str, Coin]] = {
    WRAPPED_SOL: Coin("SOL", at_coinbase=True, on_exchange=True, coingecko="solana", binance="SOLUSDT"),
    USDC: Coin("USDC", at_coinbase=True, on_exchange=False, coingecko="usd-coin", binance="USDCUSDT"),
    USD1: Coin("USD1", at_coinbase=False, on_exchange=False, coingecko="usd1-wlfi", binance="USD1USDT"),
    USDT: Coin("USDT", at_coinbase=True, on_exchange=True, coingecko="tether", binance=None),
}


class Asking(NamedTuple):
    """One GET: its path with query, and the quotes that it is about."""

    path: str
    quotes: tuple[str, ...]


class Spot(NamedTuple):
    """
    A source of prices of now.

    Attributes:
        base: Scheme and host.
        knows: Whether it can be asked for a quote mint.
        askings: The requests for quotes that it knows.
        read: From an answer to one of *askings*, and the unix time, to US dollars by quote mint; what it does not tell is left
            out. Raises DecodeError.
    """

    name: str
    base: str
    knows: Callable[[str], bool]
    askings: Callable[[Sequence[str]], list[Asking]]
    read: Callable[[bytes, Asking, float], dict[str, float]]


class Closes(NamedTuple):
    """
    A source of one-minute closes of the past.

    Attributes:
        most_minutes: In one request.
        knows: Whether it can be asked for a quote mint.
        path: Of the request for a quote's minutes, from the first to the last.
    """

    name: str
    base: str
    most_minutes: int
    knows: Callable[[str], bool]
    path: Callable[[str, int, int], str]
    minutes_in: Callable[[int], int]

    def read(self, body: bytes, first: int, last: int) -> dict[int, float]:
        """
        Closes by minute (unix time / 60); a candle without a usable close is left out, like one out of range.

        Raises:
            DecodeError: This is no list of candles.
        """
        closes = {}
        for row in _decoded(body, list[list[Any]]):
            if len(row) <= _CLOSE or not isinstance(row[_TIME], int | float) or isinstance(row[_TIME], bool):
                raise DecodeError("a candle without time or close")
            usd = dollars(row[_CLOSE])
            minute = self.minutes_in(int(row[_TIME])) if math.isfinite(row[_TIME]) else -1
            if usd is not None and first <= minute <= last:
                closes[minute] = usd
        return closes


def dollars(value: object) -> float | None:
    """A price from JSON, a number or the text of one; None for anything that is no price: zero, negative, not finite, absurd."""
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if SMALLEST_USD <= value <= LARGEST_USD else None


def name_of(quote: str) -> str:
    """How a person calls a quote, or its mint."""
    return COINS[quote].code if quote in COINS else quote


def public_spots() -> tuple[Spot, ...]:
    """In the order in which they are asked."""
    return (_coinbase("https://api.coinbase.com"), _JUPITER, _COINGECKO, _BINANCE)


def public_closes() -> tuple[Closes, ...]:
    """In the order in which they are asked."""
    return (_coinbase_closes("https://api.exchange.coinbase.com", everything=False), _BINANCE_CLOSES)


def configured_spot(name: str, base: str) -> Spot:
    """One server that answers like Coinbase's spot prices."""
    return _coinbase(base)._replace(name=name)


def configured_closes(name: str, base: str) -> Closes:
    """The same server, for Coinbase's candles."""
    return _coinbase_closes(base, everything=True)._replace(name=name)


def _decoded(body: bytes, shape: Any) -> Any:
    try:
        return msgspec.json.decode(body, type=shape)
    except (ValueError, RecursionError) as error:
        raise DecodeError(f"not what was expected: {str(error)[:100]}") from None


def _told(prices: Mapping[str, object]) -> dict[str, float]:
    return {quote: usd for quote, value in prices.items() if (usd := dollars(value)) is not None}


# Coinbase


class _Amount(msgspec.Struct):
    amount: Any
    base: str
    currency: str


class _CoinbaseSpot(msgspec.Struct):
    data: _Amount


def _coinbase(base: str) -> Spot:
    def askings(quotes: Sequence[str]) -> list[Asking]:
        return [Asking(f"/v2/prices/{COINS[quote].code}-USD/spot", (quote,)) for quote in quotes]

    def read(body: bytes, asking: Asking, _now: float) -> dict[str, float]:
        (quote,) = asking.quotes
        data: _Amount = _decoded(body, _CoinbaseSpot).data
        if (data.base, data.currency) != (COINS[quote].code, "USD"):
            raise DecodeError("the price of something else")
        return _told({quote: data.amount})

    return Spot("coinbase", base, lambda quote: quote in COINS and COINS[quote].at_coinbase, askings, read)


def _coinbase_closes(base: str, *, everything: bool) -> Closes:
    def knows(quote: str) -> bool:
        return quote in COINS and (COINS[quote].on_exchange or (everything and COINS[quote].at_coinbase))

    def path(quote: str, first: int, last: int) -> str:
        return f"/products/{COINS[quote].code}-USD/candles?granularity=60&start={first * 60}&end={last * 60}"

    return Closes("coinbase", base, _COINBASE_MINUTES, knows, path, lambda seconds: seconds // 60)


# Jupiter


class _JupiterPrice(msgspec.Struct):
    usd_price: Any = msgspec.field(default=None, name="usdPrice")


def _jupiter_askings(quotes: Sequence[str]) -> list[Asking]:
    pages = [tuple(quotes[start : start + MOST_QUOTES]) for start in range(0, len(quotes), MOST_QUOTES)]
    return [Asking(f"/price/v3?ids={','.join(page)}", page) for page in pages]


def _read_jupiter(body: bytes, asking: Asking, _now: float) -> dict[str, float]:
    prices = _decoded(body, dict[str, _JupiterPrice | None])
    return _told({quote: price.usd_price for quote in asking.quotes if (price := prices.get(quote)) is not None})


_JUPITER: Final = Spot("jupiter", "https://lite-api.jup.ag", lambda _: True, _jupiter_askings, _read_jupiter)


# CoinGecko


class _CoinGeckoPrice(msgspec.Struct):
    usd: Any = None
    last_updated_at: int | None = None


def _coingecko_askings(quotes: Sequence[str]) -> list[Asking]:
    names = ",".join(COINS[quote].coingecko for quote in quotes)
    return [Asking(f"/api/v3/simple/price?ids={names}&vs_currencies=usd&include_last_updated_at=true", tuple(quotes))]


def _read_coingecko(body: bytes, asking: Asking, now: float) -> dict[str, float]:
    prices = _decoded(body, dict[str, _CoinGeckoPrice])
    told = {quote: price for quote in asking.quotes if (price := prices.get(COINS[quote].coingecko)) is not None}
    return _told({quote: price.usd for quote, price in told.items() if now - (price.last_updated_at or 0) <= _OLDEST_SECONDS})


_COINGECKO: Final = Spot("coingecko", "https://api.coingecko.com", COINS.__contains__, _coingecko_askings, _read_coingecko)


# Binance


class _BinancePrice(msgspec.Struct):
    symbol: str
    price: Any


def _on_binance(quote: str) -> bool:
    return quote in COINS and COINS[quote].binance is not None


def _binance_askings(quotes: Sequence[str]) -> list[Asking]:
    return [Asking(f"/api/v3/ticker/price?symbol={COINS[quote].binance}", (quote,)) for quote in quotes]


def _read_binance(body: bytes, asking: Asking, _now: float) -> dict[str, float]:
    (quote,) = asking.quotes
    answer: _BinancePrice = _decoded(body, _BinancePrice)
    if answer.symbol != COINS[quote].binance:
        raise DecodeError("the price of something else")
    return _told({quote: answer.price})


def _binance_path(quote: str, first: int, last: int) -> str:
    times = f"startTime={first * 60_000}&endTime={last * 60_000 + 59_999}"
    return f"/api/v3/klines?symbol={COINS[quote].binance}&interval=1m&{times}&limit={_BINANCE_MINUTES}"


_BINANCE_BASE: Final = "https://data-api.binance.vision"
_BINANCE: Final = Spot("binance (USDT)", _BINANCE_BASE, _on_binance, _binance_askings, _read_binance)
_BINANCE_CLOSES: Final = Closes(
    "binance (USDT)", _BINANCE_BASE, _BINANCE_MINUTES, _on_binance, _binance_path, lambda milliseconds: milliseconds // 60_000
)
