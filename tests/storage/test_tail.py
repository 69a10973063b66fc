"""Promises of the stream: every trade and every change of one, at least once, in the order of their commits, from any place."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from cli_samples import Maker
from solders.pubkey import Pubkey
from storage_samples import MINT, WALLET, chain_trade, delivery, message_trade

from pumpwatch.errors import UsageError
from pumpwatch.events import Trade, TradesDropped
from pumpwatch.storage import following
from pumpwatch.storage import store as store_module
from pumpwatch.storage.chosen import Wanted
from pumpwatch.storage.following import CompletenessChanged, Lost, News, Place, Tail, Told, TradeChanged, beginning, end
from pumpwatch.storage.pruning import prune_token
from pumpwatch.storage.queries import Reader, open_reader
from pumpwatch.storage.store import Store

EVERYTHING = Wanted()
NOW_US = 1_790_000_100_000_000
OTHER_MINT = str(Pubkey(b"other".ljust(32, b"\0")))


@pytest.fixture
def reader(store: Store, path: Path) -> Iterator[Reader]:
    del store  # it made the file
    with open_reader(path) as opened:
        yield opened


def read_all(tail: Tail) -> list[tuple[News, Place]]:
    read: list[tuple[News, Place]] = []
    while True:
        batch = tail.read()
        read += batch
        if not batch and tail.is_at_end:
            return read


def news(reader: Reader, place: Place, wanted: Wanted = EVERYTHING) -> list[News]:
    return [one for one, _ in read_all(Tail(reader, wanted, place))]


def ask(path: Path, query: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def change(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(statement)


class Follower:
    """Keeps the record as the stream tells it: by row, without what is taken back."""

    def __init__(self) -> None:
        self.trades: dict[int, Told] = {}

    def take(self, told: News) -> None:
        trade = told.trade if isinstance(told, TradeChanged) else told
        if not isinstance(trade, Told):
            return
        if trade.state in ("dropped", "superseded"):
            self.trades.pop(trade.id, None)
        else:
            self.trades[trade.id] = trade

    def table(self) -> list[tuple[object, ...]]:
        rows = [trade.row for trade in self.trades.values()]
        return sorted((row.signature, row.event_index or -1, row.wallet, row.token_amount, row.confirmed) for row in rows)


def recorded(path: Path) -> list[tuple[object, ...]]:
    rows = ask(path, "SELECT signature, ifnull(event_index, -1), wallet, token_amount, confirmed FROM trade_log")
    return sorted((signature, index or -1, *rest) for signature, index, *rest in rows)


def make_trades(store: Store, number: int, *, seed: int = 1) -> None:
    """Provisional trades, some of which are confirmed, others dropped, others contradicted; and trades of the chain alone."""
    chance = random.Random(seed)
    make = Maker()
    make.random = chance
    mints, wallets = [make.address() for _ in range(3)], [make.address() for _ in range(4)]
    for at in range(number):
        mint, wallet, signature = chance.choice(mints), chance.choice(wallets), make.signature()
        make.trade(mint, wallet, at, signature=signature, virtual_quote_reserves=30 * 10**9 + at * 7)
        chain = make.deliveries.pop()
        if chance.random() < 0.6:
            [trade] = chain.events
            assert isinstance(trade, Trade)
            provisional = message_trade(
                signature=signature,
                mint=mint,
                wallet=wallet,
                is_buy=trade.is_buy,
                token_amount=trade.token_amount,
                message_key=at,
            )
            make.put("pumpportal", provisional)
        end = chance.random()
        if end < 0.2:
            make.put("backfill", TradesDropped(signature=signature, mint=mint))
        elif end < 0.9:
            make.deliveries.append(chain)
    chance.shuffle(make.deliveries)
    for start in range(0, len(make.deliveries), 5):
        store.apply(make.deliveries[start : start + 5])


def test_every_trade_is_told_once_in_the_order_of_the_commits(
    store: Store, reader: Reader, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "PAGE", 7)
    make_trades(store, 100)

    told = [one for one in news(reader, beginning(reader)) if isinstance(one, Told)]

    ids = [one.id for one in told]
    assert ids == [id_ for (id_,) in ask(path, "SELECT id FROM trades WHERE state <= 2 ORDER BY id")]
    assert [one.row.confirmed for one in told] == [int(one.state != "provisional") for one in told]


@pytest.mark.parametrize("page", [1, 3, 5000])
def test_the_stream_is_the_table_from_any_place_on_while_it_is_written(
    store: Store, reader: Reader, path: Path, page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "PAGE", page)
    whole, read = Follower(), list[tuple[News, Place]]()
    tail = Tail(reader, EVERYTHING, beginning(reader))
    for seed in range(5):
        make_trades(store, 12, seed=seed)
        read += read_all(tail) if seed % 2 else tail.read()
    read += read_all(tail)
    for one, _ in read:
        whole.take(one)
    assert whole.table() == recorded(path)
    changed = [(at, one.trade) for at, (one, _) in enumerate(read) if isinstance(one, TradeChanged)]
    told = {one.id: at for at, (one, _) in reversed(list(enumerate(read))) if isinstance(one, Told)}
    assert changed
    assert all(told[trade.id] < at for at, trade in changed if trade.state == "confirmed")

    for number in range(0, len(read), 7):  # killed behind this line, resumed at its cursor
        again = Follower()
        for one, _ in read[: number + 1]:
            again.take(one)
        for one in news(reader, Place.of_text(read[number][1].text())):
            again.take(one)
        assert again.table() == whole.table()


def test_a_trade_is_told_provisional_then_confirmed_then_what_becomes_of_it(store: Store, reader: Reader) -> None:
    tail = Tail(reader, EVERYTHING, end(reader))
    states: list[str] = []
    for event, source in (
        (message_trade(), "pumpportal"),
        (TradesDropped(signature=message_trade().signature, mint=MINT), "backfill"),
        (chain_trade(), "helius"),
    ):
        store.apply([delivery(source, event)])
        for one, _ in read_all(tail):
            if isinstance(one, Told):
                states.append(f"trade {one.state}")
            elif isinstance(one, TradeChanged):
                states.append(f"changed {one.trade.state}")

    assert states == ["trade provisional", "changed dropped", "changed confirmed"]


def test_what_landed_again_in_another_block_is_told_again(store: Store, reader: Reader) -> None:
    store.apply([delivery("helius", chain_trade())])
    tail = Tail(reader, EVERYTHING, end(reader))
    store.apply([delivery("backfill", chain_trade(slot=366_647_530, block_time=1_757_806_311))])

    [changed] = [one for one, _ in read_all(tail) if isinstance(one, TradeChanged)]
    assert (changed.trade.row.slot, changed.trade.state) == (366_647_530, "confirmed")


def test_a_change_of_completeness_is_told_with_the_token(store: Store, reader: Reader, path: Path) -> None:
    store.apply([delivery("helius", chain_trade())])
    tail = Tail(reader, EVERYTHING, end(reader))
    change(path, "UPDATE tokens SET completeness = 'holes', holes = 2, reason = 'trades are missing'")

    [changed] = [one for one, _ in read_all(tail)]
    assert isinstance(changed, CompletenessChanged)
    assert (changed.mint, changed.completeness, changed.holes, changed.reason) == (MINT, "holes", 2, "trades are missing")


def test_filters_hold_for_trades_changes_and_completeness(store: Store, reader: Reader, path: Path) -> None:
    make_trades(store, 100)
    [(mint, wallet)] = ask(path, "SELECT mint, wallet FROM trade_log GROUP BY mint, wallet ORDER BY count(*) DESC LIMIT 1")
    change(path, "UPDATE tokens SET holes = 5")

    for wanted, condition in (
        (Wanted(mint=mint), f"mint = '{mint}'"),
        (Wanted(wallet=wallet), f"wallet = '{wallet}'"),
        (Wanted(mint=mint, wallet=wallet, side="buy"), f"mint = '{mint}' AND wallet = '{wallet}' AND side = 'buy'"),
        (Wanted(minimum_tokens=1.00005), "token_amount >= 1000050"),
        (Wanted(minimum_quote=0.2), "quote_amount >= 200000000"),
        (Wanted(confirmed_only=True), "confirmed"),
        (Wanted(wallet="1" * 32), "0"),
    ):
        start = Place(beginning(reader).record, 0, 0)
        follower, told = Follower(), news(reader, start, wanted)
        for one in told:
            if not isinstance(one, TradeChanged) or one.trade.matches:
                follower.take(one)
        wanted_rows = sorted(signature for (signature,) in ask(path, f"SELECT signature FROM trade_log WHERE {condition}"))
        assert sorted(str(row[0]) for row in follower.table()) == wanted_rows, wanted
        mints = {one.mint for one in told if isinstance(one, CompletenessChanged)}
        traded = {row[0] for row in ask(path, f"SELECT DISTINCT mint FROM trade_log WHERE {condition}")}
        if wanted.mint or wanted.wallet:
            assert mints == traded


def test_a_change_that_no_longer_fits_by_size_is_told_as_such(store: Store, reader: Reader) -> None:
    wanted = Wanted(minimum_quote=0.98)
    tail = Tail(reader, wanted, end(reader))
    store.apply([delivery("pumpportal", message_trade())])
    store.apply([delivery("helius", chain_trade(quote_amount=900_000_000))])

    told = [one for one, _ in read_all(tail)]
    assert [one.trade.matches for one in told if isinstance(one, TradeChanged)] == [False]


def test_who_comes_too_late_for_the_journal_is_told(
    store: Store, reader: Reader, monkeypatch: pytest.MonkeyPatch, path: Path
) -> None:
    monkeypatch.setattr(store_module, "CHANGES_ROWS", 5)
    start = end(reader)
    tail = Tail(reader, EVERYTHING, start)
    make_trades(store, 60)
    store.prune(now_us=NOW_US)
    assert ask(path, "SELECT count(*) FROM changes") == [(5,)]

    told = news(reader, start)

    assert told[0] == Lost("changes")
    assert len([one for one in told if isinstance(one, TradeChanged | CompletenessChanged)]) == 5
    assert Lost("changes") in [one for one, _ in read_all(tail)]
    follower = Follower()
    for one in told:
        follower.take(one)
    assert follower.table() == recorded(path)  # trades are told as they are now


def test_what_is_pruned_while_it_is_read_is_told_as_lost(store: Store, reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "CHANGES_ROWS", 2)
    monkeypatch.setattr(following, "PAGE", 1)
    tail = Tail(reader, EVERYTHING, end(reader))
    for number in range(6):
        store.apply([delivery("pumpportal", message_trade(message_key=number, signature=f"{number}" * 88))])
        store.apply([delivery("helius", chain_trade(signature=f"{number}" * 88))])
    while not isinstance(tail.read()[0][0], TradeChanged):
        pass
    store.prune(now_us=NOW_US)

    told = [one for one, _ in read_all(tail)]
    assert told[0] == Lost("changes")
    assert Lost("changes") not in told[1:]


def test_another_record_and_an_older_copy_are_told_and_read_from_the_beginning(store: Store, reader: Reader, path: Path) -> None:
    make_trades(store, 20)
    here = end(reader)
    trades = [(one.id) for one in news(reader, beginning(reader)) if isinstance(one, Told)]

    def from_place(place: Place) -> tuple[News, list[int]]:
        first, *rest = news(reader, place)
        return first, [one.id for one in rest if isinstance(one, Told)]

    assert from_place(Place(here.record + 1, 3, 3)) == (Lost("replaced"), trades)
    assert from_place(Place(here.record, here.trade_id + 1, here.change_id, 5)) == (Lost("restored"), trades)
    assert from_place(Place(here.record, here.trade_id, here.change_id + 1, here.seal)) == (Lost("restored"), trades)
    assert from_place(Place(here.record, here.trade_id, here.change_id, here.seal ^ 1)) == (Lost("restored"), trades)
    change(path, f"DELETE FROM trades WHERE id = {here.trade_id - 5}")
    assert from_place(Place(here.record, here.trade_id - 5, here.change_id, 77))[0] == Lost("pruned")
    assert news(reader, here) == []


def test_a_vacuum_and_a_restart_change_no_place(store: Store, reader: Reader, path: Path) -> None:
    make_trades(store, 30)
    place = Place.of_text(end(reader).text())
    store.checkpoint()
    store.close()
    change(path, "VACUUM")
    again = Store.open(path, origin="simulator")
    again.apply([delivery("helius", chain_trade())])
    again.close()

    told = [one for one in news(reader, place) if isinstance(one, Told)]
    assert [one.row.wallet for one in told] == [WALLET]


def test_a_cursor_is_itself_and_nothing_else_is_one() -> None:
    cursor = Place(1_790_000_000_000_000, 5_000_000, 70_000, 12345).text()
    assert Place.of_text(cursor).text() == cursor
    assert cursor.isascii()
    assert cursor[0].isalpha()

    chance = random.Random(3)
    garbage = [
        "",
        "c",
        "begin",
        "0",
        "-1",
        "c" * 44,
        cursor[:-1],
        f"{cursor}A",
        f"{cursor}=",
        f" {cursor}",
        cursor.upper(),
        "🚀",
        "\0",
    ]
    for number in range(len(cursor)):
        other = chance.choice([letter for letter in "abcABC019-_+/=" if letter != cursor[number]])
        garbage.append(cursor[:number] + other + cursor[number + 1 :])
    garbage.append(Place(1, 2**63, 1).text())  # no such row can be
    for text in garbage:
        with pytest.raises(UsageError, match="--after takes"):
            Place.of_text(text)


def test_the_stream_goes_through_the_rows_behind_its_place_and_no_others(store: Store, reader: Reader, path: Path) -> None:
    make_trades(store, 5)
    plans: list[str] = []
    ask_rows = reader.rows

    def explained(statement: str, **parameters: object) -> list[Any]:
        plans.extend(str(row[3]) for row in ask_rows(f"EXPLAIN QUERY PLAN {statement}", **parameters))
        return ask_rows(statement, **parameters)

    reader.rows = explained  # type: ignore[method-assign]
    [(mint, wallet)] = ask(path, "SELECT mint, wallet FROM trade_log LIMIT 1")
    for wanted in (EVERYTHING, Wanted(mint=mint, wallet=wallet, minimum_quote=1, since=5)):
        news(reader, Place(beginning(reader).record, 0, 0), wanted)

    assert "SEARCH trades USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)" in plans
    assert not [plan for plan in plans if plan.startswith("SCAN") and "CONSTANT" not in plan and "trades" in plan]
    assert not [plan for plan in plans if "trades USING INDEX" in plan]


def old_trades(store: Store, mint: str, numbers: range) -> None:
    """One trade of *mint* a minute."""
    trades = [
        chain_trade(mint=mint, signature=f"{number:088d}", slot=number, block_time=NOW_US // 1_000_000 + 60 * number)
        for number in numbers
    ]
    store.apply([delivery("helius", trade) for trade in trades])


def prune(store: Store, mint: str, minutes: int) -> None:
    """Take out what was traded in the first *minutes*."""
    with store._engine.begin() as connection:
        token_id = connection.exec_driver_sql("SELECT id FROM tokens WHERE mint = ?", (mint,)).scalar_one()
        prune_token(connection, token_id, before=NOW_US // 1_000_000 + 60 * minutes, rows=1000, now_us=NOW_US)


def test_a_place_before_pruned_trades_has_lost_some_and_one_behind_them_has_not(store: Store, reader: Reader) -> None:
    old_trades(store, MINT, range(10))
    before, behind = beginning(reader), end(reader)
    old_trades(store, OTHER_MINT, range(10, 20))
    last = end(reader)
    prune(store, MINT, 10)

    assert news(reader, last) == []
    assert [one.row.mint for one in news(reader, behind) if isinstance(one, Told)] == [OTHER_MINT] * 10, "its own trade is gone"
    assert Lost("pruned") not in news(reader, behind)
    assert news(reader, before)[0] == Lost("pruned")
    assert news(reader, before).count(Lost("pruned")) == 1
    assert Lost("pruned") not in news(reader, before, Wanted(mint=OTHER_MINT)), "nothing of this token is gone"
    assert news(reader, before, Wanted(mint=MINT))[0] == Lost("pruned")


def test_what_is_pruned_before_its_page_is_read_is_told_as_lost(
    store: Store, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "PAGE", 4)
    old_trades(store, MINT, range(20))
    tail = Tail(reader, EVERYTHING, beginning(reader))
    told = [one for one, _ in tail.read()]
    assert len(told) == 4
    prune(store, MINT, 15)

    rest = [one for one, _ in read_all(tail)]

    assert rest[0] == Lost("pruned")
    assert rest.count(Lost("pruned")) == 1
    assert len([one for one in rest if isinstance(one, Told)]) == 5
