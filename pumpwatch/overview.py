"""How the recorder is at one moment, and its record, disk and costs: what ``status`` and the web page tell."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from pumpwatch.budget import Budget
from pumpwatch.config import Settings
from pumpwatch.costs import ProviderCost, period_begins
from pumpwatch.events import Usage
from pumpwatch.files import free_bytes, size_of
from pumpwatch.growth import Room, left
from pumpwatch.providers import provider_of
from pumpwatch.status import STALE_SECONDS, Status, StatusUnreadable, path_of, problems, read
from pumpwatch.storage.queries import Reader
from pumpwatch.storage.rates import Rate, newest_rates
from pumpwatch.storage.schema_figures import RATE_MINUTES
from pumpwatch.storage.scoreboard import Score
from pumpwatch.storage.sizes import measured
from pumpwatch.storage.spending import recorded_since

#: The feeds are compared by so many trades.
LAST_TRADES: Final = 20_000

_GIGABYTE: Final = 1_000_000_000
_DEAREST: Final = 5
_MOST_RATES: Final = 10


class Disk(msgspec.Struct, frozen=True, kw_only=True):
    """
    Bytes, but for *days_left*.

    Attributes:
        database_bytes: Of the file; *wal_bytes* of its log.
        unused_bytes: Of the file: what comes next goes there first.
        free_bytes: Of the disk; None: unknown.
        growth_bytes_per_day: Over the last day; None: not measured yet.
        days_left: Until *full* (``disk``, less [retention] min_free_gb, or ``max_database_gb``) is; None: it does not grow, or
            it is not known.
    """

    database_bytes: int
    wal_bytes: int
    unused_bytes: int
    free_bytes: int | None
    growth_bytes_per_day: float | None
    days_left: float | None
    full: str | None


class RateRow(msgspec.Struct, frozen=True):
    """
    The newest rate of a quote.

    Attributes:
        usd: US dollars for a whole one.
        age_seconds: Since it was so.
        stale: It is too old for trades of now, whose USD is unknown.
    """

    quote_mint: str
    usd: float
    source: str
    at_us: int
    age_seconds: float
    stale: bool


class TokenCost(msgspec.Struct, frozen=True):
    """A token, and about what it cost: its share of the trades, of what was spent."""

    mint: str
    symbol: str | None
    trades: int
    spent_estimate: float


class CostRow(msgspec.Struct, frozen=True):
    """
    One provider.

    Attributes:
        cost: Spent, limit, projection; *parts* of what was spent.
        share: Of the limit that is spent, 1 = all; None: there is no limit.
        trades: Recorded in the period, whoever brought them.
        per_1000_trades: None: nothing was recorded, or nothing is charged.
        dearest: The tokens that cost most. An estimate: by how many of the trades that this provider brought are theirs.
    """

    cost: ProviderCost
    share: float | None
    trades: int
    per_1000_trades: float | None
    dearest: list[TokenCost]


def state_of(reader: Reader, settings: Settings, now: float) -> dict[str, Any]:
    """What ``status --json`` shows, at unix time *now*."""
    path = settings.pumpwatch.database
    origin, complete, usage = reader.origin(), reader.completeness(), reader.usage()
    gaps, scores = reader.gap_counts(), _enabled(reader.scoreboard(last=LAST_TRADES), settings)
    rates, disk = rates_now(reader, now), disk_of(reader, settings, now)
    status, found = _worker(path, now)
    budget = _budget(settings, usage)
    costs = costs_of(reader, _costs(status, budget, now), now)
    paid = settings.pumpportal.has_key and settings.pumpportal.trades != "no"
    cost = budget.projection(now, tokens=sum(complete.values()) or None, paid_trades=paid)
    document = {"healthy": not found, "problems": found, "database": str(path), "origin": origin, "completeness": complete}
    record = {"disk": disk, "gaps": gaps, "rates": rates, "scoreboard": {"last_trades": LAST_TRADES, "feeds": scores}}
    return {**document, **record, "cost": cost, "costs": costs, "usage": usage, "worker": status}


def disk_of(reader: Reader, settings: Settings, now: float) -> Disk:
    """What the record takes on the disk at unix time *now*, what it grows by, and how long that goes well."""
    path, retention = settings.pumpwatch.database, settings.retention
    size = measured(reader.rows, now=now)
    free = free_bytes(path)
    ends = left(
        size.growth_bytes_per_day,
        Room(
            used_bytes=size.used_bytes,
            unused_bytes=size.unused_bytes,
            free_bytes=free,
            min_free_bytes=int(retention.min_free_gb * _GIGABYTE),
            most_bytes=int(retention.max_database_gb * _GIGABYTE),
        ),
    )
    return Disk(
        database_bytes=size_of(path),
        wal_bytes=size_of(path.with_name(f"{path.name}-wal")),
        unused_bytes=size.unused_bytes,
        free_bytes=free,
        growth_bytes_per_day=size.growth_bytes_per_day,
        days_left=None if ends is None else ends.days,
        full=None if ends is None else ends.what,
    )


def rates_now(reader: Reader, now: float) -> list[RateRow]:
    """Those of the quotes seen first."""
    return [_rate(rate, now) for rate in newest_rates(reader, limit=_MOST_RATES)]


def costs_of(reader: Reader, costs: Sequence[ProviderCost], now: float) -> list[CostRow]:
    """What each provider has cost, set against what was recorded."""
    return [_cost(reader, cost, now) for cost in costs]


def _worker(path: Path, now: float) -> tuple[Status | None, list[str]]:
    """What the worker says of itself, and what is wrong with it."""
    try:
        status = read(path_of(path))
    except StatusUnreadable as error:
        return None, [str(error)]
    return status, problems(status, now)


def _budget(settings: Settings, usage: list[Usage]) -> Budget:
    return Budget(
        pumpportal_sol_per_day=settings.budget.pumpportal_sol_per_day,
        helius_credits_per_month=settings.budget.helius_credits_per_month,
        metered=provider_of(settings.helius.ws.host, is_loopback=settings.helius.ws.is_loopback).metered,
        start=usage,
    )


def _costs(status: Status | None, budget: Budget, now: float) -> tuple[ProviderCost, ...]:
    """As the running worker has them, who knows the pace; else as the record has them."""
    if status is not None and status.costs and abs(now - status.written_at) < STALE_SECONDS:
        return status.costs
    return budget.costs(now, say=False)


def _enabled(scores: list[Score], settings: Settings) -> list[Score]:
    """Without the feeds that are switched off: they miss nothing."""
    off = {
        name for name, is_on in (("pumpportal", settings.pumpportal.enabled), ("helius", settings.helius.enabled)) if not is_on
    }
    return [score for score in scores if score.feed not in off or score.seen]


def _rate(rate: Rate, now: float) -> RateRow:
    age = max(0.0, now - rate.at_us / 1e6)
    return RateRow(rate.quote_mint, rate.usd, rate.source, rate.at_us, round(age, 1), age >= RATE_MINUTES * 60)


def _cost(reader: Reader, cost: ProviderCost, now: float) -> CostRow:
    since_us = int(period_begins(cost.period, now) * 1_000_000)
    period = recorded_since(reader, cost.provider, since_us=since_us, limit=_DEAREST)
    dearest = [TokenCost(busy.mint, busy.symbol, busy.trades, cost.spent * busy.trades / busy.of) for busy in period.busiest]
    return CostRow(
        cost=cost,
        share=cost.spent / cost.limit if cost.limit else None,
        trades=period.trades,
        per_1000_trades=cost.spent * 1000 / period.trades if period.trades and cost.limit else None,
        dearest=dearest if cost.spent else [],
    )
