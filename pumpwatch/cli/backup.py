"""``db backup FILE``: a checked copy of the whole record, beside a running worker."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pumpwatch.cli import output
from pumpwatch.cli.output import AnswerIsNo
from pumpwatch.cli.progress import Bar
from pumpwatch.config import Settings
from pumpwatch.errors import TransientError
from pumpwatch.files import gigabytes
from pumpwatch.storage.backup import Backup, back_up
from pumpwatch.telemetry import visible


def backup(settings: Settings, arguments: argparse.Namespace) -> int:
    """
    Exit status 0.

    Raises:
        UsageError: The file exists (2).
        NotBackedUp: No room, or it cannot be written (1); no half of it is left behind.
        DatabaseError: There is no such database, or it is damaged (4).
        AnswerIsNo: The database cannot be read now (1).

    """
    try:
        made = back_up_with_bar(settings.pumpwatch.database, arguments.file, replace=arguments.replace)
    except TransientError as error:
        raise AnswerIsNo(f"not backed up: {error}; the same command tries again") from error
    if arguments.json:
        output.print_json(document(made))
    else:
        output.print_text(sentence(made))
    return 0


def back_up_with_bar(database: Path, target: Path, *, replace: bool) -> Backup:
    """As :func:`pumpwatch.storage.backup.back_up`, with a bar on a terminal."""
    bar = Bar(sys.stderr, "MB copied")
    try:
        return back_up(
            database,
            target,
            replace=replace,
            progress=lambda done, total: bar.show(done // 1_000_000, total // 1_000_000),
            checking=lambda: bar.say("checking the copy"),
        )
    finally:
        bar.end()


def document(made: Backup) -> dict[str, object]:
    """For ``--json``."""
    return {
        "file": str(made.path),
        "size_bytes": made.size_bytes,
        "seconds": round(made.seconds, 3),
        "schema": made.schema,
        "origin": made.origin,
        "rows": made.rows,
    }


def sentence(made: Backup) -> str:
    """What was made."""
    rows = f"{made.rows.get('trades', 0):,} trades of {made.rows.get('tokens', 0):,} tokens"
    what = f"{gigabytes(made.size_bytes)}, schema {made.schema}, {visible(made.origin)} data"
    return f"{rows} in {visible(made.path, limit=300)}: {what}; opened and checked"
