"""``backfill`` as a process: with a running worker, without one, and what its exit status says."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from real_worker import EVERYTHING, QUICK, RealWorker, endpoints, opening_coins, subscribed, until

from pumpwatch.backfill.asked import Progress
from pumpwatch.cli.backfilling import _Shown
from pumpwatch.simulator.simulator import Simulator
from pumpwatch.storage.store import Store


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator(seed=3) as running:
        yield running


@pytest.fixture
def worker(tmp_path: Path, simulator: Simulator) -> Iterator[RealWorker]:
    real = RealWorker(tmp_path, {**QUICK, **EVERYTHING, **endpoints(simulator), **opening_coins(simulator)})
    try:
        yield real
    finally:
        real.end_all()


def traded(simulator: Simulator, mint: str) -> int:
    return sum(row.mint == mint for row in simulator.traded())


def recorded(worker: RealWorker, mint: str) -> int:
    connection = sqlite3.connect(worker.database)
    try:
        (number,) = connection.execute("SELECT count(*) FROM trade_log WHERE mint = ? AND confirmed", (mint,)).fetchone()
        return int(number)
    finally:
        connection.close()


def test_without_a_worker_it_fetches_by_itself_and_then_nothing_is_left(worker: RealWorker, simulator: Simulator) -> None:
    mint = simulator.market.opening["graduated"].mint
    simulator.trade(30)
    simulator.pass_time(5)
    Store.open(worker.database, origin="simulator").close()

    ended = worker.command("backfill", mint)

    assert ended.status == 0, ended.err
    assert "transactions fetched, nothing is left" in ended.out
    assert recorded(worker, mint) == traded(simulator, mint) > 0
    again = worker.command("backfill", mint, "--json")
    assert json.loads(again.out) == {
        "mint": mint,
        "done": json.loads(again.out)["done"],
        "remaining": 0,
        "reason": None,
        "pruned_until": None,
    }


def test_the_running_worker_does_it(worker: RealWorker, simulator: Simulator) -> None:
    mint = simulator.market.opening["plain"].mint
    simulator.trade(30)
    simulator.pass_time(5)
    worker.start()
    until(lambda: subscribed(simulator))

    ended = worker.command("backfill", mint)

    assert ended.status == 0, ended.err
    assert recorded(worker, mint) == traded(simulator, mint) > 0


def test_an_endpoint_that_gives_nothing_is_said_with_status_1(worker: RealWorker, simulator: Simulator) -> None:
    simulator.fault("rpc_429", seconds=60, exhausted=True)
    Store.open(worker.database, origin="simulator").close()

    ended = worker.command("backfill", simulator.market.opening["plain"].mint)

    assert ended.status == 1
    assert "still missing: " in ended.out
    assert "max usage reached" in ended.out


@pytest.mark.parametrize("arguments", [("backfill",), ("backfill", "no mint"), ("backfill", "no mint", "--gaps")])
def test_wrong_usage_is_status_2(worker: RealWorker, arguments: tuple[str, ...]) -> None:
    assert worker.command(*arguments).status == 2


class Terminal:
    """Takes what is written."""

    def __init__(self, *, is_terminal: bool) -> None:
        self.text = ""
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        """Nothing is held back."""


def test_a_terminal_has_a_bar_with_rate_and_time_left_and_a_file_has_lines() -> None:
    now = [0.0]
    steps = [Progress(done=0, left=0), Progress(done=10, left=90), Progress(done=50, left=50)]
    texts = {}
    for is_terminal in (True, False):
        now[0] = 0.0
        stream = Terminal(is_terminal=is_terminal)
        shown = _Shown(stream, "transactions", clock=lambda: now[0])  # type: ignore[arg-type]  # what it needs of a stream
        for place, progress in enumerate(steps):
            now[0] = 10.0 * place
            shown.show(progress)
        shown.end()
        texts[is_terminal] = stream.text

    assert "[###############...............] 50 of 100 transactions, 5.0 a second, about 10 s left" in texts[True]
    assert texts[True].endswith("\r\x1b[2K")
    assert texts[False].splitlines() == [
        "looking for transactions",
        "10 of 100 transactions",
        "50 of 100 transactions, 5.0 a second, about 10 s left",
    ]
