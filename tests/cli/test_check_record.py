"""``db check`` says what is wrong and what to do, and ``--repair`` does it."""

from __future__ import annotations

import io
import sqlite3
from contextlib import closing

import pytest
from cli_samples import Record, Run

from pumpwatch.cli.progress import Bar
from pumpwatch.errors import AlreadyRunning, DatabaseError
from pumpwatch.storage.lock import WriterLock

TRADES = 3007


def execute(record: Record, *statements: str) -> None:
    with closing(sqlite3.connect(record.database)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def test_a_record_that_is_right(run: Run) -> None:
    outcome = run("db", "check")
    assert outcome.status == 0
    assert outcome.lines() == [
        f"{TRADES:,} trades of 5 tokens counted again: 4 positions, 54 minutes",
        "every number is what the trades say, and the file is whole",
    ]


def test_as_json(run: Run) -> None:
    outcome = run("db", "check", "--json")
    assert outcome.status == 0
    assert outcome.json() == {
        "right": True,
        "tokens": 5,
        "trades": TRADES,
        "positions": 4,
        "minutes": 54,
        "baselines": 0,
        "damage": [],
        "differences": 0,
        "first": [],
    }


def test_what_is_wrong_is_listed_and_what_to_do(run: Run, record: Record) -> None:
    execute(
        record,
        "UPDATE tokens SET buys = buys + 1 WHERE trades > 1000",
        "UPDATE minutes SET volume = 7 WHERE minute % 2",
        "DELETE FROM positions WHERE sells > 900",
    )
    outcome = run("db", "check")
    assert outcome.status == 1
    assert "NOT RIGHT: 30 numbers of 3 tokens" in outcome.out
    busy = record.mints[0]
    assert f"{busy}\n    tokens buys: stored 2003, of its trades 2002\n" in outcome.out
    assert f"{busy}\n    positions {record.wallet}: stored nothing, of its trades a row\n" in outcome.out
    assert "... and 20 more\n" in outcome.out
    assert "db check --repair" in outcome.out
    assert max(map(len, outcome.lines())) <= 100
    found = run("db", "check", "--json").json()
    assert len(found["first"]) == found["differences"] == 30
    buys = {"table": "tokens", "row": None, "column": "buys", "stored": 2003, "expected": 2002}
    assert found["first"][0] == {"mint": busy, **buys}


def test_repair_makes_the_numbers_anew(run: Run, record: Record) -> None:
    execute(record, "UPDATE tokens SET volume = 1, wallets = 0", "DELETE FROM minutes", "UPDATE positions SET profit = 3")
    outcome = run("db", "check", "--repair", "--json")
    assert (outcome.status, outcome.json()["right"], outcome.json()["repaired"]) == (0, True, 5)
    assert run("db", "check").status == 0


def test_nothing_to_repair(run: Run) -> None:
    outcome = run("db", "check", "--repair", "--json")
    assert (outcome.status, outcome.json()["repaired"]) == (0, 0)


def test_a_running_worker_is_no_hindrance_but_to_a_repair(run: Run, record: Record) -> None:
    with WriterLock(record.database):
        assert run("db", "check").status == 0
        with pytest.raises(AlreadyRunning):
            run("db", "check", "--repair")


def test_damage_is_told_and_not_repaired(run: Run, record: Record) -> None:
    execute(record, "DELETE FROM wallets WHERE address = (SELECT max(address) FROM wallets)")
    for line in (("db", "check"), ("db", "check", "--repair")):
        outcome = run(*line)
        assert outcome.status == 1
        assert "THE FILE IS DAMAGED:" in outcome.out
        assert "ids of wallets point nowhere" in outcome.out
        assert ".recover" in outcome.out


def test_pages_of_noise_are_damage(run: Run, record: Record) -> None:
    with record.database.open("r+b") as file:
        file.seek(record.database.stat().st_size // 8192 * 4096)
        file.write(b"\xff" * 4096 * 20)
    outcome = run("db", "check")
    assert outcome.status == 1
    assert "THE FILE IS DAMAGED:" in outcome.out


def test_a_file_whose_update_did_not_end_is_refused(run: Run, record: Record) -> None:
    execute(record, "INSERT INTO meta (key, value) VALUES ('to_figure', '1')")
    with pytest.raises(DatabaseError, match="start `python -m pumpwatch` once"):
        run("db", "check")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_on_a_terminal_and_a_line_now_and_then_without_one() -> None:
    now = [0.0]
    for stream, expected in (
        (Terminal(), "\r\x1b[2K[###############...............] 500 of 1,000 trades, 50 a second, about 10 s left\r\x1b[2K"),
        (io.StringIO(), "500 of 1,000 trades, 50 a second, about 10 s left\n"),
        (None, ""),
    ):
        now[0] = 0.0
        bar = Bar(stream, "trades", clock=lambda: now[0])
        now[0] = 10.0
        bar.show(500, 1000)
        bar.show(501, 1000)  # too soon
        bar.end()
        bar.end()
        assert stream is None or stream.getvalue() == expected
