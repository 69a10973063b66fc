"""The last hour of many tokens is what its trades add up to, told one by one."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from cli_samples import NOW, USDC, Maker

from pumpwatch.events import WRAPPED_SOL, QuotePriced, Trade
from pumpwatch.storage.queries import Reader, open_reader
from pumpwatch.storage.store import Store
from pumpwatch.storage.windows import Hour, hours_of

#: Some seconds into a minute: the window begins inside of one, which is in it as a whole.
AT = NOW // 60 * 60 + 3600 + 20
FIRST_MINUTE = (AT - 3600) // 60
UNITS = {WRAPPED_SOL: 1e9, USDC: 1e6}


class Market:
    """Tokens that traded at odd times, and their trades in the chain's order."""

    def __init__(self, path: Path) -> None:
        make, chance = Maker(), random.Random(11)
        self.path = path
        self.quotes = {make.address(): chance.choice((WRAPPED_SOL, USDC)) for _ in range(12)}
        self.trades: dict[str, list[Trade]] = {mint: [] for mint in self.quotes}
        self.rates: dict[tuple[str, int], float] = {}
        for mint, quote in self.quotes.items():
            times = sorted(chance.randrange(AT - 3 * 3600, AT) for _ in range(chance.choice((1, 3, 40))))
            for number, at in enumerate(times):
                make.trade(
                    *(mint, make.address(), number),
                    is_buy=chance.random() < 0.6,
                    slot=1000 + number,
                    block_time=at,
                    quote_mint=quote,
                    quote_amount=chance.randrange(1, 10**9),
                    virtual_token_reserves=10**15,
                    virtual_quote_reserves=chance.randrange(10**9, 10**11),
                )
                [trade] = make.deliveries[-1].events
                assert isinstance(trade, Trade)
                self.trades[mint].append(trade)
        self.silent, self.unknown = make.address(), make.address()
        make.create(self.silent, make.address())
        for minute in range(AT // 60 - 75, AT // 60 + 1):
            if minute % 25 == 0:  # a rate counts for ten minutes: some minutes have none
                self.rates[WRAPPED_SOL, minute] = 100.0 + minute % 60
        for minute in range(AT // 60 - 75, AT // 60 + 1, 5):
            self.rates[USDC, minute] = 0.999
        for (quote, minute), usd in self.rates.items():
            priced = QuotePriced(quote_mint=quote, minute=minute, usd=usd, source="test", at_us=minute * 60_000_000)
            make.put("pumpwatch", priced)
        make.random.shuffle(make.deliveries)
        store = Store.open(path, origin="simulator")
        store.apply(make.deliveries)
        store.close()

    def usd_of(self, trade: Trade) -> float:
        """Nan: no rate is known."""
        assert trade.quote_mint is not None
        minute = (trade.block_time or 0) // 60
        rate = next(
            (self.rates[trade.quote_mint, at] for at in range(minute, minute - 10, -1) if (trade.quote_mint, at) in self.rates),
            math.nan,
        )
        return (trade.quote_amount or 0) / UNITS[trade.quote_mint] * rate


def price(trade: Trade) -> float:
    assert trade.quote_mint is not None
    return (trade.virtual_quote_reserves or 0) / UNITS[trade.quote_mint] / ((trade.virtual_token_reserves or 0) / 1e6)


def expected(market: Market, trades: Sequence[Trade]) -> dict[str, object]:
    inside = [trade for trade in trades if (trade.block_time or 0) // 60 >= FIRST_MINUTE]
    before = [trade for trade in trades if (trade.block_time or 0) // 60 < FIRST_MINUTE]
    closes = {(trade.block_time or 0) // 60 * 60: price(trade) for trade in inside}
    in_usd = sum(market.usd_of(trade) for trade in inside)
    return {
        "trades": len(inside),
        "buys": sum(trade.is_buy for trade in inside),
        "volume": sum(trade.quote_amount or 0 for trade in inside),
        "usd": None if math.isnan(in_usd) else pytest.approx(in_usd),
        "closes": [(at, pytest.approx(of)) for at, of in sorted(closes.items())],
        "change": pytest.approx(price(trades[-1]) / price(before[-1]) - 1) if before else ...,
    }


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Market:
    return Market(tmp_path_factory.mktemp("lately") / "market.db")


def told(hour: Hour) -> dict[str, object]:
    change = ... if hour.is_from_first else hour.price_change
    return {
        "trades": hour.trades,
        "buys": hour.buys,
        "volume": hour.volume,
        "usd": hour.volume_usd,
        "closes": hour.closes,
        "change": change,
    }


def test_each_token_has_what_its_trades_of_the_last_hour_add_up_to(market: Market) -> None:
    with open_reader(market.path) as reader:
        hours = hours_of(reader, market.quotes, AT)

    assert set(hours) == set(market.quotes)
    for mint, trades in market.trades.items():
        assert told(hours[mint]) == expected(market, trades)
        assert hours[mint].sells == hours[mint].trades - hours[mint].buys
    # The market is such that all kinds are there.
    assert {hour.volume_usd is None for hour in hours.values()} == {True, False}
    assert {hour.trades == 0 for hour in hours.values()} == {True, False}
    assert {hour.is_from_first for hour in hours.values()} == {True, False}


def test_a_token_that_never_traded_has_an_empty_hour_and_one_that_is_not_there_has_none(market: Market) -> None:
    with open_reader(market.path) as reader:
        hours = hours_of(reader, [market.silent, market.unknown], AT)

    assert list(hours) == [market.silent]
    assert hours[market.silent] == Hour(3600, 0, 0, 0, 0, 0.0, None, False, [])


def test_however_many_tokens_they_are_asked_for_at_once(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    ask = Reader.rows

    def noted(self: Reader, statement: str, **parameters: object) -> list[object]:
        asked.append(statement)
        return ask(self, statement, **parameters)

    monkeypatch.setattr(Reader, "rows", noted)
    with open_reader(market.path) as reader:
        many = hours_of(reader, [*market.quotes, market.silent], AT)
        for_many = len(asked)
        assert {mint: hours_of(reader, [mint], AT)[mint] for mint in many} == many
    assert for_many <= 6
