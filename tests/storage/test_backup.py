"""A backup: one moment of the record, whole and checked, beside a writer that goes on; or nothing at all."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import textwrap
import threading
from collections import namedtuple
from contextlib import closing
from pathlib import Path

import pytest
from storage_samples import chain_trade, delivery

from pumpwatch.errors import DatabaseError, UsageError
from pumpwatch.storage import backup
from pumpwatch.storage.backup import Backup, NotBackedUp, back_up
from pumpwatch.storage.queries import open_reader
from pumpwatch.storage.store import Store


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "pump wätch.db"
    store = Store.open(path, origin="simulator")
    store.apply([delivery("helius", chain_trade(signature=f"{number:088}")) for number in range(3000)])
    store.close()
    return path


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def rows(path: Path, question: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        return connection.execute(question).fetchall()


def test_a_backup_holds_every_row_and_is_a_plain_file_for_its_owner_alone(database: Path, tmp_path: Path) -> None:
    target = tmp_path / "copies" / "b.db"
    target.parent.mkdir()
    told: list[tuple[int, int]] = []

    made = back_up(database, target, progress=lambda done, total: told.append((done, total)))

    everything = "SELECT * FROM trades ORDER BY id"
    assert rows(target, everything) == rows(database, everything)
    assert (made.rows["trades"], made.origin, made.size_bytes) == (3000, "simulator", target.stat().st_size)
    assert told[-1][0] == told[-1][1] > 100_000
    with open_reader(target) as reader:
        assert reader.origin() == "simulator"
    assert rows(target, "PRAGMA journal_mode") == [("delete",)]
    assert names(target.parent) == {"b.db"}
    if os.name != "nt":
        assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_recording_goes_on_in_a_backup_that_was_put_in_place(database: Path, tmp_path: Path) -> None:
    back_up(database, tmp_path / "b.db")
    store = Store.open(tmp_path / "b.db", origin="simulator")
    store.apply([delivery("helius", chain_trade(signature=f"{50_000:088}"))])
    assert store.trades == 3001
    store.close()
    assert rows(tmp_path / "b.db", "PRAGMA journal_mode") == [("wal",)]
    assert rows(tmp_path / "b.db", "PRAGMA auto_vacuum") == [(2,)]


def test_a_backup_beside_a_writer_is_one_moment_of_it_and_holds_nobody_up(database: Path, tmp_path: Path) -> None:
    store = Store.open(database, origin="simulator")
    made: list[Backup] = []
    stop = threading.Event()
    written = 0

    def copy() -> None:
        while not stop.is_set():
            made.append(back_up(database, tmp_path / f"b{len(made)}.db"))

    thread = threading.Thread(target=copy)
    thread.start()
    try:
        while thread.is_alive() and (len(made) < 3 or made[-1].rows["trades"] == 3000):
            store.apply([delivery("helius", chain_trade(signature=f"{10_000 + written:088}"), chain_trade(1))])
            written += 1
    finally:
        stop.set()
        thread.join()
        store.close()
    assert len(made) >= 3
    for one in made:
        [(trades, told)] = rows(one.path, "SELECT (SELECT count(*) FROM trades), (SELECT sum(trades) FROM tokens)")
        assert trades == told == one.rows["trades"]
    assert made[-1].rows["trades"] <= 3001 + written


def test_what_is_written_during_the_copy_is_not_in_it_and_does_not_begin_it_anew(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "_PAGES_AT_ONCE", 20)
    store = Store.open(database, origin="simulator")
    copied: list[int] = []

    def progress(done: int, _total: int) -> None:
        copied.append(done)
        store.apply([delivery("helius", chain_trade(signature=f"{20_000 + len(copied):088}"))])

    made = back_up(database, tmp_path / "b.db", progress=progress)
    store.close()

    assert len(copied) > 10
    assert copied == sorted(copied)
    assert made.rows["trades"] == 3000


def test_a_file_that_is_there_is_kept_unless_it_is_to_be_replaced(database: Path, tmp_path: Path) -> None:
    target = tmp_path / "b.db"
    target.write_bytes(b"something dear")

    with pytest.raises(UsageError, match="exists already"):
        back_up(database, target)
    assert target.read_bytes() == b"something dear"

    assert back_up(database, target, replace=True).rows["trades"] == 3000
    assert rows(target, "SELECT count(*) FROM trades") == [(3000,)]


@pytest.mark.parametrize("end", ["", "-wal", "-shm"])
def test_the_database_itself_is_never_the_target(database: Path, end: str) -> None:
    with pytest.raises(UsageError, match="the database itself"):
        back_up(database, database.with_name(database.name + end), replace=True)


def test_the_log_of_another_database_is_never_given_to_the_backup(database: Path, tmp_path: Path) -> None:
    (tmp_path / "b.db-wal").write_bytes(b"log")
    with pytest.raises(UsageError, match="belongs to a database of that name"):
        back_up(database, tmp_path / "b.db", replace=True)


def test_without_room_nothing_is_begun(database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage(10**9, 10**9 - 10**6, 10**6))
    before = names(tmp_path)

    with pytest.raises(NotBackedUp, match=r"needs .* MB and .* has 1 MB free: make room"):
        back_up(database, tmp_path / "b.db")
    assert names(tmp_path) - before <= {f"{database.name}-wal", f"{database.name}-shm"}


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="POSIX")
def test_a_folder_that_is_not_there_is_said(database: Path, tmp_path: Path) -> None:
    with pytest.raises(NotBackedUp, match="cannot be written"):
        back_up(database, tmp_path / "nowhere" / "b.db")


@pytest.mark.parametrize("stage", ["progress", "checking"])
def test_an_interrupt_leaves_nothing_behind(database: Path, tmp_path: Path, stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup, "_STEPS", 1000)
    before = names(tmp_path)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        back_up(database, tmp_path / "b.db", **{stage: interrupt})  # type: ignore[arg-type]
    assert names(tmp_path) - before <= {f"{database.name}-wal", f"{database.name}-shm"}


def test_a_copy_that_keeps_the_log_from_shrinking_too_long_ends_itself(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "_PAGES_AT_ONCE", 5)
    monkeypatch.setattr(backup, "_MOST_LOG_BYTES", 100_000)
    store = Store.open(database, origin="simulator")
    number = 0

    def progress(_done: int, _total: int) -> None:
        nonlocal number
        number += 1
        store.apply([delivery("helius", chain_trade(signature=f"{30_000 + number:088}"))])

    with pytest.raises(NotBackedUp, match="copy to a faster disk"):
        back_up(database, tmp_path / "b.db", progress=progress)
    store.close()
    assert not [name for name in names(tmp_path) if "part" in name or name == "b.db"]


def test_a_copy_that_is_not_the_original_gets_no_name(database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = backup._make_plain

    def lose_a_row(part: Path) -> None:
        plain(part)
        with closing(sqlite3.connect(part)) as copy, copy:
            copy.execute("DELETE FROM trades WHERE id = 7")

    monkeypatch.setattr(backup, "_make_plain", lose_a_row)
    with pytest.raises(NotBackedUp, match="not what it was made from"):
        back_up(database, tmp_path / "b.db")

    def damage(part: Path) -> None:
        plain(part)
        with part.open("r+b") as file:
            file.seek(4096 * 50)
            file.write(b"\xff" * 4096)

    monkeypatch.setattr(backup, "_make_plain", damage)
    with pytest.raises(NotBackedUp, match=r"damaged|cannot be read"):
        back_up(database, tmp_path / "b.db")
    assert not [name for name in names(tmp_path) if "part" in name or name == "b.db"]


def test_what_is_no_record_is_not_backed_up(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs.db"
    with closing(sqlite3.connect(theirs)) as connection:
        connection.execute("CREATE TABLE meta (key, value)")
    with pytest.raises(DatabaseError, match="no record"):
        back_up(theirs, tmp_path / "b.db")
    with pytest.raises(DatabaseError, match="there is no database"):
        back_up(tmp_path / "nothing.db", tmp_path / "b.db")


def test_what_a_killed_backup_left_is_taken_out_by_the_next(database: Path, tmp_path: Path) -> None:
    program = textwrap.dedent(
        f"""
        import os
        from pathlib import Path
        from pumpwatch.storage import backup
        backup._checked = lambda part, checking: os._exit(9)
        backup.back_up(Path({str(database)!r}), Path({str(tmp_path / "b.db")!r}))
        """
    )
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    assert subprocess.run([sys.executable, "-c", program], check=False, env=environ).returncode == 9
    assert [name for name in names(tmp_path) if name.endswith(".part")]

    back_up(database, tmp_path / "b.db")
    assert not [name for name in names(tmp_path) if "part" in name]
    with contextlib.suppress(FileNotFoundError):
        (tmp_path / "b.db").unlink()
