"""``db redecode``: read again what was kept because it could not be read when it came."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from pumpwatch.cli import output
from pumpwatch.cli.output import AnswerIsNo
from pumpwatch.commands import ask, directory_of
from pumpwatch.config import Settings
from pumpwatch.errors import AlreadyRunning, TransientError
from pumpwatch.events import Delivery, GapOpened
from pumpwatch.redecode import COMMAND, Page, redecode_page
from pumpwatch.storage.lock import WriterLock
from pumpwatch.storage.queries import open_reader
from pumpwatch.storage.store import Store
from pumpwatch.storage.unread import Unread
from pumpwatch.telemetry import visible

#: The worker answers within a few seconds; it may be busy with others before.
_ANSWER_SECONDS: Final = 15.0
_TRIES: Final = 5


def redecode(settings: Settings, *, as_json: bool) -> int:
    """Through the running worker, or without one by ourselves: whoever holds the lock writes."""
    path = settings.pumpwatch.database
    with open_reader(path) as reader:
        origin = reader.origin()
    lock = WriterLock(path)
    try:
        lock.acquire()
    except AlreadyRunning:
        total = _to_the_end(lambda after_id: _asked(path, after_id))
    else:
        try:
            total = _alone(settings, origin)
        finally:
            lock.release()
    with Unread(path) as unread:
        _tell(total, unread.remaining(), as_json=as_json)
    return 0


def _alone(settings: Settings, origin: str) -> Page:
    path = settings.pumpwatch.database
    try:
        store = Store.open(path, origin=origin, busy_timeout_seconds=settings.writer.busy_timeout_seconds)
        try:
            put = _stored_by(store)
            with Unread(path, busy_timeout_seconds=settings.writer.busy_timeout_seconds) as unread:
                return _to_the_end(lambda after_id: redecode_page(unread, put, after_id=after_id))
        finally:
            store.close()
    except TransientError as error:
        raise AnswerIsNo(f"not done to the end: {error}; the same command goes on where this one ended") from error


def _stored_by(store: Store) -> Callable[[Sequence[Delivery]], None]:
    """Our commits are no sign of life of a worker: the time since the last is a gap, if something was watched."""
    silent_since_us = store.last_commit_us() if store.open_spells() else None

    def put(deliveries: Sequence[Delivery]) -> None:
        nonlocal silent_since_us
        if silent_since_us is not None:
            now_us = time.time_ns() // 1000
            gap = GapOpened(cause="restart", from_us=silent_since_us, to_us=now_us, detail="no worker ran")
            deliveries = [Delivery(source="pumpwatch", received_at_us=now_us, events=(gap,)), *deliveries]
            silent_since_us = None
        store.apply(deliveries)

    return put


def _to_the_end(page_after: Callable[[int], Page]) -> Page:
    """Add the pages up."""
    total = Page(after_id=0)
    while True:
        page = page_after(total.after_id)
        total.after_id = page.after_id
        total.rows += page.rows
        total.became += page.became
        total.trades += page.trades
        if not page.rows:
            return total


def _asked(path: Path, after_id: int) -> Page:
    """One page through the worker. A busy one is asked again: what it stored meanwhile is not there twice."""
    reason = ""
    for _ in range(_TRIES):
        try:
            answer = ask(directory_of(path), COMMAND, {"after_id": str(after_id)}, timeout_seconds=_ANSWER_SECONDS)
        except TransientError as error:
            raise AnswerIsNo(str(error)) from error
        if answer.ok:
            return msgspec.json.decode(answer.text, type=Page)
        reason = visible(answer.text, limit=300)
    raise AnswerIsNo(f"not done to the end: {reason}; the same command goes on where this one ended")


def _tell(total: Page, remaining: dict[str, int], *, as_json: bool) -> None:
    if as_json:
        read = {"read_again": total.rows, "understood": total.became, "trades": total.trades}
        output.print_json({**read, "remaining": sum(remaining.values()), "remaining_by_kind": remaining})
        return
    print(f"{total.rows} kept messages read again: {total.became} understood now, with {total.trades} trades")
    kinds = ", ".join(f"{visible(kind)}: {number}" for kind, number in remaining.items())
    print(
        f"{sum(remaining.values())} remain unread ({kinds}); they stay for a later version" if remaining else "none remain unread"
    )
