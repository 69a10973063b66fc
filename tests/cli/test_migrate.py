"""``db migrate``: real files of every schema that there ever was, brought to today's, with a backup that is what they were."""

from __future__ import annotations

import shutil
import sqlite3
from collections import namedtuple
from contextlib import closing
from pathlib import Path

import pytest
from cli_samples import Record, Run
from loguru import logger
from old_files import make_old

from pumpwatch.cli.output import AnswerIsNo
from pumpwatch.errors import AlreadyRunning, DatabaseError, UsageError
from pumpwatch.storage.lock import WriterLock
from pumpwatch.storage.schema import SCHEMA_VERSION
from pumpwatch.storage.store import Store

OLD = range(1, SCHEMA_VERSION)


@pytest.fixture
def old(record: Record, request: pytest.FixtureRequest) -> int:
    """Make the database one of an older schema."""
    schema: int = request.param
    new = record.database.with_name("new.db")
    record.database.replace(new)
    make_old(new, record.database, schema)
    return schema


def ask(path: Path, question: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        return connection.execute(question).fetchall()


def schema_of(path: Path) -> object:
    return ask(path, "PRAGMA user_version")[0][0]


@pytest.mark.parametrize("old", OLD, indirect=True)
def test_an_old_file_is_updated_and_its_backup_is_what_it_was(run: Run, record: Record, old: int) -> None:
    with pytest.raises(DatabaseError, match="db migrate"):
        run("tokens")
    before = ask(record.database, "SELECT * FROM trades ORDER BY id")

    outcome = run("db", "migrate")

    assert outcome.status == 0
    lines = outcome.lines()
    assert lines[0] == f"pumpwatch.db: schema {old}, to {SCHEMA_VERSION}"
    assert "updated: pumpwatch.db is of schema" in outcome.out
    assert schema_of(record.database) == SCHEMA_VERSION
    backup = record.database.with_name(f"pumpwatch.db.schema-{old}.backup")
    assert schema_of(backup) == old
    assert ask(backup, "SELECT * FROM trades ORDER BY id") == before
    assert run("db", "check").status == 0, "every number was made"
    with WriterLock(record.database):
        pass  # it is free again
    assert run("tokens").status == 0
    assert run("db", "migrate").out == f"pumpwatch.db is of schema {SCHEMA_VERSION} already: nothing to do\n"


@pytest.mark.parametrize("old", [2], indirect=True)
def test_as_json_and_with_another_name_for_the_backup(run: Run, record: Record, old: int, tmp_path: Path) -> None:
    document = run("db", "migrate", "--backup", str(tmp_path / "b.db"), "--json").json()
    assert (document["from_schema"], document["to_schema"]) == (2, SCHEMA_VERSION)
    assert document["backup"]["schema"] == 2
    assert document["rows"]["trades"] == 3007
    assert schema_of(tmp_path / "b.db") == 2
    assert run("db", "migrate", "--json").json()["backup"] is None


@pytest.mark.parametrize("old", [3], indirect=True)
def test_without_a_backup(run: Run, record: Record, old: int) -> None:
    assert run("db", "migrate", "--no-backup").status == 0
    assert not list(record.database.parent.glob("*.backup"))


@pytest.mark.parametrize("old", [3], indirect=True)
def test_a_backup_that_was_named_is_kept_and_nothing_is_done(run: Run, record: Record, old: int, tmp_path: Path) -> None:
    backup = tmp_path / "mine.db"
    backup.write_bytes(b"dear")
    with pytest.raises(UsageError, match="exists already: name another with --backup FILE"):
        run("db", "migrate", "--backup", str(backup))
    assert (backup.read_bytes(), schema_of(record.database)) == (b"dear", 3)


@pytest.mark.parametrize("old", [3], indirect=True)
def test_the_backup_of_a_try_that_was_killed_is_kept_and_the_same_command_works(run: Run, record: Record, old: int) -> None:
    killed = [record.database.with_name(f"pumpwatch.db.schema-3{number}.backup") for number in ("", ".2")]
    for path in killed:
        path.write_bytes(b"dear")
    before = ask(record.database, "SELECT * FROM trades ORDER BY id")

    outcome = run("db", "migrate")

    assert outcome.status == 0
    assert [path.read_bytes() for path in killed] == [b"dear", b"dear"]
    third = record.database.with_name("pumpwatch.db.schema-3.3.backup")
    assert third.name in "".join(outcome.out.split())
    assert schema_of(third) == 3
    assert ask(third, "SELECT * FROM trades ORDER BY id") == before


@pytest.mark.parametrize("old", [1], indirect=True)
def test_with_a_worker_nothing_is_done(run: Run, record: Record, old: int) -> None:
    with WriterLock(record.database), pytest.raises(AlreadyRunning, match="stop it first") as raised:
        run("db", "migrate")
    assert raised.value.exit_status == 3
    assert schema_of(record.database) == 1


def usage_of(free: int) -> object:
    usage = namedtuple("usage", "total used free")
    return lambda _path: usage(10**12, 10**12 - free, free)


@pytest.mark.parametrize("old", [1, 3], indirect=True)
def test_without_room_nothing_is_touched_by_the_command_nor_by_a_worker(
    run: Run, record: Record, old: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", usage_of(10_000_000))
    with pytest.raises(DatabaseError, match="make room; nothing was changed"):
        run("db", "migrate")
    with pytest.raises(DatabaseError, match="make room; nothing was changed"):
        Store.open(record.database, origin="simulator")
    assert schema_of(record.database) == old
    assert not list(record.database.parent.glob("*.backup"))


@pytest.mark.parametrize("old", [3], indirect=True)
def test_the_backup_needs_room_too(run: Run, record: Record, old: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", usage_of(70_000_000))
    with pytest.raises(DatabaseError, match="make room"):
        run("db", "migrate")
    assert run("db", "migrate", "--no-backup").status == 0


@pytest.mark.parametrize("old", [2], indirect=True)
def test_a_worker_updates_by_itself_and_says_so(record: Record, old: int) -> None:
    said: list[str] = []
    handler = logger.add(said.append, format="{message}", level="INFO")
    try:
        Store.open(record.database, origin="simulator").close()
    finally:
        logger.remove(handler)
    assert any(f"from schema 2 to {SCHEMA_VERSION}" in line for line in said)
    assert schema_of(record.database) == SCHEMA_VERSION


@pytest.mark.parametrize("old", [2], indirect=True)
def test_a_run_of_another_origin_does_not_touch_it(record: Record, old: int) -> None:
    with pytest.raises(DatabaseError, match="never mixed"):
        Store.open(record.database, origin="mainnet")
    assert schema_of(record.database) == 2


def test_a_newer_file_is_refused(run: Run, record: Record) -> None:
    with closing(sqlite3.connect(record.database)) as connection:
        connection.execute("PRAGMA user_version=99")
    with pytest.raises(DatabaseError, match="newer pumpwatch") as raised:
        run("db", "migrate")
    assert raised.value.exit_status == 4


def test_without_a_file_there_is_nothing_to_update(run: Run, record: Record) -> None:
    record.database.unlink()
    with pytest.raises(DatabaseError, match="there is no database"):
        run("db", "migrate")


@pytest.mark.parametrize("old", [2], indirect=True)
def test_a_file_that_another_program_holds_is_left_alone(
    run: Run, record: Record, old: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(sqlite3.connect(record.database, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(AnswerIsNo, match="locked"):
            run("db", "migrate", "--no-backup")
        other.execute("ROLLBACK")
    assert schema_of(record.database) == 2


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("old", [2], indirect=True)
def test_what_was_not_updated_can_be_tried_again_with_the_same_command(
    run: Run, record: Record, old: int, named: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    backup = tmp_path / "mine.db" if named else record.database.with_name("pumpwatch.db.schema-2.backup")
    command = ("db", "migrate", *(("--backup", str(backup)) if named else ()))
    with closing(sqlite3.connect(record.database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(AnswerIsNo, match="the same command tries again"):
            run(*command)
        assert not backup.exists()
        assert "nothing was changed: the backup is removed again" in capsys.readouterr().out
        other.execute("ROLLBACK")
    run(*command)
    assert (schema_of(record.database), schema_of(backup)) == (SCHEMA_VERSION, old)


@pytest.mark.parametrize("old", [2], indirect=True)
def test_after_ctrl_c_it_can_be_tried_again(run: Run, record: Record, old: int, monkeypatch: pytest.MonkeyPatch) -> None:
    backup = record.database.with_name("pumpwatch.db.schema-2.backup")
    with monkeypatch.context() as patched:
        patched.setattr(Store, "open", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run("db", "migrate")
    assert not backup.exists()
    assert schema_of(record.database) == 2

    run("db", "migrate")
    assert (schema_of(record.database), schema_of(backup)) == (SCHEMA_VERSION, 2)


@pytest.mark.parametrize("old", [2], indirect=True)
def test_the_backup_of_an_update_that_was_begun_stays(
    run: Run, record: Record, old: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pumpwatch.storage.migrating._check", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run("db", "migrate")
    assert schema_of(record.database.with_name("pumpwatch.db.schema-2.backup")) == 2


@pytest.mark.parametrize("old", [2], indirect=True)
def test_ctrl_c_before_the_backup_is_made_removes_no_file(
    run: Run, record: Record, old: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_path: Path, target: Path, *, replace: bool) -> None:
        target.write_bytes(b"another program's")
        raise KeyboardInterrupt

    monkeypatch.setattr("pumpwatch.cli.migrate.back_up_with_bar", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run("db", "migrate", "--backup", str(tmp_path / "b.db"))
    assert (tmp_path / "b.db").read_bytes() == b"another program's"


def interrupt(*_: object, **__: object) -> None:
    raise KeyboardInterrupt
