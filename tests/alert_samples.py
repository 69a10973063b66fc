"""Measurements for alerts: of a worker of which there is nothing to be said, but for what a test changes."""

from __future__ import annotations

from msgspec.structs import replace
from vitals_samples import some_vitals

from pumpwatch.vitals import FeedVitals, Vitals


def feed(
    name: str = "helius", state: str = "connected", data: float | None = None, drops: int = 0, reason: str = ""
) -> FeedVitals:
    """*data*: when its last data came."""
    return FeedVitals(
        name=name,
        state=state,  # type: ignore[arg-type]
        since=0.0,
        last_data_at=data,
        reason=reason,
        connects_total=1,
        drops_total={"lost": drops},
        messages_total=0,
        trades_total=0,
    )


def quiet(**changes: object) -> Vitals:
    """A worker of which there is nothing to be said."""
    calm: dict[str, object] = {
        "feeds": (),
        "spilled": 0,
        "unread_total": {},
        "database_trouble": None,
        "lag_seconds": 1.0,
        "gaps_open": {},
        "gap_oldest_at": None,
        "costs": (),
        "disk_free_bytes": 10**12,
        "alarm": None,
        "shed": (),
        "backfill_state": "idle",
        "backfill_reason": None,
    }
    return replace(some_vitals(), **{**calm, **changes})
