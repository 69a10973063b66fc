"""Files of ours are their user's alone: those of a real worker, whatever the shell's mask; a mode that was chosen stays."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from real_worker import EVERYTHING, RealWorker, subscribed, until

from pumpwatch.simulator.simulator import Simulator

pytestmark = pytest.mark.skipif(os.name == "nt", reason="there are no modes")


@pytest.fixture
def open_mask() -> Iterator[None]:
    """What the tests start inherits it: nothing is withheld."""
    before = os.umask(0)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    """Mode of each file and folder below *folder*, by its path there."""
    found = {}
    for path in folder.rglob("*"):
        try:
            found[path.relative_to(folder).as_posix()] = stat.S_IMODE(path.stat().st_mode)
        except FileNotFoundError:
            continue  # a status being replaced
    return found


def test_everything_that_a_worker_makes_is_private(worker: RealWorker, simulator: Simulator, open_mask: None) -> None:
    worker.settings.update({**EVERYTHING, "PUMPWATCH_PUMPWATCH_LOG_FILE": "logs/p.log"})
    worker.start("--record", "sessions")
    until(lambda: subscribed(simulator), what="both subscriptions")
    mint = simulator.trade(20)[0].mint
    until(lambda: worker.count() >= 20, what="trades")
    assert worker.command("watch", "add", mint).status == 0
    assert worker.command("db", "backup", "copy.db").status == 0, worker.log
    during = modes(worker.folder)
    assert worker.stop() == 0, worker.log
    after = modes(worker.folder)

    ours = {name: mode for name, mode in {**during, **after}.items() if name != "worker.log" and not name.startswith(".cache")}
    for name in ("", ".lock", ".pid", ".status.json", ".spill", ".commands", "-wal", "-shm"):
        assert f"pumpwatch.db{name}" in ours, sorted(ours)
    assert {"copy.db", "logs/p.log"} <= set(ours)
    assert [name for name in ours if name.startswith("sessions/session_")]
    loose = {name: oct(mode) for name, mode in ours.items() if mode & 0o077}
    assert not loose


def test_a_mode_that_was_given_to_the_database_stays_and_check_says_so(worker: RealWorker, open_mask: None) -> None:
    worker.start("--for", "1")
    assert worker.wait() == 0, worker.log
    assert stat.S_IMODE(worker.database.stat().st_mode) == 0o600
    worker.database.chmod(0o640)
    worker.start()
    until((worker.folder / "pumpwatch.db-shm").exists, what="the log")
    found = modes(worker.folder)
    said = worker.command("check").out
    assert worker.stop() == 0, worker.log
    for path in worker.folder.glob("pumpwatch.db*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
    assert "other users" not in worker.command("check").out

    assert (found["pumpwatch.db"], found["pumpwatch.db-wal"]) == (0o640, 0o640)  # SQLite gives its neighbours the same
    assert f"other users can read the record: chmod 600 {worker.database}" in said
