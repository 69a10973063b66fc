"""Candles and windows, compared with what plain Python makes of the same trades."""

from __future__ import annotations

import csv
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from storage_samples import chain_trade

from pumpwatch.candles import INTERVALS, Candle
from pumpwatch.events import Delivery
from pumpwatch.storage.board import WantedTokens, tokens, tokens_in_window
from pumpwatch.storage.candles import Series, candles
from pumpwatch.storage.queries import Reader, open_reader
from pumpwatch.storage.store import Store
from pumpwatch.storage.windows import WINDOWS, windows

Row = dict[str, str]


@pytest.fixture(scope="module")
def rows(corpus: Path) -> list[Row]:
    """Trades of three real coins in 2025-09, each in the order of the chain."""
    found: list[Row] = []
    for path in sorted((corpus / "trades").glob("*.csv")):
        with path.open(encoding="utf-8") as file:
            found += sorted(csv.DictReader(file), key=lambda row: int(row["block_num"]) * 10**40 + product(row))
    return found


def product(row: Row) -> int:
    return int(row["virtual_sol_reserves"]) * int(row["virtual_token_reserves"])


@pytest.fixture(scope="module")
def record(rows: list[Row], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("candles") / "record.db"
    store = Store.open(path, origin="replay")
    places: dict[str, int] = {}
    deliveries = []
    for row in rows:
        signature = row["transaction_signature"]
        places[signature] = places.get(signature, -1) + 1
        trade = chain_trade(
            signature=signature,
            event_index=places[signature],
            mint=row["token_address"],
            wallet=row["wallet_address"],
            is_buy=row["is_buy"] == "true",
            token_amount=int(row["amount_in_token"]),
            quote_amount=int(row["amount_in_sol"]),
            virtual_token_reserves=int(row["virtual_token_reserves"]),
            virtual_quote_reserves=int(row["virtual_sol_reserves"]),
            real_token_reserves=int(row["real_token_reserves"]),
            real_quote_reserves=int(row["real_sol_reserves"]),
            slot=int(row["block_num"]),
            block_time=int(row["block_time"]),
        )
        deliveries.append(Delivery(source="helius", received_at_us=1_757_800_000_000_000, events=(trade,)))
    store.apply(deliveries[::-1])
    store.close()
    return path


@pytest.fixture
def reader(record: Path) -> Iterator[Reader]:
    with open_reader(record) as reader:
        yield reader


def mints(rows: list[Row]) -> list[str]:
    return list(dict.fromkeys(row["token_address"] for row in rows))


def price(row: Row) -> float:
    return int(row["virtual_sol_reserves"]) / int(row["virtual_token_reserves"]) / 1000


def plain(rows: list[Row], seconds: int, *, rate: float = 1.0) -> list[Candle]:
    places: dict[int, list[Row]] = {}
    for row in rows:
        places.setdefault(int(row["block_time"]) // seconds * seconds, []).append(row)
    return [
        Candle(
            opens_at,
            price(inside[0]) * rate,
            max(map(price, inside)) * rate,
            min(map(price, inside)) * rate,
            price(inside[-1]) * rate,
            sum(int(row["amount_in_sol"]) for row in inside),
            sum(int(row["amount_in_sol"]) for row in inside if row["is_buy"] == "true"),
            len(inside),
            sum(row["is_buy"] == "true" for row in inside),
        )
        for opens_at, inside in sorted(places.items())
    ]


def compare(found: list[Candle], expected: list[Candle]) -> None:
    assert [(c.opens_at, c.volume, c.buy_volume, c.trades, c.buys) for c in found] == [
        (c.opens_at, c.volume, c.buy_volume, c.trades, c.buys) for c in expected
    ]
    for one, other in zip(found, expected, strict=True):
        assert [one.open, one.high, one.low, one.close] == pytest.approx(
            [other.open, other.high, other.low, other.close], rel=1e-12
        )


def of(reader: Reader, mint: str, seconds: int, **more: Any) -> Series:
    series = candles(reader, mint, seconds, **{"limit": 10_000, **more})
    assert series is not None
    return series


@pytest.mark.parametrize("seconds", INTERVALS.values(), ids=INTERVALS)
def test_candles_of_real_trades_are_what_plain_python_makes_of_them(reader: Reader, rows: list[Row], seconds: int) -> None:
    for mint in mints(rows):
        own = [row for row in rows if row["token_address"] == mint]
        compare(of(reader, mint, seconds).candles, plain(own, seconds))
        newest = plain(own, seconds)[-3:]
        compare(of(reader, mint, seconds, limit=3).candles, newest)
        middle = plain(own, seconds)[1:-1]
        if middle:
            inside = of(reader, mint, seconds, since=middle[0].opens_at + seconds // 2, until=middle[-1].opens_at).candles
            compare(inside, middle)


@pytest.mark.parametrize("seconds", [1, 15, 60, 3600])
def test_without_gaps_what_lies_between_is_flat_at_the_last_price(reader: Reader, rows: list[Row], seconds: int) -> None:
    own = [row for row in rows if row["token_address"] == mints(rows)[1]]
    traded = {candle.opens_at: candle for candle in plain(own, seconds)}
    first, last = min(traded), max(traded)
    found = of(reader, mints(rows)[1], seconds, gapless=True, since=first, until=last + 5 * seconds).candles
    expected, close = [], 0.0
    for opens_at in range(first, last + 6 * seconds, seconds):
        candle = traded.get(opens_at, Candle(opens_at, close, close, close, close, 0, 0, 0, 0))
        close = candle.close or 0.0
        expected.append(candle)
    compare(found, expected[-10_000:])


def test_what_follows_the_last_trade_is_flat_at_its_price(reader: Reader, rows: list[Row]) -> None:
    own = [row for row in rows if row["token_address"] == mints(rows)[0]]
    later = int(own[-1]["block_time"]) // 60 * 60 + 600
    found = of(reader, mints(rows)[0], 60, gapless=True, since=later, until=later + 120).candles
    assert [(c.opens_at, c.trades) for c in found] == [(later, 0), (later + 60, 0), (later + 120, 0)]
    assert [c.close for c in found] == pytest.approx([price(own[-1])] * 3)


def test_dollars_take_the_rate_of_each_minute_and_are_unknown_without_one(record: Path, rows: list[Row]) -> None:
    own = [row for row in rows if row["token_address"] == mints(rows)[1]]
    minutes = sorted({int(row["block_time"]) // 60 for row in own})
    with closing(sqlite3.connect(record)) as connection:
        connection.execute("DELETE FROM rates")
        # Ten minutes long the rate counts: not for what was before it.
        connection.execute("INSERT INTO rates VALUES (1, ?, 200.0, 'test', 0)", (minutes[1],))
        connection.commit()
    with open_reader(record) as reader:
        found = of(reader, mints(rows)[1], 60, in_usd=True).candles
        whole = of(reader, mints(rows)[1], 86_400, in_usd=True).candles
    known = [c for c in plain(own, 60, rate=200.0) if minutes[1] <= c.opens_at // 60 < minutes[1] + 10]
    compare([c for c in found if c.close is not None], known)
    assert found[0].close is None
    assert found[0].volume_usd is None
    assert whole[0].high is None, "a high that leaves a minute out is none"
    assert found[1].volume_usd == pytest.approx(known[0].volume / 1e9 * 200)


def test_windows_hold_what_was_traded_in_them_at_the_time_of_asking(reader: Reader, rows: list[Row]) -> None:
    for mint in mints(rows):
        own = [row for row in rows if row["token_address"] == mint]
        now = int(own[len(own) // 2]["block_time"]) + 30
        past = [row for row in own if int(row["block_time"]) <= now]
        # What comes later is in the record already: a window that ends now takes it along.
        for window, seconds in zip(windows(reader, mint, now), WINDOWS.values(), strict=True):
            first = (now - seconds) // 60 * 60
            inside = [row for row in own if int(row["block_time"]) >= first]
            before = [row for row in past if int(row["block_time"]) < first]
            assert window.trades == len(inside)
            assert window.buys == sum(row["is_buy"] == "true" for row in inside)
            assert window.volume == sum(int(row["amount_in_sol"]) for row in inside)
            begin = price(before[-1]) if before else price(inside[0])
            assert window.price_change == pytest.approx(price(own[-1]) / begin - 1)
            assert window.is_from_first == (not before)
    assert [window.trades for window in windows(reader, mints(rows)[0], 2_000_000_000)] == [0, 0, 0, 0]
    assert windows(reader, "unknown", now)[0].price_change is None


def test_tokens_are_chosen_and_ordered(reader: Reader, rows: list[Row]) -> None:
    by_volume = sorted(mints(rows), key=lambda m: -sum(int(r["amount_in_sol"]) for r in rows if r["token_address"] == m))
    assert [row.mint for row in tokens(reader, limit=9, order="volume")] == by_volume
    assert [row.mint for row in tokens(reader, limit=2, order="volume")] == by_volume[:2]
    volume = tokens(reader, limit=9, order="volume")[1].volume
    assert volume is not None
    assert len(tokens(reader, WantedTokens(minimum_volume=volume / 1e9), limit=9)) == 2
    assert tokens(reader, WantedTokens(status="graduated"), limit=9) == []
    assert tokens(reader, WantedTokens(symbol="%"), limit=9) == []
    assert tokens(reader, WantedTokens(symbol="[a*"), limit=9) == []
    for order in ("newest", "oldest", "trades", "market-cap", "last-trade", "wallets", "progress"):
        assert len(tokens(reader, limit=9, order=order)) == 3


def test_in_a_window_the_least_volume_is_that_of_the_window(reader: Reader, rows: list[Row]) -> None:
    now = max(int(row["block_time"]) for row in rows)
    first = (now - 3600) // 60 * 60
    traded: dict[str, int] = {}
    for row in rows:
        if int(row["block_time"]) >= first:
            traded[row["token_address"]] = traded.get(row["token_address"], 0) + int(row["amount_in_sol"])
    least = max(traded.values())
    everything = {row.mint: row.volume or 0 for row in tokens(reader, limit=9)}
    assert sum(volume >= least for volume in everything.values()) > 1

    def chosen(volume: float) -> set[str]:
        wanted = WantedTokens(minimum_volume=volume)
        return {row.mint for row, _ in tokens_in_window(reader, wanted, limit=9, order="volume", seconds=3600, now=now)}

    assert chosen(least / 1e9) == {mint for mint, volume in traded.items() if volume == least}
    assert chosen((least + 1) / 1e9) == set()


def test_in_a_window_are_only_tokens_that_traded_in_it(reader: Reader, rows: list[Row]) -> None:
    last = {mint: max(int(row["block_time"]) for row in rows if row["token_address"] == mint) for mint in mints(rows)}
    now = max(last.values())
    for order in ("volume", "trades", "change", "newest"):
        found = tokens_in_window(reader, limit=9, order=order, seconds=60, now=now)
        assert {row.mint for row, _ in found} == {mint for mint, at in last.items() if at >= (now - 60) // 60 * 60}
        assert all(window.trades > 0 for _, window in found)
