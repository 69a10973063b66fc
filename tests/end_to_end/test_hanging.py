"""A worker that hangs is ended, replaced, and its time is a gap that is fetched; each run is a row."""

from __future__ import annotations

import signal
import time

import psutil
import pytest
from real_worker import EVERYTHING, RealWorker, subscribed, until

from pumpwatch.simulator.simulator import Simulator
from pumpwatch.status import STALE_SECONDS, path_of, problems, read

#: The fault ``hang`` is noticed in ten seconds (the least that the settings allow).
_SETTINGS = {**EVERYTHING, "PUMPWATCH_PUMPWATCH_STUCK_AFTER_SECONDS": "10"}


def start(worker: RealWorker, simulator: Simulator, *arguments: str) -> None:
    worker.start(*arguments, settings=_SETTINGS)
    until(lambda: subscribed(simulator), what="both subscriptions")


def runs(worker: RealWorker) -> list[tuple[int | None, str | None]]:
    """Exit status and reason of each run, the first first."""
    return worker.ask("SELECT exit_status, reason FROM runs ORDER BY id")


def test_a_writer_that_hangs_ends_the_process_and_the_next_one_fetches_what_was_missed(
    worker: RealWorker, simulator: Simulator
) -> None:
    start(worker, simulator)
    simulator.trade(20)
    until(lambda: worker.count() >= 20, what="the first trades")
    simulator.fault("hang")
    until(lambda: any(happened.name == "hang" for happened in simulator.happened), what="the fault")
    known = {mint for (mint,) in worker.ask("SELECT mint FROM token_board")}
    missed = [trade for trade in simulator.trade(30) if trade.mint in known]
    assert missed

    assert worker.wait() == 70
    assert "stuck: writer: its loop has not turned for" in worker.log
    assert "thread writer" in worker.log
    assert "worker_faults.py" in worker.log, "the stack of the thread that hangs"
    status = read(path_of(worker.database))
    assert status is not None
    assert status.state == "stuck"
    [problem] = problems(status, status.written_at)
    assert "was stuck and has ended itself" in problem
    worker.start(settings=_SETTINGS)
    recorded = "SELECT count(*) FROM trade_log WHERE confirmed AND signature IN (SELECT value FROM json_each(?))"
    signatures = "[" + ",".join(f'"{trade.signature}"' for trade in missed) + "]"
    until(lambda: worker.ask(recorded, signatures) >= [(len(missed),)], what="what was missed")
    assert worker.stop() == 0
    [stuck, asked] = runs(worker)
    assert stuck[0] == 70
    assert stuck[1] is not None
    assert stuck[1].startswith("stuck: writer")
    assert asked == (0, "stopped as asked")


def test_a_kill_is_a_run_whose_end_nobody_told(worker: RealWorker, simulator: Simulator) -> None:
    start(worker, simulator)
    until(lambda: worker.count("runs"), what="the row of this run")
    assert runs(worker) == [(None, None)]
    worker.kill()
    start(worker, simulator)
    until(lambda: worker.count("runs") == 2, what="the row of the next run")

    [killed, running] = runs(worker)

    assert killed[0] is None
    assert killed[1] is not None
    assert "killed" in killed[1]
    assert running == (None, None)
    assert worker.ask("SELECT count(*) FROM runs WHERE id = 1 AND ended_at_us >= started_at_us") == [(1,)]


@pytest.mark.timeout(150)
@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="this system cannot stop a process from outside")
def test_cron_replaces_a_worker_that_stands_still_and_prints_nothing_else(worker: RealWorker, simulator: Simulator) -> None:
    start(worker, simulator)
    until(lambda: worker.count("runs"), what="the row of this run")
    before = worker.process
    assert worker.command("run", "--if-not-running", "--simulator", settings=_SETTINGS).status == 0, "a healthy one is left alone"
    psutil.Process(before.pid).suspend()
    status = read(path_of(worker.database))
    assert status is not None
    time.sleep(max(0.0, status.written_at + STALE_SECONDS + 1 - time.time()))

    ended = worker.command("run", "--if-not-running", "--simulator", "--for", "3", settings=_SETTINGS, patience=120)

    assert ended.status == 0, ended.err
    assert before.poll() is not None
    assert "hangs: its status is" in ended.err
    assert len(runs(worker)) == 2, ended.err
