"""
An exchange in a box: what SOL and USDC cost in US dollars at any time, told as Coinbase tells it.

Source: facts/solana_rpc.md section 7; docs.cdp.coinbase.com, "Get product candles".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qs, urlsplit

from pumpwatch.simulator.logs import dumps

_MINUTE_SECONDS: Final = 60
_MOST_CANDLES: Final = 300


def _sol(at: float) -> float:
    """Around 150, some per cent up and down in hours, some per mille in minutes: nothing jumps."""
    waves = ((0.06, 86_400 * 9), (0.03, 86_400), (0.012, 5_400), (0.002, 420), (0.0006, 37))
    return round(150 * math.exp(sum(height * math.sin(2 * math.pi * at / seconds) for height, seconds in waves)), 2)


def _usdc(at: float) -> float:
    return round(1 + 0.0004 * math.sin(at / 1_000), 4)


#: US dollars by unix time.
PRODUCTS: Final[Mapping[str, Callable[[float], float]]] = {"SOL-USD": _sol, "USDC-USD": _usdc}


def answer(target: str, now: float) -> tuple[HTTPStatus, str]:
    """Status and JSON for a GET of *target* (path and query) at the unix time *now*."""
    url = urlsplit(target)
    match url.path.strip("/").split("/"):
        case ["v2", "prices", product, "spot"] if product in PRODUCTS:
            base, currency = product.split("-")
            amount = f"{PRODUCTS[product](now):.4f}"
            return HTTPStatus.OK, dumps({"data": {"amount": amount, "base": base, "currency": currency}})
        case ["products", product, "candles"] if product in PRODUCTS:
            asked = {name: values[0] for name, values in parse_qs(url.query).items()}
            return _candles(PRODUCTS[product], asked, now)
    return HTTPStatus.NOT_FOUND, dumps({"message": "NotFound"})


def _candles(price: Callable[[float], float], asked: Mapping[str, str], now: float) -> tuple[HTTPStatus, str]:
    """Candles of one minute, the newest first: time, low, high, open, close, volume."""
    try:
        start, end = int(asked["start"]), int(asked["end"])
    except (KeyError, ValueError):
        return HTTPStatus.BAD_REQUEST, dumps({"message": "start and end are needed here, in unix seconds"})
    if asked.get("granularity") != str(_MINUTE_SECONDS):
        return HTTPStatus.BAD_REQUEST, dumps({"message": "Unsupported granularity"})
    first, last = -(-start // _MINUTE_SECONDS), min(end, int(now)) // _MINUTE_SECONDS
    if end // _MINUTE_SECONDS - first >= _MOST_CANDLES:
        return HTTPStatus.BAD_REQUEST, dumps({"message": "granularity too small for the requested time range"})
    rows = []
    for minute in range(last, first - 1, -1):
        prices = [price(minute * _MINUTE_SECONDS + second) for second in (0, 15, 30, 45, 59)]
        rows.append([minute * _MINUTE_SECONDS, min(prices), max(prices), prices[0], prices[-1], 1234.5])
    return HTTPStatus.OK, dumps(rows)
