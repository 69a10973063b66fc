"""One writing process per database."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pumpwatch.errors import AlreadyRunning, DatabaseError
from pumpwatch.storage.lock import WriterLock

HOLD = """
import sys, time
from pathlib import Path
from pumpwatch.storage.lock import WriterLock
lock = WriterLock(Path(sys.argv[1]))
lock.acquire()
print("held", flush=True)
time.sleep(600)
"""


def test_a_second_process_is_refused_and_told_the_pid_and_a_kill_frees_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "trades.db"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            lock = WriterLock(path)
            with pytest.raises(AlreadyRunning, match=rf"\(pid {holder.pid}\)"):
                lock.acquire()
        finally:
            holder.kill()
    with lock:
        assert path.with_name("trades.db.lock").exists()
    assert path.with_name("trades.db.lock").exists()  # removing it would let a second writer in


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with pytest.raises(DatabaseError, match="cannot be written"):
        WriterLock(tmp_path / "file" / "trades.db").acquire()


def test_an_unreadable_pid_is_unknown(tmp_path: Path) -> None:
    (tmp_path / "trades.db.pid").write_text("?", encoding="utf-8")
    assert WriterLock(tmp_path / "trades.db").holder() is None
