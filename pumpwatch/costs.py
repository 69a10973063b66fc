"""PURE. What providers cost: how fast it grows and where that leads, what one token brings, what is left of a month."""

from __future__ import annotations

import calendar
from collections import deque
from datetime import UTC, datetime
from typing import Final

import msgspec

from pumpwatch.tariff import BYTES_PER_CREDIT, CREDITS_PER_CONNECTION, HELIUS, PAID_MESSAGES_PER_SOL, PUMPPORTAL, Tally

#: What one watched token brings, until measured: 17 new mints cost 2.0 M credits a month (one third-party measurement, 2026).
GUESSED_BYTES_PER_TOKEN_HOUR: Final = 2_000_000 * BYTES_PER_CREDIT // (17 * 730)

#: The guess counts like this many token-hours of measurement, so that the first busy minute is not taken for the rule.
_GUESS_WEIGHT_TOKEN_HOURS: Final = 4.0

#: A measurement loses half of its weight in this time: yesterday's market says little about today's.
_HALF_LIFE_SECONDS: Final = 6 * 3600.0

#: Somebody should hear of it when so much of a limit is spent.
NEARLY_SPENT: Final = 0.8

_DAY_SECONDS: Final = 86_400
_SAMPLED_EVERY_SECONDS: Final = 60.0
_SAMPLES: Final = 60


class ProviderCost(msgspec.Struct, frozen=True, kw_only=True):
    """
    What one provider has cost and will.

    Attributes:
        provider: ``pumpportal`` or ``helius``.
        unit: ``SOL`` or ``credits``.
        period: ``day`` or ``month``, of UTC: what *limit* bounds.
        spent: In this period; *limit* None: not bounded (nothing is charged, or nothing is counted).
        projected: At the end of the period, if it goes on as in the last hour; None: not measured yet.
        messages_total: Since the start of the process; *billed_messages_total* of them are charged by the message.
        parts: Of *spent*: ``streaming``, ``connections`` and ``calls`` of Helius, ``messages`` of PumpPortal.
    """

    provider: str
    unit: str
    period: str
    spent: float
    limit: float | None
    projected: float | None
    messages_total: int = 0
    billed_messages_total: int = 0
    parts: dict[str, float] = {}


class Meter:
    """How fast a sum grows: over the last hour, or since the start where that is shorter."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, float]] = deque(maxlen=_SAMPLES + 1)

    def per_second(self, now: float, total: float) -> float | None:
        """Take *total* at the unix time *now*, and return what is added in a second; None: not measured for long enough yet."""
        samples = self._samples
        if samples and not samples[-1][0] <= now:
            samples.clear()  # the clock was set back
        if not samples or now - samples[-1][0] >= _SAMPLED_EVERY_SECONDS:
            samples.append((now, total))
        while len(samples) > 1 and now - samples[0][0] > (_SAMPLES + 1) * _SAMPLED_EVERY_SECONDS:
            samples.popleft()  # it slept
        since, before = samples[0]
        passed = now - since
        return max(0.0, total - before) / passed if passed >= _SAMPLED_EVERY_SECONDS else None


def pumpportal_cost(day: Tally, total: Tally, meter: Meter, now: float, *, limit: float) -> ProviderCost:
    """Of the *day*; *total*: since the start of the process; *limit* in SOL, 0: nothing is bought."""
    spent = day.paid_messages / PAID_MESSAGES_PER_SOL
    per_second = meter.per_second(now, total.paid_messages / PAID_MESSAGES_PER_SOL)
    return ProviderCost(
        provider=PUMPPORTAL,
        unit="SOL",
        period="day",
        spent=spent,
        limit=limit or None,
        projected=None if per_second is None else spent + per_second * seconds_left("day", now),
        messages_total=total.messages,
        billed_messages_total=total.paid_messages,
        parts={"messages": spent},
    )


def helius_cost(month: Tally, total: Tally, meter: Meter, now: float, *, limit: int | None) -> ProviderCost:
    """Of the *month*; *total*: since the start of the process; *limit* in credits, None: nothing is counted."""
    if limit is None:
        return ProviderCost(
            provider=HELIUS,
            unit="credits",
            period="month",
            spent=0.0,
            limit=None,
            projected=None,
            messages_total=total.messages,
        )
    spent = float(month.credits())
    per_second = meter.per_second(now, float(total.credits()))
    return ProviderCost(
        provider=HELIUS,
        unit="credits",
        period="month",
        spent=spent,
        limit=float(limit),
        projected=None if per_second is None else spent + per_second * seconds_left("month", now),
        messages_total=total.messages,
        parts={
            "streaming": month.received_bytes / BYTES_PER_CREDIT,
            "connections": float(CREDITS_PER_CONNECTION * month.connections),
            "calls": float(month.call_credits),
        },
    )


class Pace:
    """Bytes that one watched token brings in an hour: measured, forgetting slowly, beginning from the guess."""

    def __init__(self) -> None:
        self._tokens = 0
        self._since: float | None = None
        self._bytes = 0.0
        self._token_hours = 0.0

    def received(self, received_bytes: int) -> None:
        """So much came."""
        if self._tokens:
            self._bytes += received_bytes

    def watching(self, tokens: int, now: float) -> None:
        """So many are watched from *now* on."""
        self._advance(now)
        self._tokens = tokens

    def is_measured(self) -> bool:
        """Whether the measurement weighs more than the guess."""
        return self._token_hours >= _GUESS_WEIGHT_TOKEN_HOURS

    def bytes_per_token_hour(self, now: float) -> float:
        """Never less than one."""
        self._advance(now)
        guessed = GUESSED_BYTES_PER_TOKEN_HOUR * _GUESS_WEIGHT_TOKEN_HOURS
        return max(1.0, (self._bytes + guessed) / (self._token_hours + _GUESS_WEIGHT_TOKEN_HOURS))

    def _advance(self, now: float) -> None:
        passed = max(0.0, now - self._since) if self._since is not None else 0.0
        self._since = now
        kept = 0.5 ** (passed / _HALF_LIFE_SECONDS)
        self._bytes *= kept
        self._token_hours = self._token_hours * kept + self._tokens * passed / 3600


def hours_of_month(now: float) -> int:
    """Of the calendar month, in UTC, of the unix time *now*."""
    date = datetime.fromtimestamp(now, tz=UTC)
    return calendar.monthrange(date.year, date.month)[1] * 24


def hours_left_of_month(now: float) -> float:
    """At least one: nothing is divided by the last minute."""
    date = datetime.fromtimestamp(now, tz=UTC)
    return max(1.0, hours_of_month(now) - (date.day - 1) * 24 - date.hour - date.minute / 60)


def seconds_left(period: str, now: float) -> float:
    """Of the UTC ``day``, or of the ``month``."""
    left_of_day = _DAY_SECONDS - now % _DAY_SECONDS
    if period == "day":
        return left_of_day
    date = datetime.fromtimestamp(now, tz=UTC)
    return (calendar.monthrange(date.year, date.month)[1] - date.day) * _DAY_SECONDS + left_of_day


def period_begins(period: str, now: float) -> float:
    """Unix seconds at which the UTC ``day``, or ``month``, of *now* began."""
    day = now // _DAY_SECONDS * _DAY_SECONDS
    return day if period == "day" else day - (datetime.fromtimestamp(now, tz=UTC).day - 1) * _DAY_SECONDS


def shown(amount: float, unit: str) -> str:
    """``0.0123`` SOL, ``12,345`` credits."""
    return f"{amount:.6f}".rstrip("0").rstrip(".") if unit == "SOL" else f"{amount:,.0f}"
