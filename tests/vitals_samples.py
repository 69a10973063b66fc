"""Vitals of a worker that is well, with whatever a test changes."""

from __future__ import annotations

from typing import Any

from pumpwatch.vitals import FeedVitals, ProviderCost, Vitals

NOW = 1_790_000_000.0


def some_feed(name: str = "helius", **changes: Any) -> FeedVitals:
    known: dict[str, Any] = {
        "name": name,
        "state": "connected",
        "since": NOW - 100,
        "last_data_at": NOW - 1.5,
        "reason": "",
        "connects_total": 3,
        "drops_total": {"cut": 1, "silent": 1},
        "failed_connects_total": {"not opened": 2},
        "messages_total": 1000,
        "trades_total": 700,
    }
    return FeedVitals(**{**known, **changes})


def some_vitals(**changes: Any) -> Vitals:
    known: dict[str, Any] = {
        "at": NOW,
        "started_at": NOW - 3600,
        "version": "0.1.0",
        "origin": "simulator",
        "feeds": (some_feed("pumpportal"), some_feed()),
        "queue_depth": 5,
        "queue_size": 10_000,
        "spilled": 0,
        "trades": 1_000_000,
        "trades_stored_total": 600,
        "watched": 20,
        "unread_total": {"unknown event": 2},
        "not_ours_total": {"other launchpad: bonk": 40},
        "last_commit_at": NOW - 0.5,
        "commits_total": 100,
        "commit_seconds_total": 2.5,
        "commit_seconds_longest": 0.2,
        "lock_retries_total": 1,
        "database_trouble": None,
        "lag_seconds": 1.2,
        "gaps_open": {"disconnected": 1, "log truncated": 2},
        "gap_oldest_at": NOW - 60,
        "gaps_closed_total": 7,
        "completeness": {"complete": 15, "unproven": 5},
        "backfill_state": "idle",
        "backfill_reason": None,
        "backfill_requests_total": 300,
        "backfill_transactions_total": 200,
        "costs": (
            ProviderCost(
                provider="pumpportal",
                unit="SOL",
                period="day",
                spent=0.01,
                limit=0.02,
                projected=0.015,
                messages_total=1000,
                billed_messages_total=900,
                parts={"messages": 0.01},
            ),
            ProviderCost(provider="helius", unit="credits", period="month", spent=100, limit=1000, projected=None),
        ),
        "database_bytes": 1_000_000,
        "wal_bytes": 4096,
        "disk_free_bytes": 10**11,
        "database_growth_bytes_per_day": 86_400.0,
    }
    return Vitals(**{**known, **changes})
