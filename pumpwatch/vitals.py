"""
PURE. What the worker measures of itself at one moment: what /metrics shows and the operational alerts judge.

``measuring.py`` takes them, every few seconds. Counters (``*_total``) count since the start of the process; unknown is None.
"""

from __future__ import annotations

import msgspec

from pumpwatch.costs import ProviderCost
from pumpwatch.feeds.state import State

__all__ = ["FeedVitals", "ProviderCost", "Vitals"]


class FeedVitals(msgspec.Struct, frozen=True, kw_only=True):
    """
    One enabled feed.

    Attributes:
        name: ``pumpportal`` or ``helius``.
        state: As in the status file; *since* and *last_data_at* are unix seconds.
        reason: Why it is not connected, or what it does not deliver although it is; empty when all is well.
        drops_total: Lost connections by their cause (``closed``, ``cut``, ``silent``, ``ping``, ...: those of
            :data:`pumpwatch.feeds.outcome.DropCause`), and *failed_connects_total* attempts that never became one.
    """

    name: str
    state: State
    since: float
    last_data_at: float | None
    reason: str
    connects_total: int
    drops_total: dict[str, int]
    messages_total: int
    trades_total: int
    failed_connects_total: dict[str, int] = {}


class Vitals(msgspec.Struct, frozen=True, kw_only=True):
    """
    The worker at unix time *at*.

    Attributes:
        origin: Of the data: ``mainnet``, ``simulator``.
        unread_total: Messages and payloads that could not be read, by kind (those of table ``counts`` that mean trouble).
        not_ours_total: And those passed over by design, by kind.
        spilled: Deliveries waiting in the spill file.
        trades_stored_total: Rows added to the record since the start.
        commit_seconds_total: Time that *commits_total* commits took together; *commit_seconds_longest* the longest of the last
            minute.
        lock_retries_total: Batches that had to be tried again; *database_trouble* why, None when it works.
        lag_seconds: From the block time of the trades of the last minute (a feed's, not backfill's) to their commit, the median;
            None: there were none.
        gaps_open: By cause; *gap_oldest_at* since when the oldest open one is known (unix seconds).
        gaps_closed_total: Since the start.
        completeness: Watched tokens by completeness.
        backfill_requests_total: None for all three where there is no backfill.
        alarm: The programs on chain speak otherwise than we know.
        shed: What was given up for lack of disk or money: ``raw``, ``metadata``, ``admissions``, ``unpinned``.
        database_growth_bytes_per_day: Over the last hours; None: not measured yet.
    """

    at: float
    started_at: float
    version: str
    origin: str
    feeds: tuple[FeedVitals, ...]
    queue_depth: int
    queue_size: int
    spilled: int
    trades: int
    trades_stored_total: int
    watched: int
    unread_total: dict[str, int]
    not_ours_total: dict[str, int]
    last_commit_at: float | None
    commits_total: int
    commit_seconds_total: float
    commit_seconds_longest: float
    lock_retries_total: int
    database_trouble: str | None
    lag_seconds: float | None
    gaps_open: dict[str, int]
    gap_oldest_at: float | None
    gaps_closed_total: int
    completeness: dict[str, int]
    backfill_state: str | None
    backfill_reason: str | None
    backfill_requests_total: int | None
    backfill_transactions_total: int | None
    costs: tuple[ProviderCost, ...]
    database_bytes: int
    wal_bytes: int
    disk_free_bytes: int | None
    database_growth_bytes_per_day: float | None = None
    alarm: str | None = None
    shed: tuple[str, ...] = ()
