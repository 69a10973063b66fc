"""``db migrate``: the schema of this version for an older file, without the worker: a backup first, a check afterwards."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

from pumpwatch.cli import output
from pumpwatch.cli.backup import back_up_with_bar, document, sentence
from pumpwatch.cli.output import AnswerIsNo
from pumpwatch.config import Settings
from pumpwatch.errors import AlreadyRunning, PumpwatchError, TransientError, UsageError
from pumpwatch.storage.backup import Backup
from pumpwatch.storage.lock import WriterLock, beside
from pumpwatch.storage.migrating import Found, Migrated, look, migrate
from pumpwatch.storage.schema import SCHEMA_VERSION
from pumpwatch.telemetry import visible


def run_migrate(settings: Settings, arguments: argparse.Namespace) -> int:
    """
    Exit status 0: it is of this version's schema now, or was before.

    Raises:
        AlreadyRunning: A worker runs (3).
        DatabaseError: Missing, damaged, newer, no room, or not right afterwards (4).
        NotBackedUp: The backup cannot be made; nothing was changed (1).
        UsageError: The file that --backup names exists (2).
        AnswerIsNo: Another program holds the file (1).

    """
    path = settings.pumpwatch.database
    try:
        found = look(path)
        if found.is_current:
            return _tell_current(path, as_json=arguments.json)
        target = None if arguments.no_backup else arguments.backup or _free_name(path, found.content.schema)
        if target is not None and target.exists():
            raise UsageError(
                f"{visible(target, limit=300)} exists already: name another with --backup FILE, or go without with --no-backup"
            )
        with _locked(path):
            if not arguments.json:
                print(f"{visible(path.name)}: schema {found.content.schema}, to {SCHEMA_VERSION}", flush=True)
            done = _migrate(path, found, target, as_json=arguments.json)
    except TransientError as error:
        raise AnswerIsNo(f"not updated: {error}; the same command tries again") from error
    _tell(path, done, as_json=arguments.json)
    return 0


def _free_name(path: Path, schema: int) -> Path:
    """For the backup: one that a killed try left, or that an earlier update of a file since restored did, is never replaced."""
    endings = itertools.chain(["backup"], (f"{number}.backup" for number in itertools.count(2)))
    return next(name for ending in endings if not (name := beside(path, f"schema-{schema}.{ending}")).exists())


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    lock = WriterLock(path)
    try:
        lock.acquire()
    except AlreadyRunning as error:
        raise AlreadyRunning(
            f"a worker (pid {lock.holder() or 'unknown'}) records into {path}: stop it first; a new version's worker updates the "
            "file by itself when it starts"
        ) from error
    try:
        yield
    finally:
        lock.release()


def _migrate(path: Path, found: Found, target: Path | None, *, as_json: bool) -> Migrated:
    if target is None:
        return migrate(path, found, None)

    is_made = False

    def make_backup() -> Backup:
        nonlocal is_made
        made = back_up_with_bar(path, target, replace=False)
        is_made = True
        if not as_json:
            output.print_text(f"backup: {sentence(made)}")
        return made

    is_same_disk = _device(target.absolute().parent) == _device(path.absolute().parent)
    try:
        return migrate(path, found, make_backup, is_same_disk=is_same_disk)
    except (TransientError, KeyboardInterrupt):
        if is_made:
            _take_back(target, path, found, as_json=as_json)
        raise


def _take_back(target: Path, path: Path, found: Found, *, as_json: bool) -> None:
    """Remove the backup that this try made, where the file is what it was: the next one makes it anew."""
    with contextlib.suppress(PumpwatchError, OSError):
        if look(path) == found:
            target.unlink()
            if not as_json:
                output.print_text("nothing was changed: the backup is removed again")


def _device(folder: Path) -> int | None:
    try:
        return os.stat(folder).st_dev  # noqa: PTH116 - what a missing folder means is the backup's to say
    except OSError:
        return None


def _tell_current(path: Path, *, as_json: bool) -> int:
    if as_json:
        output.print_json({"from_schema": SCHEMA_VERSION, "to_schema": SCHEMA_VERSION, "backup": None, "rows": None})
    else:
        print(f"{visible(path.name)} is of schema {SCHEMA_VERSION} already: nothing to do")
    return 0


def _tell(path: Path, done: Migrated, *, as_json: bool) -> None:
    if as_json:
        backup = None if done.backup is None else document(done.backup)
        schemas = {"from_schema": done.from_schema, "to_schema": done.to_schema}
        output.print_json({**schemas, "backup": backup, "rows": done.rows})
        return
    rows = f"{done.rows['trades']:,} trades of {done.rows['tokens']:,} tokens"
    output.print_text(f"updated: {visible(path.name)} is of schema {done.to_schema} now, with its {rows}; opened and checked")
