"""``db prune``: take old trades out now, through the running worker or by ourselves."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from pumpwatch.cli import output
from pumpwatch.cli.output import AnswerIsNo
from pumpwatch.cli.progress import Bar
from pumpwatch.commands import ask, directory_of
from pumpwatch.config import Settings
from pumpwatch.errors import AlreadyRunning, DatabaseBusy, TransientError, UsageError
from pumpwatch.files import size_of
from pumpwatch.retention import PRUNE, PRUNE_PROGRESS, Pruning, state_of
from pumpwatch.storage.lock import WriterLock
from pumpwatch.storage.pruned import older_trades
from pumpwatch.storage.queries import open_reader
from pumpwatch.storage.store import Store
from pumpwatch.telemetry import visible

_DAY_SECONDS: Final = 86_400
_POLL_SECONDS: Final = 0.5
#: The worker's commands are served one after the other; a page of ``db redecode`` takes some seconds.
_ANSWER_SECONDS: Final = 15.0
_BUSY_SECONDS: Final = 1.0
_BUSY_TRIES: Final = 30


def prune(settings: Settings, arguments: argparse.Namespace) -> int:
    """
    Exit status 0.

    Raises:
        UsageError: Nobody said how old (2).
        AnswerIsNo: It was not done to the end (1).
        DatabaseError: There is no such database, or it is damaged (4).

    """
    days = arguments.older_than or settings.retention.trade_days
    if not days:
        raise UsageError("say how old: --older-than DAYS; [retention] trade_days is 0, so that nothing is too old by itself")
    path, before = settings.pumpwatch.database, int(time.time() - days * _DAY_SECONDS)
    with open_reader(path) as reader:
        origin, old = reader.origin(), older_trades(reader, before)
    document: dict[str, Any] = {"before": before, "old_trades": old}
    if arguments.dry_run:
        _tell_dry(document, as_json=arguments.json)
        return 0
    bar = Bar(sys.stderr, "trades")
    try:
        done = _pruned(settings, days, origin=origin, show=lambda trades: bar.show(trades, max(old, trades)))
    finally:
        bar.end()
    document |= {"trades": done.trades, "freed_bytes": done.freed_bytes, "database_bytes": size_of(path), "stay": done.stay}
    _tell(document, as_json=arguments.json)
    return 0


def _pruned(settings: Settings, days: float, *, origin: str, show: Callable[[int], None]) -> Pruning:
    """Whoever holds the lock writes."""
    lock = WriterLock(settings.pumpwatch.database)
    try:
        lock.acquire()
    except AlreadyRunning:
        return _through_worker(settings.pumpwatch.database, days, show)
    try:
        return _alone(settings, days, origin=origin, show=show)
    except TransientError as error:
        raise AnswerIsNo(f"not done to the end: {error}; the same command goes on where this one ended") from error
    finally:
        lock.release()


def _alone(settings: Settings, days: float, *, origin: str, show: Callable[[int], None]) -> Pruning:
    writer = settings.writer
    store = Store.open(
        settings.pumpwatch.database,
        origin=origin,
        busy_timeout_seconds=writer.busy_timeout_seconds,
        synchronous=writer.synchronous,
    )
    try:
        pruner = store.pruner(trade_days=0.0, max_bytes=int(settings.retention.max_database_gb * 1e9))
        pruner.ask(days)
        tries = _BUSY_TRIES
        while pruner.is_asked:
            try:
                pruner.step(now_us=time.time_ns() // 1000)
            except DatabaseBusy:
                tries -= 1
                if not tries:
                    raise
                time.sleep(_BUSY_SECONDS)
            show(pruner.tally.rows)
        store.checkpoint()
        return state_of(pruner)
    finally:
        store.close()


def _through_worker(path: Path, days: float, show: Callable[[int], None]) -> Pruning:
    began = _asked(path, PRUNE, {"older_than_days": repr(days)})
    while True:
        now = _asked(path, PRUNE_PROGRESS, {})
        now.trades -= began.trades
        now.freed_bytes -= began.freed_bytes
        if now.is_done:
            return now
        show(now.trades)
        time.sleep(_POLL_SECONDS)


def _asked(path: Path, command: str, arguments: dict[str, str]) -> Pruning:
    try:
        answer = ask(directory_of(path), command, arguments, timeout_seconds=_ANSWER_SECONDS)
    except TransientError as error:
        raise AnswerIsNo(f"{error}; what was asked for before goes on in the worker") from error
    if not answer.ok:
        raise AnswerIsNo(f"not done: {visible(answer.text, limit=300)}")
    return msgspec.json.decode(answer.text, type=Pruning)


def _tell_dry(document: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        output.print_json(document)
        return
    old, before = output.count(document["old_trades"], "trade"), output.moment(document["before"])
    print(f"{old} of before {before} would go, if nothing holds them")


def _tell(document: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        output.print_json(document)
        return
    print(
        f"{output.count(document['trades'], 'trade')} of before {output.moment(document['before'])} taken out, "
        f"{document['freed_bytes'] / 1e6:,.1f} MB given back: the file has {document['database_bytes'] / 1e6:,.1f} MB"
    )
    for reason, tokens in sorted(document["stay"].items()):
        print(f"old trades of {output.count(tokens, 'token')} stay for now: {reason}")
