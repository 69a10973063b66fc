"""The simulator's exchange answers as Coinbase does, and its prices move as prices do."""

from __future__ import annotations

import itertools
import json
from http import HTTPStatus

import pytest

from pumpwatch.simulator.exchange import PRODUCTS, answer

NOW = 1_795_000_007.5
START = 1_794_990_000


def candles(start: int, end: int, granularity: int = 60) -> tuple[int, list[list[float]]]:
    status, text = answer(f"/products/SOL-USD/candles?granularity={granularity}&start={start}&end={end}", NOW)
    return status, json.loads(text)


def test_a_spot_price_is_text_in_coinbases_shape() -> None:
    status, text = answer("/v2/prices/SOL-USD/spot", NOW)

    data = json.loads(text)["data"]
    assert status == HTTPStatus.OK
    assert data == {"amount": f"{PRODUCTS['SOL-USD'](NOW):.4f}", "base": "SOL", "currency": "USD"}


def test_candles_come_the_newest_first_with_the_price_at_their_ends() -> None:
    status, rows = candles(START, START + 299 * 60)

    assert status == HTTPStatus.OK
    assert [row[0] for row in rows] == [START + minute * 60 for minute in range(166, -1, -1)], "none of the future"
    for at, low, high, opened, closed, _volume in rows:
        assert (opened, closed) == (PRODUCTS["SOL-USD"](at), PRODUCTS["SOL-USD"](at + 59))
        assert low <= min(opened, closed) <= max(opened, closed) <= high


def test_more_than_300_candles_are_rejected() -> None:
    assert candles(START - 600_000, START - 600_000 + 300 * 60)[0] == HTTPStatus.BAD_REQUEST
    assert candles(START, START + 60, granularity=61)[0] == HTTPStatus.BAD_REQUEST


@pytest.mark.parametrize("target", ["/", "/v2/prices/DOGE-USD/spot", "/products/DOGE-USD/candles?granularity=60&start=1&end=2"])
def test_what_it_does_not_trade_is_not_found(target: str) -> None:
    assert answer(target, NOW)[0] == HTTPStatus.NOT_FOUND


@pytest.mark.parametrize("product", PRODUCTS)
def test_no_price_jumps_from_minute_to_minute(product: str) -> None:
    price = PRODUCTS[product]
    prices = [price(START + minute * 60) for minute in range(10_000)]

    assert all(abs(after / before - 1) < 0.02 for before, after in itertools.pairwise(prices))
    assert max(prices) > min(prices)
