"""``db``: looking after the database. What each action does is in a module of its own, loaded when it is asked for."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pumpwatch.cli.numbers import days_in
from pumpwatch.config import Settings


def register(commands: Any) -> None:
    """Add ``db`` to the parser's subcommands."""
    db = commands.add_parser("db", help="look after the database")
    actions = db.add_subparsers(dest="action", metavar="ACTION", required=True)
    redecode = actions.add_parser(
        "redecode", help="after an update: read again what the old version kept because it could not read it"
    )
    redecode.set_defaults(function=_redecode)
    redecode.allow_abbrev = False
    redecode.add_argument("--json", action="store_true", help="one JSON document on standard output")
    check = actions.add_parser("check", help="count every number again from the trades, and look for damage; 1 if one is wrong")
    check.set_defaults(function=_check)
    check.allow_abbrev = False
    check.add_argument("--repair", action="store_true", help="make wrong numbers anew from the trades (no worker may run)")
    check.add_argument("--json", action="store_true", help="one JSON document on standard output")
    backup = actions.add_parser("backup", help="copy the whole record into one file, beside a running worker, and check the copy")
    backup.set_defaults(function=_backup)
    backup.allow_abbrev = False
    backup.add_argument("file", type=Path, metavar="FILE", help="the new file")
    backup.add_argument("--replace", action="store_true", help="a file of that name may be replaced")
    backup.add_argument("--json", action="store_true", help="one JSON document on standard output")
    migrate = actions.add_parser(
        "migrate", help="after an update: bring the file to the new version's schema, with a backup first (no worker may run)"
    )
    migrate.set_defaults(function=_migrate)
    migrate.allow_abbrev = False
    backing = migrate.add_mutually_exclusive_group()
    backing.add_argument(
        "--backup", type=Path, metavar="FILE", help="the backup (default: beside the database, named by its schema)"
    )
    backing.add_argument("--no-backup", action="store_true", help="make none")
    migrate.add_argument("--json", action="store_true", help="one JSON document on standard output")
    prune = actions.add_parser(
        "prune", help="take single trades out that are older than so many days; candles, numbers and the proof stay"
    )
    prune.set_defaults(function=_prune)
    prune.allow_abbrev = False
    prune.add_argument("--older-than", type=days_in, metavar="DAYS", help="(default: [retention] trade_days)")
    prune.add_argument("--dry-run", action="store_true", help="only tell how many are so old")
    prune.add_argument("--json", action="store_true", help="one JSON document on standard output")


def _redecode(settings: Settings, arguments: argparse.Namespace) -> int:
    from pumpwatch.cli.redecode import redecode

    return redecode(settings, as_json=arguments.json)


def _check(settings: Settings, arguments: argparse.Namespace) -> int:
    from pumpwatch.cli.check_record import check_record

    return check_record(settings, as_json=arguments.json, to_repair=arguments.repair)


def _backup(settings: Settings, arguments: argparse.Namespace) -> int:
    from pumpwatch.cli.backup import backup

    return backup(settings, arguments)


def _migrate(settings: Settings, arguments: argparse.Namespace) -> int:
    from pumpwatch.cli.migrate import run_migrate

    return run_migrate(settings, arguments)


def _prune(settings: Settings, arguments: argparse.Namespace) -> int:
    from pumpwatch.cli.prune import prune

    return prune(settings, arguments)
