"""``db prune``: through the running worker or by itself, to the same end; and what is told of what is gone."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from cli_samples import Record, Run
from serving_worker import ServingWorker

from pumpwatch import read
from pumpwatch.cli.output import AnswerIsNo
from pumpwatch.errors import UsageError
from pumpwatch.retention import handlers

SHOWN = ("SELECT * FROM token_board ORDER BY mint", "SELECT * FROM position_board ORDER BY 1, 3", "SELECT * FROM minutes")


@pytest.fixture
def worker(record: Record) -> Iterator[ServingWorker]:
    running = ServingWorker(record.database, lambda _intake, pruner: handlers(pruner))
    yield running
    running.end()


def ask(record: Record, query: str, *parameters: object) -> list[Any]:
    with closing(sqlite3.connect(record.database)) as connection:
        return connection.execute(query, parameters).fetchall()


def count(record: Record) -> int:
    return int(ask(record, "SELECT count(*) FROM trades")[0][0])


def test_without_a_worker_it_takes_them_out_itself_and_all_else_stays(run: Run, record: Record) -> None:
    shown, size = [ask(record, query) for query in SHOWN], record.database.stat().st_size
    trades = count(record)

    told = run("db", "prune", "--older-than", "1", "--json").json()

    assert told["trades"] == trades - count(record) > 2900
    assert told["freed_bytes"] > 0
    assert told["database_bytes"] == record.database.stat().st_size < size
    assert [ask(record, query) for query in SHOWN] == shown
    assert run("db", "check").status == 0
    assert run("db", "prune", "--older-than", "1", "--json").json()["trades"] == 0


def test_the_running_worker_takes_them_out(run: Run, record: Record, worker: ServingWorker) -> None:
    outcome = run("db", "prune", "--older-than", "1")

    assert outcome.status == 0
    assert "taken out" in outcome.lines()[0]
    assert count(record) < 100


def test_a_worker_that_does_not_know_it_is_told(run: Run, record: Record) -> None:
    running = ServingWorker(record.database)
    try:
        with pytest.raises(AnswerIsNo, match="knows no command db prune"):
            run("db", "prune", "--older-than", "1")
    finally:
        running.end()


def test_a_dry_run_changes_nothing(run: Run, record: Record) -> None:
    trades = count(record)
    assert run("db", "prune", "--older-than", "1", "--dry-run").lines()[0].startswith("3003 trades of before ")
    assert run("db", "prune", "--older-than", "100000", "--dry-run", "--json").json()["old_trades"] == 0
    assert count(record) == trades


def test_somebody_must_say_how_old(run: Run, record: Record) -> None:
    with pytest.raises(UsageError, match="--older-than DAYS"):
        run("db", "prune")


def test_whoever_shows_what_is_left_says_what_is_gone(run: Run, record: Record) -> None:
    mint = record.mints[0]
    before = {interval: run("candles", mint, "--interval", interval, "--json").json() for interval in ("1m", "15s")}
    assert before["15s"]["pruned_until"] is None
    assert run("trades", mint, "--json").json()["pruned_until"] is None
    assert "pruned" not in dict(pair for pair in run("token", mint, "--json").json().items() if pair[1] is not None)
    run("db", "prune", "--older-than", "1")
    until = ask(record, "SELECT minute * 60 FROM baselines JOIN tokens ON tokens.id = token_id WHERE mint = ?", mint)[0][0]

    said = "trades of before 2026-"
    assert run("trades", mint, "--json").json()["pruned_until"] == until
    assert any(said in line for line in run("trades", mint, "--limit", "1000").lines())
    assert not any(said in line for line in run("trades", mint, "--since", str(until)).lines())
    assert any(f"some tokens' {said}" in line for line in run("trades", "--limit", "1000").lines())
    assert run("candles", mint, "--json").json() == before["1m"], "candles of a minute and more are made of minutes"
    short = run("candles", mint, "--interval", "15s", "--json").json()
    assert short["pruned_until"] == until
    assert all(candle["opens_at"] >= until for candle in short["candles"])
    assert any("older candles from --interval 1m on" in line for line in run("candles", mint, "--interval", "15s").lines())
    told = run("token", mint, "--json").json()
    assert (told["pruned_until"], told["launch"]["is_pruned"]) == (until, True)
    assert any("first buyers" in line for line in run("token", mint).lines())
    assert any("begins with the baseline" in line for line in run("audit", mint).lines())
    assert any("from a baseline on" in line for line in run("db", "check").lines())
    assert run("db", "check", "--json").json()["baselines"] == ask(record, "SELECT count(*) FROM baselines")[0][0]
    with read.open(record.database) as opened:
        assert opened.pruned_until(mint) == until
        assert opened.pruned_until(record.mints[4]) is None


def test_a_gapless_chart_says_nothing_of_what_is_gone(run: Run, record: Record) -> None:
    mint = record.mints[0]
    run("db", "prune", "--older-than", "1")
    until = run("trades", mint, "--json").json()["pruned_until"]

    since = str(until - 300)
    filled = run("candles", mint, "--interval", "15s", "--gapless", "--since", since, "--limit", "1000", "--json").json()
    gone = run("candles", mint, "--interval", "15s", "--gapless", "--since", since, "--until", str(until - 60), "--json").json()

    assert filled["candles"][0]["opens_at"] == until
    assert gone["candles"] == []


def test_an_export_says_what_is_not_in_it(run: Run, record: Record, tmp_path: Path) -> None:
    run("db", "prune", "--older-than", "1")
    outcome = run("export", "trades", "--output", str(tmp_path / "all.csv"))
    assert outcome.status == 0
    assert "some tokens' trades of before" in outcome.err
