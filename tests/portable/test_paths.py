"""Folders may be called anything: blanks, letters of any script, and what has a meaning in URIs, formats and shells."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from real_worker import EVERYTHING, QUICK, RealWorker, endpoints, opening_coins, settled, subscribed, until

from pumpwatch.simulator.simulator import Simulator

ODD = "two words ä ö 日本 100%20 #1 {x} & it's (new)"


@contextmanager
def recorded(folder: Path) -> Iterator[tuple[RealWorker, Simulator]]:
    """A worker that records into a file in *folder*, whose settings are in a file there."""
    folder.mkdir(parents=True)
    database = folder / "pumpwatch.db"
    with Simulator(seed=7, rate=200, database=database) as simulator:
        ini = folder / "my pumpwatch ä.ini"
        ini.write_text(f"[pumpwatch]\nlog_file = log of {folder.name}.txt\n", encoding="utf-8")
        settings = {**QUICK, **EVERYTHING, **endpoints(simulator), **opening_coins(simulator), "PUMPWATCH_CONFIG": str(ini)}
        worker = RealWorker(folder, settings)
        try:
            yield worker, simulator
        finally:
            worker.end_all()


def test_a_worker_records_and_every_command_reads(tmp_path: Path) -> None:
    with recorded(tmp_path / ODD) as (worker, simulator):
        worker.start()
        until(lambda: subscribed(simulator), what="both subscriptions")
        simulator.trade(50)
        until(lambda: worker.count() >= 50, what="the trades")
        [(mint,)] = worker.ask("SELECT mint FROM token_board ORDER BY trades DESC LIMIT 1")
        added = worker.command("watch", "add", mint)
        assert (added.status, added.err) == (0, "")
        backup = worker.command("db", "backup", f"backup of {ODD}.db")
        assert backup.status == 0, backup.err

        found = settled(worker, simulator)

        assert found.passed, found
        assert (worker.folder / f"log of {ODD}.txt").stat().st_size > 0
        for line in (
            ["tokens"],
            ["trades", mint],
            ["db", "check"],
            ["export", "trades", "--output", f"{ODD}.csv"],
            ["watch", "list"],
        ):
            ended = worker.command(*line)
            assert (ended.status, ended.err) == (0, ""), line
        assert (worker.folder / f"{ODD}.csv").stat().st_size > 0
        status = json.loads(worker.command("status", "--json").out)
        assert status


@pytest.mark.skipif("sys.platform == 'win32'", reason="no name there holds these")
@pytest.mark.parametrize("odd", ['a?b:c"d\\e*f|g', "~", "-m"])
def test_names_that_only_posix_allows(tmp_path: Path, odd: str) -> None:
    with recorded(tmp_path / odd) as (worker, simulator):
        worker.start()
        until(lambda: subscribed(simulator), what="both subscriptions")
        simulator.trade(10)
        until(lambda: worker.count() >= 10, what="the trades")
        assert worker.stop() == 0, worker.log
        assert worker.command("tokens").status == 0
        assert worker.command("db", "check").status == 0


def test_a_demo_runs_there(tmp_path: Path) -> None:
    folder = tmp_path / ODD
    folder.mkdir()
    worker = RealWorker(folder)

    ended = worker.command("demo", "--seconds", "3", "--rate", "50", "--database", "demo ä.db", patience=50)

    assert ended.status == 0, ended.err + ended.out
    assert (folder / "demo ä.db").stat().st_size > 0
