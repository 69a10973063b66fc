"""What the worker says of itself: the status for its file, and the line of the log that comes every minute."""

from __future__ import annotations

import os
import time

import pumpwatch
from pumpwatch.building import Parts
from pumpwatch.feeds.feed import Feed
from pumpwatch.status import FeedStatus, Status


def status_of(parts: Parts, *, state: str, started_at: float, reason: str | None = None) -> Status:
    """The status now; *started_at*: unix seconds; *reason*: why it has stopped by itself."""
    alarm = parts.drift.alarm
    return Status(
        pid=os.getpid(),
        started_at=started_at,
        written_at=time.time(),
        version=pumpwatch.__version__,
        state=state,
        reason=reason,
        feeds={feed.source: _feed_status(feed) for feed in parts.feeds},
        queue_depth=parts.intake.depth,
        spilled=parts.intake.spilled,
        last_commit_at=parts.store.last_commit_at,
        trades=parts.store.trades,
        watched=parts.watchlist.watched(),
        gaps_open=parts.store.gaps_open,
        backfill=None if parts.backfill is None else parts.backfill.state(),
        alarm=None if alarm is None else alarm.text,
        costs=parts.budget.costs(time.time()),
        shed=parts.shedding.shed,
        database_trouble=parts.writer.lasting_trouble(),
    )


def heartbeat(parts: Parts) -> str:
    """Counts and states, in one line."""
    states = (feed.state() for feed in parts.feeds)
    feeds = ", ".join(f"{state.name} {state.state} {state.messages} messages" for state in states)
    repairs = "no backfill" if parts.backfill is None else f"backfill {parts.backfill.state().state}"
    return (
        f"{parts.store.trades} trades, {parts.watchlist.watched()} watched, {parts.intake.depth} queued, "
        f"{parts.intake.spilled} spilled, {parts.store.gaps_open} gaps open; {feeds}, {repairs}"
    )


def _feed_status(feed: Feed) -> FeedStatus:
    state = feed.state()
    return FeedStatus(
        state=state.state,
        since=state.since,
        last_data_at=state.last_data_at,
        messages=state.messages,
        trades=state.trades,
        reason=state.reason or None,
    )
