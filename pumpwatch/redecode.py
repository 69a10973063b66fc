"""
Decode again what was kept because it could not be read when it came: with this version, and the pools known now.

What becomes events is stored through the normal path, and only then taken out of ``unread``: a kill in between does it again,
which changes nothing. What still cannot be read stays.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final, TypeAlias

import msgspec

from pumpwatch.commands import Answer, Request
from pumpwatch.decode.payloads import decode_kept
from pumpwatch.decode.transactions import decode_transaction
from pumpwatch.errors import PumpwatchError, TransientError
from pumpwatch.events import Counted, Covered, Delivery, Event, PoolSeen, Rejected, Trade
from pumpwatch.figures import LARGEST
from pumpwatch.storage.intake import Intake
from pumpwatch.storage.unread import Pools, Unread, UnreadRow

#: The command of the running worker. Argument ``after_id``; the answer's text is a :class:`Page` in JSON.
COMMAND: Final = "db redecode"

#: A page is short, for the thread of the worker that serves it.
_MOST_ROWS: Final = 500
_MOST_BYTES: Final = 4 * 1024 * 1024

#: Less than who asks the worker waits for.
_STORED_WITHIN_SECONDS: Final = 4.0
_LOOK_SECONDS: Final = 0.02

#: What the worker's barrier is called: see :func:`through_intake`.
_BARRIER: Final = "redecode"

#: Store deliveries, in order, before it returns; TransientError: they may not be stored, try again.
Put: TypeAlias = Callable[[Sequence[Delivery]], None]

_stamps = itertools.count(time.time_ns() // 1000)


class Page(msgspec.Struct, kw_only=True):
    """
    What came of one page.

    Attributes:
        after_id: Where the next page begins.
        rows: How many were looked at; 0: there are no more.
        became: How many of them became events, or turned out to be nothing that is recorded, and are gone.
        trades: Trades among these events (one that was kept several times counts as often).
    """

    after_id: int
    rows: int = 0
    became: int = 0
    trades: int = 0


def redecode_page(
    unread: Unread, put: Put, *, after_id: int = 0, kind: str | None = None, found: Iterable[PoolSeen] = ()
) -> Page:
    """
    Decode the oldest rows behind *after_id* again, store what they hold now and take them out.

    Args:
        kind: Only rows of this kind: ``unknown pool``, after a pool has become known.
        found: Pools that may not be stored yet.

    Raises:
        TransientError: Not all is stored; the same call again does the rest.

    """
    rows = unread.page(after_id, most_rows=_MOST_ROWS, most_bytes=_MOST_BYTES, kind=kind)
    pools = unread.pools()
    for pool in found:
        pools.learn(pool)
    deliveries: list[Delivery] = []
    understood: list[int] = []
    for row in rows:
        events = _events_of(row, pools)
        if events is not None:
            understood.append(row.id)
            deliveries.append(Delivery(source=row.source, received_at_us=row.received_at_us, events=events))
    if deliveries:
        put(deliveries)
        unread.forget(understood)
        # Only now that nothing of their transactions is unread any more, are the feeds' provisional trades judged: once more.
        if again := [delivery for delivery in map(_without_counts, deliveries) if delivery.events]:
            put(again)
    trades = sum(type(event) is Trade for delivery in deliveries for event in delivery.events)
    return Page(after_id=rows[-1].id if rows else after_id, rows=len(rows), became=len(understood), trades=trades)


def through_intake(
    intake: Intake,
    unread: Unread,
    *,
    within_seconds: float = _STORED_WITHIN_SECONDS,
    pause: Callable[[float], object] = time.sleep,
) -> Put:
    """
    Return how the running worker stores: backfill's queue, and a wait until the writer has committed all of it.

    Args:
        pause: Waits so many seconds; it may wait less when the worker stops.

    """

    def put(deliveries: Sequence[Delivery]) -> None:
        if not deliveries:
            return
        stamp = next(_stamps)
        barrier = Covered(feed=_BARRIER, until_us=stamp)
        until = time.monotonic() + within_seconds
        for delivery in (*deliveries, Delivery(source="pumpwatch", received_at_us=stamp, events=(barrier,))):
            if not intake.put_backfill(delivery, timeout_seconds=max(0.0, until - time.monotonic())):
                raise TransientError("the worker has no room for it now")
        while unread.covered_us(_BARRIER) != stamp:
            if time.monotonic() > until:
                raise TransientError("the worker did not store it in time")
            pause(_LOOK_SECONDS)

    return put


def handler(database: Path, intake: Intake, *, pause: Callable[[float], object] = time.sleep) -> Callable[[Request], Answer]:
    """Return what the running worker does for :data:`COMMAND`: one page, within a few seconds. It does not raise."""

    def serve(request: Request) -> Answer:
        try:
            after_id = int(request.arguments.get("after_id", "0"))
            if not 0 <= after_id <= LARGEST:
                return Answer(ok=False, text="after_id is no id of a message")
            with Unread(database) as unread:
                page = redecode_page(unread, through_intake(intake, unread, pause=pause), after_id=after_id)
        except (PumpwatchError, ValueError) as error:
            return Answer(ok=False, text=str(error))
        return Answer(ok=True, text=msgspec.json.encode(page).decode())

    return serve


def _events_of(row: UnreadRow, pools: Pools) -> tuple[Event, ...] | None:
    """What the row holds; None if it still cannot be read."""
    kept = Rejected(kind=row.kind, reason=row.reason, raw=row.raw, ours=True, signature=row.signature, slot=row.slot)
    if row.raw[:1] == b"{" and row.signature is not None:
        fetched = decode_transaction(row.raw, signature=row.signature, pools=pools)
        if fetched.slot is None:
            return None
        events = fetched.events  # those of its payloads that cannot be read are kept by themselves from now on
    else:
        try:
            events = decode_kept(kept, pools)
        except ValueError:
            return None
        if any(type(event) is Rejected for event in events):
            return None
    for event in events:
        if type(event) is PoolSeen:
            pools.learn(event)
    return events


def _without_counts(delivery: Delivery) -> Delivery:
    trades = tuple(event for event in delivery.events if type(event) is not Counted and type(event) is not Rejected)
    return msgspec.structs.replace(delivery, events=trades)
