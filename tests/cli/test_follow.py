"""Promises of ``trades --follow``: what is new, at once, whatever happens to the file, until someone has enough."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from cli_samples import Maker, Record, Run
from storage_samples import MINT, chain_trade, delivery, message_trade

from pumpwatch.cli.follow import Lines, follow
from pumpwatch.errors import DatabaseBusy, DatabaseError
from pumpwatch.events import Trade, TradesDropped
from pumpwatch.storage.chosen import Wanted
from pumpwatch.storage.following import beginning
from pumpwatch.storage.queries import Reader, open_reader
from pumpwatch.storage.store import Store

EVERYTHING = Wanted()


class Enough(BaseException):
    """Ends a follower where the user would press Ctrl-C."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "trades.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    store = Store.open(path, origin="simulator")
    yield store
    store.close()


def steps(*happening: Callable[[], object]) -> Callable[[float], None]:
    """In place of the waiting: one of these happens each time, then it is enough."""
    left = iter(happening)

    def wait(_seconds: float) -> None:
        step = next(left, None)
        if step is None:
            raise Enough
        step()

    return wait


def interrupted() -> None:
    """What Ctrl-C is."""
    raise KeyboardInterrupt


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    out = capsys.readouterr().out
    assert out.isascii()
    return [json.loads(line) for line in out.splitlines()]


def test_each_line_is_one_document_with_its_cursor(path: Path, store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    def hole() -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("UPDATE tokens SET completeness = 'holes', holes = 1")

    with pytest.raises(Enough):
        follow(
            path,
            EVERYTHING,
            Lines(),
            wait=steps(
                lambda: store.apply([delivery("pumpportal", message_trade())]),
                lambda: store.apply([delivery("helius", chain_trade())]),
                hole,
            ),
        )

    trade, changed, holes = [line for line in lines(capsys) if line["type"] != "completeness" or line["completeness"] == "holes"]
    assert (trade["type"], trade["state"], trade["confirmed"], trade["mint"]) == ("trade", "provisional", 0, MINT)
    assert (changed["type"], changed["state"], changed["matches"], changed["slot"]) == (
        "trade_changed",
        "confirmed",
        True,
        366_647_528,
    )
    assert changed["id"] == trade["id"]
    assert {"price", "price_usd", "completeness", "signature", "sources", "chain_key"} <= set(trade)
    assert (holes["mint"], holes["holes"]) == (MINT, 1)
    assert len({line["cursor"] for line in (trade, changed, holes)}) == 3


def test_a_stream_goes_on_behind_any_of_its_lines(path: Path, store: Store, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    del run
    for number in range(4):
        store.apply([delivery("helius", chain_trade(number))])
    with open_reader(path) as reader:
        start = beginning(reader)
    with pytest.raises(Enough):
        follow(path, EVERYTHING, Lines(), place=start, wait=steps())

    trades = [line for line in lines(capsys) if line["type"] == "trade"]
    assert [trade["event_index"] for trade in trades] == [0, 1, 2, 3]
    with pytest.raises(Enough):
        follow(path, EVERYTHING, Lines(), place=type(start).of_text(trades[1]["cursor"]), wait=steps())
    assert [line["event_index"] for line in lines(capsys) if line["type"] == "trade"] == [2, 3]


def test_where_all_is_filtered_out_a_cursor_is_told_now_and_then(
    path: Path, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter(range(0, 10_000, 30))
    with pytest.raises(Enough):
        follow(
            path,
            Wanted(minimum_quote=1e6),
            Lines(lambda: next(clock)),
            wait=steps(*(lambda number=number: store.apply([delivery("helius", chain_trade(number))]) for number in range(5))),
        )

    told = [line for line in lines(capsys) if line["type"] != "completeness"]
    assert {line["type"] for line in told} == {"cursor"}
    assert 1 <= len(told) <= 3


def test_a_database_that_is_replaced_is_read_on_with_one_line_about_it(
    path: Path, store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.db"

    def put_away() -> None:
        store.close()
        for name in ("", "-wal", "-shm"):
            Path(f"{path}{name}").unlink(missing_ok=True)

    def make_another() -> None:
        another = Store.open(other, origin="simulator")
        another.apply([delivery("helius", chain_trade(1)), delivery("helius", chain_trade(2))])
        another.close()
        other.replace(path)

    store.apply([delivery("helius", chain_trade())])
    if os.name == "nt":
        pytest.skip("an open file cannot be taken away on Windows")
    with pytest.raises(Enough):
        follow(path, EVERYTHING, Lines(), wait=steps(put_away, lambda: None, lambda: None, make_another, lambda: None))

    captured = capsys.readouterr()
    told = [json.loads(line) for line in captured.out.splitlines()]
    assert (told[0]["type"], told[0]["what"]) == ("lost", "replaced")
    assert [line["event_index"] for line in told if line["type"] == "trade"] == [1, 2]
    said = captured.err.splitlines()
    assert len(said) == 1
    assert "there is no database" in said[0]
    assert said[0].endswith("; waiting")


def test_a_database_that_cannot_be_read_for_a_moment_is_waited_for(
    path: Path, store: Store, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Reader.rows
    broken = False

    def rows(self: Reader, statement: str, **parameters: object) -> list[Any]:
        if broken:
            raise DatabaseError(f"{path} cannot be read now: the database is locked") from DatabaseBusy("locked")
        return asked(self, statement, **parameters)

    def lock(value: bool) -> None:
        nonlocal broken
        broken = value

    monkeypatch.setattr(Reader, "rows", rows)
    with pytest.raises(Enough):
        follow(
            path,
            EVERYTHING,
            Lines(),
            wait=steps(
                lambda: lock(True),
                *[lambda: None] * 100,
                lambda: store.apply([delivery("helius", chain_trade())]),
                lambda: lock(False),
                lambda: None,
            ),
        )

    captured = capsys.readouterr()
    assert [json.loads(line)["type"] for line in captured.out.splitlines()][:1] == ["trade"]
    assert captured.err.count("\n") == 1
    assert "the database is locked; waiting" in captured.err


def test_a_database_that_stays_wrong_ends_it(path: Path, store: Store) -> None:
    store.apply([delivery("helius", chain_trade())])

    def damage() -> None:
        store.close()
        path.with_name("new").write_bytes(b"no database " * 1000)
        for name in ("-wal", "-shm"):
            Path(f"{path}{name}").unlink(missing_ok=True)
        path.with_name("new").replace(path)

    clock = iter(range(0, 10_000, 20))
    if os.name == "nt":
        pytest.skip("an open file cannot be replaced on Windows")
    with pytest.raises(DatabaseError):
        follow(path, EVERYTHING, Lines(), wait=steps(damage, *[lambda: None] * 100), clock=lambda: next(clock))


def test_without_a_database_there_is_nothing_to_follow(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="there is no database"):
        follow(tmp_path / "none.db", EVERYTHING, Lines())


# For people


def test_people_see_the_last_trades_then_each_new_one_and_what_is_taken_back(
    run: Run, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store.open(record.database, origin="simulator")
    make = Maker()
    make.random.seed(5)
    make.trade(record.mints[0], record.wallet, 9000)
    make.provisional(record.mints[0], record.wallet, 9001)
    [told] = make.deliveries[1].events
    assert isinstance(told, Trade)
    make.put("backfill", TradesDropped(signature=told.signature, mint=record.mints[0]))
    happening = steps(*(lambda at=at: store.apply([make.deliveries[at]]) for at in range(3)), interrupted)
    monkeypatch.setattr(time, "sleep", happening)
    outcome = run("trades", record.mints[0], "--follow", "--limit", "2")
    store.close()

    assert outcome.status == 0
    heading, columns, *rows = outcome.lines()
    assert heading.startswith("p: provisional")
    assert columns.startswith("TIME (UTC)     SIDE")
    assert len(rows) == 5
    assert rows[2].startswith("09-21 16:43:20 sell")
    assert rows[3].endswith(" p")
    assert rows[4].endswith(" x")
    assert max(map(len, outcome.lines())) <= 80


def test_a_token_may_be_followed_before_it_is_there(run: Run, record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store.open(record.database, origin="simulator")
    monkeypatch.setattr(time, "sleep", steps(lambda: store.apply([delivery("helius", chain_trade())]), interrupted))
    outcome = run("trades", MINT, "--follow", "--json")
    store.close()

    assert [line["mint"] for line in map(json.loads, outcome.lines())][:1] == [MINT]


def test_a_reader_that_is_gone_ends_it_even_when_nothing_is_new(
    path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.name == "nt":
        pytest.skip("Windows tells only when something is written")
    del store
    reading, writing = os.pipe()
    with os.fdopen(writing, "w", encoding="utf-8") as out:
        monkeypatch.setattr("sys.stdout", out)
        with pytest.raises(BrokenPipeError):
            follow(path, EVERYTHING, Lines(), wait=steps(lambda: None, lambda: os.close(reading), lambda: None))


def test_an_idle_follower_costs_next_to_nothing(path: Path, store: Store) -> None:
    store.apply([delivery("helius", chain_trade())])
    before = time.process_time()
    with pytest.raises(Enough):
        follow(path, EVERYTHING, Lines(), wait=steps(*[lambda: None] * 240))

    assert time.process_time() - before < 3  # of a minute, on a slow machine; 0.05 s where this was written
