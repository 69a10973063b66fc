"""What a worker process ends with when it cannot go on: the status of design.md section 6, and one sentence that says why."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from real_worker import EVERYTHING, RealWorker, subscribed, until

from pumpwatch.simulator.delivered import Feed
from pumpwatch.simulator.simulator import Simulator
from pumpwatch.storage.store import Store


def refuse(simulator: Simulator, feed: Feed, status: int) -> None:
    trouble = simulator.server(feed).trouble
    trouble.refuse = status
    trouble.refuse_until = math.inf


def test_a_second_worker_ends_with_3_and_names_the_first(worker: RealWorker, simulator: Simulator) -> None:
    worker.start()
    until(lambda: subscribed(simulator))

    second = worker.command("run", "--simulator")
    for_cron = worker.command("run", "--simulator", "--if-not-running")

    assert second.status == 3
    assert f"pid {worker.process.pid}" in second.err
    assert "Traceback" not in second.err
    assert (for_cron.status, for_cron.out, for_cron.err) == (0, "", "")
    assert worker.stop() == 0


def test_the_lock_of_a_killed_worker_is_free(worker: RealWorker, simulator: Simulator) -> None:
    worker.start()
    until(lambda: subscribed(simulator))
    worker.kill()

    assert worker.command("run", "--simulator", "--for", "0.1").status == 0


def test_wrong_settings_end_with_4_and_are_all_told_at_once(worker: RealWorker) -> None:
    (worker.folder / "pumpwatch.ini").write_text("[writer]\nbatch_size = 0\n\n[wachter]\nx = 1\n", encoding="utf-8")

    ended = worker.command("run", settings={"PUMPWATCH_CONNECTION_PING_TIMEOUT_SECONDS": "soon", "PUMPWATCH_WATCH_COLOUR": "red"})

    assert ended.status == 4
    for name in ("batch_size", "wachter", "PUMPWATCH_CONNECTION_PING_TIMEOUT_SECONDS", "PUMPWATCH_WATCH_COLOUR"):
        assert name in ended.err
    assert "pumpwatch.ini:2" in ended.err
    assert not worker.database.exists()


@pytest.mark.parametrize("page", [0, 3])
def test_a_damaged_database_ends_with_4_and_stays_as_it_is(worker: RealWorker, page: int) -> None:
    Store.open(worker.database, origin="simulator").close()
    damaged = bytearray(worker.database.read_bytes())
    damaged[page * 4096 : page * 4096 + 4096] = b"\xab" * 4096
    worker.database.write_bytes(damaged)

    ended = worker.command("run", "--simulator")

    assert ended.status == 4
    assert "is damaged" in ended.err
    assert ".recover" in ended.err
    # SQLite counts in the header how often a file was opened for writing; nothing else has changed.
    assert worker.database.read_bytes()[100:] == bytes(damaged)[100:]


def test_a_spill_file_that_cannot_be_opened_ends_with_4(worker: RealWorker) -> None:
    worker.spill.mkdir()

    ended = worker.command("run", "--simulator")

    assert ended.status == 4
    assert f"{worker.spill} cannot be opened" in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(("origin", "line"), [("mainnet", ["run", "--simulator"]), ("simulator", ["run"]), ("replay", ["run"])])
def test_a_database_of_another_origin_ends_with_4(worker: RealWorker, origin: str, line: list[str]) -> None:
    Store.open(worker.database, origin=origin).close()

    ended = worker.command(*line)

    assert ended.status == 4
    assert f"holds {origin} data" in ended.err


def test_a_simulator_is_refused_by_a_real_run(worker: RealWorker, simulator: Simulator) -> None:
    simulator.open_market()

    ended = worker.command("run", settings=EVERYTHING)

    assert ended.status == 5
    assert "they must not be mixed" in ended.err
    assert worker.ask("SELECT value FROM meta WHERE key = 'origin'") == [("mainnet",)]
    assert [worker.count(table) for table in ("trade_log", "tokens", "rejected")] == [0, 0, 0]


def test_a_real_server_is_refused_by_a_simulated_run(worker: RealWorker) -> None:
    with Simulator(rate=100, origin=None) as real:
        real.open_market()
        worker.settings.update(PUMPWATCH_PUMPPORTAL_URL=real.pumpportal_url, PUMPWATCH_HELIUS_WS_URL=real.ws_url)

        ended = worker.command("run", "--simulator", settings=EVERYTHING)

    assert ended.status == 5
    assert "is no simulator" in ended.err
    assert worker.count() == 0


def test_when_every_feed_is_refused_the_worker_ends_with_5_and_says_which_keys_are_wrong(
    worker: RealWorker, simulator: Simulator
) -> None:
    refuse(simulator, "pumpportal", 401)
    refuse(simulator, "helius", 403)

    ended = worker.command("run", "--simulator", settings=EVERYTHING)

    assert ended.status == 5
    last = ended.err.splitlines()[-1]
    assert "PUMPPORTAL_API_KEY" in last
    assert "HELIUS_API_KEY" in last
    assert "test-key" not in ended.err + ended.out
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(("refused", "goes_on"), [("pumpportal", "helius"), ("helius", "pumpportal")])
def test_one_refused_feed_does_not_end_the_other(worker: RealWorker, simulator: Simulator, refused: Feed, goes_on: Feed) -> None:
    refuse(simulator, refused, 401)
    worker.start(settings=EVERYTHING)
    until(lambda: simulator.server(refused).refused and simulator.server(goes_on).open_clients())
    simulator.open_market()

    until(lambda: worker.ask(f"SELECT count(*) > 20 FROM trade_log WHERE sources = '{goes_on}'") == [(1,)])

    assert worker.stop() == 0


DEFECT = """
import {module}

def fail(*arguments, **named):
    raise ZeroDivisionError("injected by the test")

{module}.{target} = fail
"""


@pytest.mark.parametrize(
    ("module", "target"),
    [
        ("pumpwatch.writer", "Writer.turn"),
        ("pumpwatch.watchlist", "Watchlist.turn"),
        ("pumpwatch.feeds.feed", "Feed.watch"),
        ("pumpwatch.feeds.helius", "HeliusFeed._due"),
        ("pumpwatch.supervisor", "Supervisor.turn"),
    ],
)
def test_a_thread_that_dies_ends_the_worker_with_70_and_its_traceback(
    worker: RealWorker, tmp_path: Path, module: str, target: str
) -> None:
    folder = tmp_path / "defect"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(DEFECT.format(module=module, target=target), encoding="utf-8")
    worker.settings["PYTHONPATH"] = str(folder)

    ended = worker.command("run", "--simulator", settings=EVERYTHING)

    assert ended.status == 70, ended.err
    assert "Traceback" in ended.err
    assert "injected by the test" in ended.err
    assert "stopped:" in ended.err
    assert ended.seconds < 10


def test_wrong_usage_ends_with_2(worker: RealWorker) -> None:
    ended = worker.command("run", "--for", "ever")

    assert ended.status == 2
    assert "--for" in ended.err
    assert not list(worker.folder.glob("pumpwatch.db*"))
