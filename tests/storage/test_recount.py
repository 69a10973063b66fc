"""Every number that is kept is counted again from the trades, and the file is looked at for damage."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from cli_samples import Maker

from pumpwatch.storage import recount
from pumpwatch.storage.damage import find_damage
from pumpwatch.storage.recount import Difference, Recount
from pumpwatch.storage.store import Store

COLUMNS = [
    *(f"tokens.{name}" for name in recount._TOKEN),
    *(f"positions.{name}" for name in recount._POSITION),
    *(f"minutes.{name}" for name in recount._MINUTE),
    "segments.trades",
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Two tokens and three wallets; one trade without a quote amount, one told by PumpPortal alone."""
    make = Maker()
    first, second = make.address(), make.address()
    wallets = [make.address() for _ in range(3)]
    make.create(first, wallets[0])
    for number in range(300):
        make.trade(first, wallets[number % 3], number, real_token_reserves=10**14 - number)
    for number in range(20):
        make.trade(second, wallets[0], number, quote_amount=None if number == 3 else 5)
    make.provisional(second, wallets[1], 1)
    path = tmp_path / "record.db"
    store = Store.open(path, origin="simulator")
    store.apply(make.deliveries)
    store.checkpoint()
    store.close()
    return path


def differences(path: Path) -> list[Difference]:
    counting = Recount(path)
    try:
        return [one for _, step in counting.steps(counting.tokens()) for one in step.differences]
    finally:
        counting.close()


def places(path: Path) -> set[tuple[str, str | None]]:
    return {(one.table, one.column) for one in differences(path)}


def execute(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def rows(path: Path, table: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall()


def repair(path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        for (token_id,) in connection.exec_driver_sql("SELECT id FROM tokens").all():
            recount.repair(connection, token_id)
    engine.dispose()


def damage(path: Path) -> list[str]:
    return find_damage(path, looking_at=lambda _: None, alive=lambda: None)


def test_what_the_writer_keeps_is_what_the_trades_say(path: Path) -> None:
    assert differences(path) == []
    assert damage(path) == []


@pytest.mark.parametrize("column", COLUMNS)
def test_every_number_that_is_not_right_is_noticed_and_repaired(path: Path, column: str) -> None:
    table, name = column.split(".")
    before = rows(path, table)
    wrong = "x'0102'" if name == "last_key" else f"ifnull({name}, 0) + 1"
    execute(path, f"UPDATE {table} SET {name} = {wrong}")

    assert places(path) == {(table, name)}
    repair(path)
    assert differences(path) == []
    assert table == "segments" or rows(path, table) == before


@pytest.mark.parametrize("table", ["positions", "minutes"])
def test_rows_that_are_missing_and_rows_of_no_trade_are_noticed_and_repaired(path: Path, table: str) -> None:
    before = rows(path, table)
    number = {"positions": "wallet_id", "minutes": "minute"}[table]
    last = f"(SELECT max({number}) FROM {table} WHERE token_id = 1)"
    execute(path, f"UPDATE {table} SET {number} = 99 WHERE token_id = 1 AND {number} = {last}")

    found = differences(path)
    assert [(one.table, one.column, one.stored, one.expected) for one in found] == [
        (table, None, "a row", None),
        (table, None, None, "a row"),
    ]
    assert found[0].row == {"positions": "wallet 99", "minutes": 99}[table]
    repair(path)
    assert differences(path) == []
    assert rows(path, table) == before


def test_a_trade_that_vanished_or_came_past_the_writer_is_noticed(path: Path) -> None:
    execute(path, "DELETE FROM trades WHERE id = 40")
    assert {"trades", "volume"} <= {column for table, column in places(path) if table == "tokens"}
    assert ("segments", "trades") in places(path)


def test_a_writer_at_work_is_no_difference(path: Path) -> None:
    """A token is read in one moment, whatever is committed meanwhile."""
    make = Maker()
    make.random.seed(99)
    mints, wallet = [make.address() for _ in range(4)], make.address()
    for number in range(3000):
        make.trade(mints[number % 4], wallet, number)
    done = threading.Event()

    def write() -> None:
        store = Store.open(path, origin="simulator")
        for start in range(0, len(make.deliveries), 20):
            store.apply(make.deliveries[start : start + 20])
        store.close()
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    looks = 0
    while not done.is_set() or not looks:
        assert differences(path) == []
        looks += 1
    writer.join()
    counting = Recount(path)
    assert sum(step.trades for _, step in counting.steps(counting.tokens())) == 3321
    counting.close()


def test_ids_that_point_nowhere_are_found(path: Path) -> None:
    execute(path, "DELETE FROM wallets WHERE id = 2", "INSERT INTO changes (at_us, token_id) VALUES (1, 77)")
    assert damage(path) == [
        "changes: 1 ids of tokens point nowhere",
        "positions: 1 ids of wallets point nowhere",
        "trades: 100 ids of wallets point nowhere",
    ]


def test_an_index_that_does_not_agree_with_its_table_is_found(path: Path) -> None:
    """What a torn page or a defect of a disk leaves: the row is there, and its index does not know."""
    execute(
        path,
        "PRAGMA writable_schema=ON",
        "UPDATE sqlite_schema SET sql = replace(sql, 'token_id', 'wallet_id') WHERE name = 'trades_chain'",
    )
    assert any("trades_chain" in text for text in damage(path))


def test_ctrl_c_ends_the_look_for_damage(path: Path) -> None:
    calls = 0

    def interrupt() -> None:
        nonlocal calls
        calls += 1
        raise KeyboardInterrupt

    numbers = "WITH RECURSIVE n(i) AS (SELECT 1000000 UNION ALL SELECT i + 1 FROM n LIMIT 60000)"
    execute(path, f"{numbers} INSERT INTO wallets SELECT i, i FROM n")
    with pytest.raises(KeyboardInterrupt):
        find_damage(path, looking_at=lambda _: None, alive=interrupt)
    assert calls == 1
