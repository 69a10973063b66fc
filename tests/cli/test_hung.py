"""A worker that hangs altogether is replaced by the one that cron starts; nothing else ever is."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from pumpwatch.cli.hung import end_hung_worker
from pumpwatch.process import identity
from pumpwatch.status import Status, StatusFile, path_of
from pumpwatch.storage.lock import WriterLock

_HOLDER = """
import sys, time
from pathlib import Path
from pumpwatch.storage.lock import WriterLock
with WriterLock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(1000)
"""


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "pumpwatch.db"


@pytest.fixture
def holder(database: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that holds the lock and does nothing."""
    process = subprocess.Popen([sys.executable, "-c", _HOLDER, str(database)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline().strip() == b"held"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def write_status(database: Path, pid: int, *, age_seconds: float = 60.0, state: str = "running") -> None:
    now = time.time()
    status = Status(
        pid=pid, started_at=now - 100, written_at=now - age_seconds, version="1", state=state, feeds={}, last_commit_at=None
    )
    assert StatusFile(path_of(database)).write(status)


def nothing(_seconds: float) -> None:
    """In place of the wait."""


def test_a_worker_that_says_nothing_for_long_is_ended(database: Path, holder: subprocess.Popen[bytes]) -> None:
    write_status(database, holder.pid)
    waited: list[float] = []

    assert end_hung_worker(database, wait=waited.append)

    assert waited == [30.0]
    assert holder.wait(20) != 0
    with WriterLock(database):
        pass


@pytest.mark.skipif(not hasattr(psutil.Process, "suspend"), reason="this system cannot stop a process")
def test_even_a_stopped_process_is_ended(
    database: Path, holder: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pumpwatch.cli.hung._END_SECONDS", 1.0)
    write_status(database, holder.pid)
    psutil.Process(holder.pid).suspend()

    assert end_hung_worker(database, wait=nothing)
    assert holder.wait(20) != 0


def test_a_worker_that_writes_its_status_is_left_alone(database: Path, holder: subprocess.Popen[bytes]) -> None:
    write_status(database, holder.pid, age_seconds=1)
    assert not end_hung_worker(database, wait=nothing)

    write_status(database, holder.pid)
    assert not end_hung_worker(database, wait=lambda _: write_status(database, holder.pid, age_seconds=20)), "slow, not hung"
    assert holder.poll() is None


@pytest.mark.parametrize("state", ["starting", "stopped"])
def test_a_worker_in_another_state_is_left_alone(database: Path, holder: subprocess.Popen[bytes], state: str) -> None:
    write_status(database, holder.pid, state=state)
    assert not end_hung_worker(database, wait=nothing)
    assert holder.poll() is None


def test_a_command_that_holds_the_lock_is_left_alone(database: Path, holder: subprocess.Popen[bytes]) -> None:
    write_status(database, os.getpid())  # an older worker's
    assert not end_hung_worker(database, wait=nothing)
    database.with_name("pumpwatch.db.status.json").unlink()
    assert not end_hung_worker(database, wait=nothing)
    assert holder.poll() is None


def test_a_process_that_got_the_pid_of_the_worker_is_never_ended(database: Path, holder: subprocess.Popen[bytes]) -> None:
    write_status(database, holder.pid)
    database.with_name("pumpwatch.db.pid").write_text(f"{holder.pid}\nanother beginning\n", encoding="utf-8")
    assert not end_hung_worker(database, wait=nothing)

    database.with_name("pumpwatch.db.pid").write_text(f"{holder.pid}\n", encoding="utf-8")  # as older versions wrote it
    assert not end_hung_worker(database, wait=nothing)
    assert holder.poll() is None


def test_a_disk_that_takes_nothing_is_no_reason_to_end_a_worker(
    database: Path, holder: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_status(database, holder.pid)

    def full(_file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert not end_hung_worker(database, wait=nothing)
    assert holder.poll() is None
    assert not list(database.parent.glob("*probe*"))


def test_an_identity_is_that_of_one_process(holder: subprocess.Popen[bytes]) -> None:
    assert identity(holder.pid) == identity(holder.pid)
    assert identity(holder.pid) != identity(os.getpid())
    holder.kill()
    holder.wait()
    assert identity(holder.pid) is None
