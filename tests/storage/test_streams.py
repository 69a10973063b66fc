"""Promises of streams: everything that fits, once and in order, in short transactions, whatever the writer does meanwhile."""

from __future__ import annotations

import random
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cli_samples import NOW, USDC, Maker

from pumpwatch.candles import INTERVALS
from pumpwatch.events import WRAPPED_SOL, Delivery
from pumpwatch.storage import candle_streams, position_streams, streams, stretches
from pumpwatch.storage.board import BoardRow, WantedTokens
from pumpwatch.storage.candle_streams import TokenCandle, WantedCandles
from pumpwatch.storage.candles import candles as newest_candles
from pumpwatch.storage.chosen import Wanted
from pumpwatch.storage.positions import PositionRow
from pumpwatch.storage.queries import Reader, open_reader
from pumpwatch.storage.store import Store
from pumpwatch.storage.streams import Stream

SECONDS = 4000
TOKENS, WALLETS = 12, 5


class Market:
    """A record of a few tokens and wallets, and its trades as ``trade_log`` has them."""

    def __init__(self, path: Path, reader: Reader, mints: list[str], wallets: list[str]) -> None:
        self.path = path
        self.reader = reader
        self.mints = mints
        self.wallets = wallets
        with closing(sqlite3.connect(path)) as connection:
            names = [name for name, *_ in connection.execute("SELECT * FROM trade_log LIMIT 0").description]
            self.log = [dict(zip(names, row, strict=True)) for row in connection.execute("SELECT * FROM trade_log")]
            self.appeared = {
                mint: number for number, (mint,) in enumerate(connection.execute("SELECT mint FROM tokens ORDER BY id"))
            }


def deliveries(make: Maker, mints: list[str], wallets: list[str]) -> list[Delivery]:
    for number in range(700):
        mint = mints[min(int(make.random.expovariate(0.3)), TOKENS - 1)]
        wallet = wallets[min(int(make.random.expovariate(1)), WALLETS - 1)]
        if make.random.random() < 0.1:
            make.provisional(mint, wallet, number)
            continue
        second = number * SECONDS // 700
        make.trade(
            *(mint, wallet, number),
            slot=1000 + second * 2,
            block_time=NOW + second,
            venue="curve" if second < SECONDS // 2 or mint in mints[8:] else "pool",
            quote_amount=make.random.randrange(10**6, 10**9),
            token_amount=make.random.randrange(1, 10**9),
            quote_mint=USDC if mint == mints[0] else WRAPPED_SOL,
        )
    make.random.shuffle(make.deliveries)  # backfilled in any order: ids say nothing of the chain's
    return make.deliveries


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str], list[str]]:
    path = tmp_path_factory.mktemp("streams") / "trades.db"
    store = Store.open(path, origin="simulator")
    make = Maker()
    mints, wallets = [make.address() for _ in range(TOKENS)], [make.address() for _ in range(WALLETS)]
    made = deliveries(make, mints, wallets)
    for start in range(0, len(made), 100):
        store.apply(made[start : start + 100])
    store.checkpoint()
    store.close()
    return path, mints, wallets


@pytest.fixture
def market(recorded: tuple[Path, list[str], list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Market]:
    """Of a copy; with pages so small that there are many."""
    monkeypatch.setattr(streams, "_PAGE_ROWS", 7)
    monkeypatch.setattr(streams, "_PAGE_TOKENS", 3)
    monkeypatch.setattr(stretches, "_TOGETHER", 40)
    monkeypatch.setattr(stretches, "_TOKENS_AT_ONCE", 4)
    monkeypatch.setattr(candle_streams, "_PAGE_CANDLES", 8)
    monkeypatch.setattr(candle_streams, "_PAGE_MINUTES", 20)
    monkeypatch.setattr(candle_streams, "_PAGE_TRADES", 10)
    monkeypatch.setattr(position_streams, "_PAGE_ROWS", 2)
    path, mints, wallets = recorded
    copy = tmp_path / "trades.db"
    copy.write_bytes(path.read_bytes())
    with open_reader(copy) as reader:
        yield Market(copy, reader, mints, wallets)


def read(stream: Stream) -> list[dict[str, Any]]:
    names = [field.name for field in stream.fields]
    return [dict(zip(names, row, strict=True)) for page in stream.pages for row in page.rows]


def at(row: dict[str, Any]) -> int:
    return int(row["received_at_us"] // 1_000_000 if row["block_time"] is None else row["block_time"])


def fits(row: dict[str, Any], wanted: Wanted) -> bool:
    units = 1e6 if row["quote_mint"] == USDC else 1e9
    return (
        wanted.mint in (None, row["mint"])
        and wanted.wallet in (None, row["wallet"])
        and wanted.side in (None, row["side"])
        and wanted.venue in (None, row["venue"])
        and (wanted.since is None or at(row) >= wanted.since)
        and (wanted.until is None or at(row) <= wanted.until)
        and (wanted.minimum_quote is None or (row["quote_amount"] or 0) / units >= wanted.minimum_quote)
        and not (wanted.confirmed_only and not row["confirmed"])
    )


def in_chain(market: Market) -> Callable[[dict[str, Any]], tuple[Any, ...]]:
    return lambda row: (market.appeared[row["mint"]], row["chain_key"] is None, row["chain_key"] or b"")


def in_time(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["block_time"] is None, row["block_time"] or 0, row["slot"] or 0


def choices() -> Iterator[dict[str, Any]]:
    chance = random.Random(5)
    yield {}
    for _ in range(40):
        chosen: dict[str, Any] = {}
        if chance.random() < 0.4:
            chosen["mint"] = chance.randrange(TOKENS)
        if chance.random() < 0.4:
            chosen["wallet"] = chance.randrange(WALLETS)
        if chance.random() < 0.3:
            chosen["side"] = chance.choice(("buy", "sell"))
        if chance.random() < 0.3:
            chosen["venue"] = chance.choice(("curve", "pool"))
        if chance.random() < 0.4:
            chosen["since"] = NOW + chance.randrange(SECONDS)
        if chance.random() < 0.4:
            chosen["until"] = NOW + chance.randrange(SECONDS)
        if chance.random() < 0.2:
            chosen["minimum_quote"] = chance.random()
        if chance.random() < 0.2:
            chosen["confirmed_only"] = True
        yield chosen


@pytest.mark.parametrize("order", ["chain", "time"])
def test_a_stream_has_each_trade_that_fits_once_and_in_order(market: Market, order: Any) -> None:
    found_any = 0
    for chosen in choices():
        names = {"mint": market.mints, "wallet": market.wallets}
        wanted = Wanted(**{name: names[name][value] if name in names else value for name, value in chosen.items()})
        expected = [row for row in market.log if fits(row, wanted)]

        found = read(streams.trades(market.reader, wanted, order=order))

        found_any += bool(found)
        by_chain = order == "chain" or wanted.mint is not None
        key = in_chain(market) if by_chain else in_time
        assert Counter(row["signature"] for row in found) == Counter(row["signature"] for row in expected), chosen
        placed = [{**row, "chain_key": None if row["chain_key"] is None else bytes.fromhex(row["chain_key"])} for row in found]
        assert [key(row) for row in placed] == sorted(key(row) for row in expected), chosen
        by_signature = {row["signature"]: row for row in expected}
        for row in placed:
            assert {name: row[name] for name in row if name != "completeness"} == by_signature[row["signature"]]
            assert row["completeness"] == "unproven"
    assert found_any > 20


def test_what_is_not_in_the_record_is_an_empty_stream(market: Market) -> None:
    stranger = Maker().address()[::-1]
    for order in ("chain", "time"):
        for wanted in (Wanted(mint=stranger), Wanted(wallet=stranger), Wanted(mint=stranger, wallet=market.wallets[0])):
            assert read(streams.trades(market.reader, wanted, order=order)) == []
    assert read(candle_streams.candles(market.reader, WantedCandles(interval_seconds=60, mints=(stranger,)))) == []
    assert read(position_streams.positions(market.reader, wallet=stranger)) == []


def test_progress_ends_about_where_it_was_said_to(market: Market) -> None:
    for stream in (
        streams.trades(market.reader, Wanted()),
        streams.trades(market.reader, Wanted(), order="time"),
        streams.trades(market.reader, Wanted(wallet=market.wallets[0])),
        streams.tokens(market.reader),
    ):
        assert sum(page.looked for page in stream.pages) == stream.total > 0
    candles = candle_streams.candles(market.reader, WantedCandles(interval_seconds=60))
    assert sum(page.looked for page in candles.pages) == sum(row["confirmed"] for row in market.log) <= candles.total


# While the worker writes


@pytest.mark.parametrize("order", ["chain", "time"])
def test_each_trade_comes_once_though_provisional_ones_are_confirmed_meanwhile_and_new_ones_come(
    market: Market, order: Any
) -> None:
    """Confirmed, a trade moves from behind the place that is being read to a place before it, or nearer to it."""
    ends: tuple[dict[str, Any], ...] = ({"slot": 1001, "block_time": NOW}, {"slot": 20_000, "block_time": NOW + SECONDS})
    before = Counter(row["signature"] for row in market.log)
    provisional = [row for row in market.log if not row["confirmed"]]
    make = Maker()
    make.random.seed(11)
    stream = streams.trades(market.reader, Wanted(), order=order)
    found: list[str] = []
    store = Store.open(market.path, origin="simulator")
    try:
        for number, page in enumerate(stream.pages):
            found += [row[0] for row in page.rows]
            make.deliveries.clear()
            for place, row in enumerate(provisional[number * 3 : number * 3 + 3]):
                make.trade(
                    *(row["mint"], row["wallet"], number),
                    signature=row["signature"],
                    is_buy=row["side"] == "buy",
                    token_amount=row["token_amount"],
                    virtual_token_reserves=10**15 - 3,
                    **ends[place % 2],
                )
            for end in ends:
                make.trade(market.mints[number % TOKENS], market.wallets[0], 5000 + number, **end)
            store.apply(make.deliveries)
    finally:
        store.close()

    assert Counter(found) == before
    with open_reader(market.path) as reader:
        after = read(streams.trades(reader, Wanted(), order=order))
    assert all(row["confirmed"] for row in after)
    assert len(after) > len(found)


def test_what_was_dropped_before_its_page_was_read_is_left_out(market: Market) -> None:
    stream = streams.trades(market.reader, Wanted())
    first = next(stream.pages)
    with closing(sqlite3.connect(market.path)) as connection, connection:
        connection.execute("UPDATE trades SET state = 3")

    assert len(first.rows) == 7
    assert [page.rows for page in stream.pages if page.rows] == []


def test_between_two_pages_no_transaction_is_open(market: Market) -> None:
    """Else the writer's log could not shrink for as long as an export takes."""
    store = Store.open(market.path, origin="simulator")
    make = Maker()
    make.random.seed(12)
    try:
        for stream in (
            streams.trades(market.reader, Wanted()),
            streams.trades(market.reader, Wanted(), order="time"),
            streams.tokens(market.reader),
            candle_streams.candles(market.reader, WantedCandles(interval_seconds=1)),
            position_streams.positions(market.reader, mint=market.mints[0]),
        ):
            next(stream.pages)
            make.deliveries.clear()
            make.trade(market.mints[1], market.wallets[0], 7000)
            store.apply(make.deliveries)
            with closing(sqlite3.connect(market.path)) as connection:
                busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            assert not busy
            next(stream.pages)
    finally:
        store.close()


# Tokens, candles, positions


def test_tokens_come_as_they_first_appeared_with_every_column_of_the_view(market: Market) -> None:
    found = read(streams.tokens(market.reader))

    assert [row["mint"] for row in found] == list(market.appeared)
    with closing(sqlite3.connect(market.path)) as connection:
        columns = [name for name, *_ in connection.execute("SELECT * FROM token_board LIMIT 0").description]
    assert list(found[0]) == [*columns, "watched"]
    graduated = read(streams.tokens(market.reader, WantedTokens(status="graduated")))
    assert [row["mint"] for row in graduated] == [row["mint"] for row in found if row["status"] == "graduated"]
    assert 0 < len(graduated) < len(found)


@pytest.mark.parametrize("interval", INTERVALS)
@pytest.mark.parametrize("gapless", [False, True])
def test_candles_are_those_of_the_command_however_they_are_cut_into_pages(
    market: Market, interval: str, *, gapless: bool
) -> None:
    chance = random.Random(interval)
    length = INTERVALS[interval]
    for since, until in [(None, None), *((chance.randrange(SECONDS), chance.randrange(SECONDS)) for _ in range(4))]:
        times: dict[str, Any] = {"since": since and NOW + since, "until": until and NOW + max(until, since or 0)}
        for mint in market.mints[:3]:
            wanted = WantedCandles(interval_seconds=length, mints=(mint,), gapless=gapless, **times)
            whole = newest_candles(market.reader, mint, length, limit=10**6, gapless=gapless, **times)
            assert whole is not None

            found = [TokenCandle(**row) for row in read(candle_streams.candles(market.reader, wanted))]

            assert [msgspec.structs.asdict(candle) for candle in whole.candles] == [
                {name: getattr(candle, name) for name in ("opens_at", "open", "high", "low", "close", "volume", "buy_volume")}
                | {"trades": candle.trades, "buys": candle.buys, "volume_usd": candle.volume_usd}
                for candle in found
            ]
            assert {(candle.mint, candle.unit) for candle in found} <= {(mint, whole.unit)}


def test_candles_of_all_tokens_come_token_by_token(market: Market) -> None:
    found = read(candle_streams.candles(market.reader, WantedCandles(interval_seconds=60)))

    mints = list(dict.fromkeys(row["mint"] for row in found))
    confirmed = Counter(row["mint"] for row in market.log if row["confirmed"])
    assert mints == [mint for mint in market.appeared if confirmed[mint]]
    assert Counter({mint: sum(row["trades"] for row in found if row["mint"] == mint) for mint in mints}) == confirmed
    assert [row["opens_at"] for row in found if row["mint"] == mints[0]] == sorted(
        row["opens_at"] for row in found if row["mint"] == mints[0]
    )


def test_positions_are_the_rows_of_the_view(market: Market) -> None:
    with closing(sqlite3.connect(market.path)) as connection:
        view = connection.execute("SELECT * FROM position_board").fetchall()
    for mint in market.mints:
        found = read(position_streams.positions(market.reader, mint=mint))
        assert Counter(tuple(row.values()) for row in found) == Counter(row for row in view if row[0] == mint)
    for wallet in market.wallets:
        found = read(position_streams.positions(market.reader, wallet=wallet))
        assert [tuple(row.values()) for row in found] == sorted(
            (row for row in view if row[2] == wallet), key=lambda row: market.appeared[row[0]]
        )
        both = read(position_streams.positions(market.reader, wallet=wallet, mint=market.mints[0]))
        assert [row["mint"] for row in both] == [row["mint"] for row in found if row["mint"] == market.mints[0]]


def test_only_what_strangers_wrote_and_what_we_say_of_records_is_text() -> None:
    """A new column is taken for a stranger's text until it is known to be harmless."""
    kinds = (streams.Trade, BoardRow, TokenCandle, PositionRow)

    texts = {field.name for kind in kinds for field in streams.fields_of(kind) if field.kind == "text"}

    assert texts == {"symbol", "name", "reason", "remark"}
