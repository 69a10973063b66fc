"""``watch add``, ``watch remove`` and ``watch list``."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any, Final

from pumpwatch.cli import output
from pumpwatch.cli.output import AnswerIsNo, Column
from pumpwatch.commands import Answer, ask, directory_of
from pumpwatch.config import Settings
from pumpwatch.errors import AlreadyRunning, TransientError
from pumpwatch.events import Delivery, GapOpened
from pumpwatch.storage.lock import WriterLock
from pumpwatch.storage.queries import SpellRow, open_reader
from pumpwatch.telemetry import visible
from pumpwatch.watched import Kind, Watched
from pumpwatch.watchlist import MOST_TOKENS

_COLUMNS: Final = (Column("KIND", 6), Column("ADDRESS", 44), Column("WHY", 8), Column("SINCE (UTC)", 19))


def register(commands: Any) -> None:
    """Add ``watch`` to the parser's subcommands."""
    watch = commands.add_parser("watch", help="the watch list of the running worker, or of the next one")
    actions = watch.add_subparsers(dest="action", metavar="ACTION", required=True)
    add = actions.add_parser("add", help="watch these tokens (or wallets) until they are removed")
    remove = actions.add_parser("remove", help="stop watching them")
    listing = actions.add_parser("list", help="what is watched, why and since when")
    for action in (add, remove):
        action.add_argument("addresses", nargs="+", metavar="ADDRESS", help="mints; wallets with --wallet")
        action.add_argument("--wallet", action="store_true", help="these are wallets, not tokens")
        action.set_defaults(function=change)
    listing.set_defaults(function=show)
    for action in (add, remove, listing):
        action.allow_abbrev = False
        action.add_argument("--json", action="store_true", help="one JSON document on standard output")


def show(settings: Settings, arguments: argparse.Namespace) -> int:
    """List the open spells, and what the settings pin and no worker has begun yet."""
    with open_reader(settings.pumpwatch.database) as reader:
        rows = reader.open_spells()
    known = {(row.kind, row.address) for row in rows}
    pinned = [("token", mint) for mint in settings.watch.mints] + [("wallet", wallet) for wallet in settings.watch.wallets]
    waiting = [pin for pin in pinned if pin not in known]
    if arguments.json:
        begun = [_entry(row) for row in rows]
        output.print_json(
            {"watched": begun, "pinned_for_the_next_start": [{"kind": kind, "address": address} for kind, address in waiting]}
        )
        return 0
    cells: list[tuple[object, ...]] = [
        (row.kind, row.address, row.reason, output.moment(row.started_at_us / 1_000_000)) for row in rows
    ]
    cells += [(kind, address, "pinned", "from the next start") for kind, address in waiting]
    output.print_table(_COLUMNS, cells)
    return 0


def _entry(row: SpellRow) -> dict[str, object]:
    return {
        "kind": row.kind,
        "address": row.address,
        "symbol": row.symbol,
        "reason": row.reason,
        "started_at_us": row.started_at_us,
    }


def change(settings: Settings, arguments: argparse.Namespace) -> int:
    """Add or remove. Exit status 1 if any of the addresses was refused."""
    kind: Kind = "wallet" if arguments.wallet else "token"
    origin = "mainnet"
    if arguments.action != "add" or settings.pumpwatch.database.exists():  # before the first run, adding makes the file
        with open_reader(settings.pumpwatch.database) as reader:
            origin = reader.origin()
    answers = [(address, _change_one(settings, origin, arguments.action, kind, address)) for address in arguments.addresses]
    if arguments.json:
        output.print_json([{"address": address, "ok": answer.ok, "text": answer.text} for address, answer in answers])
    else:
        for _, answer in answers:
            print(visible(answer.text, limit=300), file=sys.stdout if answer.ok else sys.stderr)
    return 0 if all(answer.ok for _, answer in answers) else 1


def _change_one(settings: Settings, origin: str, action: str, kind: Kind, address: str) -> Answer:
    """Through the running worker, or without one by ourselves: whoever holds the lock writes."""
    path = settings.pumpwatch.database
    lock = WriterLock(path)
    try:
        lock.acquire()
    except AlreadyRunning:
        return _ask_worker(path, action, kind, address)
    try:
        return _apply(settings, origin, action, kind, address)
    except TransientError as error:
        raise AnswerIsNo(f"not done: {error}") from error
    finally:
        lock.release()


def _ask_worker(path: Path, action: str, kind: Kind, address: str) -> Answer:
    try:
        return ask(directory_of(path), f"watch {action}", {"kind": kind, "address": address})
    except TransientError as error:
        raise AnswerIsNo(str(error)) from error


def _apply(settings: Settings, origin: str, action: str, kind: Kind, address: str) -> Answer:
    """Change the list in the database. Our commit is no sign of life of a worker: the time since the last is a gap."""
    from pumpwatch.storage.store import Store

    path, now_us = settings.pumpwatch.database, time.time_ns() // 1000
    most = MOST_TOKENS if settings.helius.scope == "all" else settings.watch.max_tokens
    if not path.exists():
        rehearsal = Watched(settings.watch, most=most)
        answer = rehearsal.add(kind, address, now_us)
        if not rehearsal.unrecorded():  # refused, or nothing to do: no reason for a file
            return answer
    store = Store.open(path, origin=origin, busy_timeout_seconds=settings.writer.busy_timeout_seconds)
    try:
        spells = store.open_spells()
        watched = Watched(settings.watch, most=most, spells=spells)
        answer = (watched.add if action == "add" else watched.remove)(kind, address, now_us)
        if deliveries := watched.unrecorded():
            silent_since_us = store.last_commit_us()
            if spells and silent_since_us is not None:
                gap = GapOpened(cause="restart", from_us=silent_since_us, to_us=now_us, detail="no worker ran")
                deliveries.insert(0, Delivery(source="pumpwatch", received_at_us=now_us, events=(gap,)))
            store.apply(deliveries)
    finally:
        store.close()
    return answer
