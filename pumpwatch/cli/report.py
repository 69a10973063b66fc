"""``report``: one file for a bug report, redacted, and nothing is sent anywhere."""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import Any, Final

from pumpwatch import report as telling
from pumpwatch.cli import output
from pumpwatch.cli.numbers import count_to
from pumpwatch.config import Settings, config_file_path, load
from pumpwatch.config_model import PumpwatchSettings
from pumpwatch.errors import SettingsError, StopError, TransientError
from pumpwatch.export_file import whole_file
from pumpwatch.files import gigabytes, private_files
from pumpwatch.overview import state_of
from pumpwatch.scrubbing import Scrubber
from pumpwatch.status import StatusUnreadable, path_of, read
from pumpwatch.storage.queries import open_reader
from pumpwatch.telemetry import set_up_logging, visible

_MOST_LINES: Final = 100_000

_ABOUT: Final = (
    ("versions.json", "of pumpwatch, Python, SQLite, the system, the libraries"),
    ("settings.json", "every setting; of URLs the host, of secrets nothing"),
    ("worker.json", "what the worker last said of itself"),
    ("status.json", "what `status --json` shows"),
    ("database.json", "sizes, rows of each table, gaps, runs, alerts, counts"),
    ("schema.sql", "the tables as they are"),
    ("log.txt", "the end of the log"),
)


def register(commands: Any) -> None:
    """Add the command to the parser's subcommands."""
    report = commands.add_parser("report", help="write one file for a bug report: no secrets, no trades; nothing is sent")
    report.set_defaults(function=report_defect, takes_settings=False)
    report.add_argument("--output", type=Path, metavar="FILE", help="the file (default: pumpwatch-report-TIME.zip here)")
    report.add_argument(
        "--log-lines", type=count_to(_MOST_LINES), default=2000, metavar="N", help="so many lines of the log (default: 2000)"
    )
    report.add_argument("--with-watchlist", action="store_true", help="also the addresses of your watch list")
    report.add_argument("--json", action="store_true", help="one JSON document on standard output: what was written")


def report_defect(arguments: argparse.Namespace) -> int:
    """
    Exit status 0, whatever is wrong with settings and database: that is what it tells.

    Raises:
        NotExported: The file exists, or cannot be written (1).

    """
    path = arguments.output or Path(time.strftime("pumpwatch-report-%Y%m%dT%H%M%SZ.zip", time.gmtime()))
    texts = collected(arguments, directory=Path.cwd())
    with private_files(), whole_file(path, overwrite=False) as file:
        file.write(telling.packed(texts))
    size_bytes = path.stat().st_size
    if arguments.json:
        inside = {name: len(text.encode()) for name, text in texts.items()}
        output.print_json({"file": str(path), "size_bytes": size_bytes, "inside": inside})
        return 0
    print(f"{visible(path, limit=300)}: {gigabytes(size_bytes)}")
    for name, what in _ABOUT:
        print(f"  {name:<14} {what}")
    watchlist = "" if arguments.with_watchlist else " or your watch list"
    output.print_text(f"No secret is in it, no trade{watchlist}; nothing was sent. Look into it, then attach it to your report.")
    return 0


def collected(arguments: argparse.Namespace, *, directory: Path) -> dict[str, str]:
    """Name and text of everything in the report."""
    config = config_file_path(arguments.config, os.environ, directory)
    home = directory if config is None else config.parent
    files = [path for path in (config, home / ".env") if path is not None]
    settings, wrong = _settings(arguments.config, directory)
    secrets = telling.found_secrets(settings, os.environ, files)
    set_up_logging(level="WARNING", log_file=None, secrets=secrets)
    pumpwatch = PumpwatchSettings() if settings is None else settings.pumpwatch
    database = home / pumpwatch.database
    private: set[str] = set()
    if not arguments.with_watchlist:
        listed = telling.database_told(database, lambda diagnosis: diagnosis.watched())
        private = telling.found_addresses(settings, os.environ, files) | set(listed if isinstance(listed, list) else ())
    told = {
        "versions.json": telling.as_text(telling.versions()),
        "settings.json": telling.as_text(
            {"wrong": wrong}
            if settings is None
            else telling.settings_told(settings, with_watchlist=bool(arguments.with_watchlist))
        ),
        "worker.json": telling.as_text(_worker(database)),
        "status.json": telling.as_text(_status(settings)),
        "database.json": telling.as_text(
            {
                "files": telling.files_told(database),
                "content": telling.database_told(database, lambda diagnosis: diagnosis.facts()),
            }
        ),
        "schema.sql": str(telling.database_told(database, lambda diagnosis: diagnosis.schema())),
        "log.txt": telling.log_told(None if settings is None else pumpwatch.log_file, lines=arguments.log_lines),
    }
    texts = telling.scrubbed(told, Scrubber(secrets, private=private, home=str(Path.home())))
    return {"README.txt": telling.readme(_ABOUT), **texts}


def _settings(config: Path | None, directory: Path) -> tuple[Settings | None, list[str]]:
    try:
        return load(config=config, environ=os.environ, directory=directory), []
    except SettingsError as error:
        return None, error.problems
    except OSError as error:
        return None, [f"cannot be read: {error.strerror}"]


def _worker(database: Path) -> object:
    try:
        return read(path_of(database))
    except StatusUnreadable as error:
        return str(error)


def _status(settings: Settings | None) -> object:
    if settings is None:
        return "the settings are wrong"
    try:
        with open_reader(settings.pumpwatch.database) as reader:
            return state_of(reader, settings, time.time())
    except (StopError, TransientError) as error:
        return str(error)
