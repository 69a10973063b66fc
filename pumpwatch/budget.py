"""What the providers are being paid: counted per provider and UTC day, kept across restarts, bounded by ``[budget]``."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from loguru import logger

from pumpwatch.config import Settings
from pumpwatch.costs import (
    GUESSED_BYTES_PER_TOKEN_HOUR,
    NEARLY_SPENT,
    Meter,
    Pace,
    ProviderCost,
    helius_cost,
    hours_left_of_month,
    hours_of_month,
    pumpportal_cost,
    shown,
)
from pumpwatch.events import Usage
from pumpwatch.providers import Provider
from pumpwatch.tariff import (
    BYTES_PER_CREDIT,
    HELIUS,
    PAID_MESSAGES_PER_SOL,
    PUMPPORTAL,
    Tally,
    call_cost,
)

__all__ = [
    "BYTES_PER_CREDIT",
    "GUESSED_BYTES_PER_TOKEN_HOUR",
    "HELIUS",
    "PAID_MESSAGES_PER_SOL",
    "PUMPPORTAL",
    "Budget",
    "projected_cost",
]

#: Of the month's credits, this share may go to watching; the rest is held back for repairs over HTTP.
WATCHING_SHARE: Final = Decimal("0.8")

#: One slot notification of about 110 bytes every 0.4 s, whatever is watched.
HEARTBEAT_BYTES_PER_HOUR: Final = 1_000_000

_DAY_SECONDS: Final = 86_400

#: Days (and months) times providers kept in memory.
_KEPT_TALLIES: Final = 20


class Budget:
    """
    Counts what arrives, says what may still be bought, and projects the cost.

    Any method from any thread; :meth:`received` and :meth:`paid_allowed` are cheap enough to be called for every message. Days
    and months are of UTC and of the calendar. A provider's billing month may begin on another day, so the pace over the month is
    even: what was not spent in the first half is not spent twice as fast in the second.

    Args:
        pumpportal_sol_per_day: Paid subscriptions end for the UTC day when this is spent.
        helius_credits_per_month: 0 = not counted.
        metered: The Helius feed's endpoint charges credits; False for one that is free (Solana's public one).
        start: The rows of table ``usage``; those of an earlier month are ignored.
        clock: Unix time in seconds.

    """

    def __init__(
        self,
        *,
        pumpportal_sol_per_day: float,
        helius_credits_per_month: int,
        metered: bool,
        start: Iterable[Usage] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._paid_messages_per_day = int(Decimal(str(pumpportal_sol_per_day)) * PAID_MESSAGES_PER_SOL)
        self._sol_per_day = Decimal(str(pumpportal_sol_per_day))
        self._credits_per_month = helius_credits_per_month
        self._metered = metered and helius_credits_per_month > 0
        self._clock = clock
        self._lock = threading.Lock()
        self._day_ends_at = 0.0
        self._day_began_at = 0.0
        self._day = ""
        self._days: dict[tuple[str, str], Tally] = defaultdict(Tally)
        self._months: dict[tuple[str, str], Tally] = defaultdict(Tally)
        self._pending: dict[tuple[str, str], Tally] = defaultdict(Tally)
        #: What :meth:`_tallies` returned for each provider, until one of them is another.
        self._current: dict[str, tuple[Tally, ...]] = {}
        self._said: set[tuple[str, str]] = set()
        self._pace = Pace()
        #: Of this process, and how fast they grow.
        self._totals: dict[str, Tally] = defaultdict(Tally)
        self._meters: dict[str, Meter] = defaultdict(Meter)
        with self._lock:
            self._turn_day()
            for usage in start:
                if usage.day[:7] == self._day[:7]:
                    self._days[usage.provider, usage.day].add(usage)
                    self._months[usage.provider, usage.day[:7]].add(usage)

    # Counting

    def received(self, provider: str, received_bytes: int, *, paid: bool = False) -> None:
        """One message of *received_bytes* (uncompressed) came from *provider*; *paid*: it is charged by the message."""
        with self._lock:
            for tally in self._tallies(provider):
                tally.messages += 1
                tally.received_bytes += received_bytes
                if paid:
                    tally.paid_messages += 1
            if provider == HELIUS:
                self._pace.received(received_bytes)

    def connected(self, provider: str) -> None:
        """A connection to *provider* was opened."""
        with self._lock:
            for tally in self._tallies(provider):
                tally.connections += 1

    def called(self, provider: str, method: str, items: int = 1) -> None:
        """
        So many calls of *method* were sent to *provider* over HTTP, each of a batch counted.

        They cost credits when *provider* is :data:`HELIUS` and its credits are counted, else nothing: an RPC endpoint that
        charges nothing goes by another name, that of its profile.
        """
        cost = items * call_cost(method) if provider == HELIUS and self._metered else 0
        with self._lock:
            for tally in self._tallies(provider):
                tally.calls += items
                tally.call_credits += cost

    def watching(self, tokens: int) -> None:
        """From now on the metered feed watches so many tokens: the divisor of what is measured."""
        now = self._clock()
        with self._lock:
            self._pace.watching(tokens, now)

    def drain(self) -> list[Usage]:
        """Take what was counted since the last call, to be added to the rows of table ``usage``."""
        with self._lock:
            taken, self._pending = self._pending, defaultdict(Tally)
            self._current.clear()
        return [
            Usage(
                provider=provider,
                day=day,
                messages=tally.messages,
                paid_messages=tally.paid_messages,
                received_bytes=tally.received_bytes,
                connections=tally.connections,
                calls=tally.calls,
                call_credits=tally.call_credits,
            )
            for (provider, day), tally in taken.items()
        ]

    def give_back(self, usages: Iterable[Usage]) -> None:
        """Put back what :meth:`drain` gave and nobody could record: the next call gives it again."""
        with self._lock:
            for usage in usages:
                self._pending[usage.provider, usage.day].add(usage)

    # Limits

    def paid_allowed(self, provider: str) -> bool:
        """
        Tell whether what *provider* charges for may go on. Says so loudly when it may not, once each time a limit is hit.

        PumpPortal: the day's SOL is not spent. Helius: the month's share for watching is not spent. Others: always.
        """
        if provider == PUMPPORTAL:
            with self._lock:
                self._turn_day()
                day = self._day
                allowed = self._days[PUMPPORTAL, day].paid_messages < self._paid_messages_per_day
            if not allowed:
                spent = f"PumpPortal's {self._sol_per_day} SOL of this UTC day are spent: no paid trades until tomorrow"
                self._say_once(PUMPPORTAL, day, f"{spent}; raise [budget] pumpportal_sol_per_day to go on")
            return allowed
        if provider == HELIUS and self._metered:
            return not self._month_spent()
        return True

    def repairs_allowed(self, provider: str) -> bool:
        """
        Tell whether calls over HTTP may go on: the whole of the month is not spent. Says so loudly, once, when it is.

        Not :meth:`paid_allowed`: that ends watching at its share, so that there is something left to repair with.
        """
        if provider != HELIUS or not self._metered:
            return True
        with self._lock:
            self._turn_day()
            month = self._day[:7]
            spent = self._months[HELIUS, month].credits() >= self._credits_per_month
        if spent:
            of = f"all {self._credits_per_month:,} credits of {month}"
            then = "gaps stay open until next month; raise [budget] helius_credits_per_month to go on"
            self._say_once("repairs", month, f"Helius: {of} are spent: {then}")
        return not spent

    def repair_credits_per_hour(self, now: float) -> float | None:
        """What is left of the share for repairs, spread evenly over the rest of the month. None: nothing is counted."""
        if not self._metered:
            return None
        with self._lock:
            self._turn_day()
            left = self._reserve() - self._months[HELIUS, self._day[:7]].call_credits
        return max(0.0, float(left)) / hours_left_of_month(now)

    def watchable(self, now: float) -> int | None:
        """
        How many tokens the metered feed may watch at the unix time *now*, so that the even pace of the month holds.

        Nothing measured yet: :data:`GUESSED_BYTES_PER_TOKEN_HOUR`. None: nothing is metered, any number.
        """
        if not self._metered:
            return None
        if self._month_spent():
            return 0
        with self._lock:
            self._turn_day()
            per_token = self._pace.bytes_per_token_hour(now) / BYTES_PER_CREDIT
            affordable = self._credits_per_hour(now) - HEARTBEAT_BYTES_PER_HOUR / BYTES_PER_CREDIT
        return max(0, int(affordable / per_token))

    def _credits_per_hour(self, now: float) -> float:
        """What may be spent on watching in an hour: the even pace, or less when the month has run ahead of it."""
        share = float(self._credits_per_month * WATCHING_SHARE)
        return min(share / hours_of_month(now), (share - float(self._spent_of_share())) / hours_left_of_month(now))

    def _month_spent(self) -> bool:
        with self._lock:
            self._turn_day()
            month = self._day[:7]
            share = self._credits_per_month * WATCHING_SHARE
            spent = self._spent_of_share() >= share
        if spent:
            of = f"{share:,.0f} of {self._credits_per_month:,} credits of {month}"
            then = "watching ends until next month, the rest is for repairs; raise [budget] helius_credits_per_month to go on"
            self._say_once(HELIUS, month, f"Helius' share for watching, {of}, is spent: {then}")
        return spent

    def _reserve(self) -> Decimal:
        return self._credits_per_month * (1 - WATCHING_SHARE)

    def _spent_of_share(self) -> Decimal:
        """What this month has taken of the share for watching: calls have the rest, and take from the share beyond that."""
        month = self._months[HELIUS, self._day[:7]]
        return month.streamed_credits() + max(Decimal(0), month.call_credits - self._reserve())

    def _say_once(self, subject: str, period: str, text: str, *, level: str = "ERROR") -> None:
        with self._lock:
            if (subject, period) in self._said:
                return
            self._said.add((subject, period))
        logger.log(level, "budget: {}", text)

    # What it costs

    def costs(self, now: float, *, say: bool = True) -> tuple[ProviderCost, ...]:
        """
        What each provider has cost at the unix time *now*, and where that leads. Cheap; to be asked every few seconds.

        Args:
            say: Have the log say once in a period that a limit is nearly spent, or spent.

        """
        with self._lock:
            self._turn_day()
            found = (
                pumpportal_cost(
                    self._days[PUMPPORTAL, self._day],
                    self._totals[PUMPPORTAL],
                    self._meters[PUMPPORTAL],
                    now,
                    limit=float(self._sol_per_day),
                ),
                helius_cost(
                    self._months[HELIUS, self._day[:7]],
                    self._totals[HELIUS],
                    self._meters[HELIUS],
                    now,
                    limit=self._credits_per_month if self._metered else None,
                ),
            )
            periods = {PUMPPORTAL: self._day, HELIUS: self._day[:7]}
        for cost in found if say else ():
            if cost.limit and cost.spent >= cost.limit:
                self.paid_allowed(cost.provider)
                self.repairs_allowed(cost.provider)
            elif cost.limit and cost.spent >= NEARLY_SPENT * cost.limit:
                of = f"{shown(cost.spent, cost.unit)} of {shown(cost.limit, cost.unit)} {cost.unit} of this {cost.period}"
                then = "the least useful goes first from now on" if cost.provider == PUMPPORTAL else "watching ends at this share"
                text = f"{cost.provider}: {of} (UTC) are spent, {then}"
                self._say_once(f"nearly {cost.provider}", periods[cost.provider], text, level="WARNING")
        return found

    def spent_share(self, provider: str) -> float:
        """How much of the limit is spent, 1 = all: PumpPortal's of the day, Helius' of the month. 0: there is no limit."""
        with self._lock:
            self._turn_day()
            if provider == PUMPPORTAL:
                most = self._paid_messages_per_day
                return self._days[PUMPPORTAL, self._day].paid_messages / most if most else 1.0
            if provider == HELIUS and self._metered:
                return float(self._months[HELIUS, self._day[:7]].credits() / self._credits_per_month)
        return 0.0

    def projection(self, now: float, *, tokens: int | None = None, paid_trades: bool) -> list[str]:
        """
        Say what this run costs, a sentence for each provider, for ``check`` and the start.

        Args:
            tokens: How many tokens will be watched; None: as many as :meth:`watchable` says.
            paid_trades: PumpPortal's paid trades are subscribed to.

        """
        return [self._pumpportal_projection(paid_trades=paid_trades), self._helius_projection(now, tokens)]

    def _pumpportal_projection(self, *, paid_trades: bool) -> str:
        if not paid_trades:
            return "PumpPortal: free (new tokens and migrations only)"
        with self._lock:
            self._turn_day()
            spent = Decimal(self._days[PUMPPORTAL, self._day].paid_messages) / PAID_MESSAGES_PER_SOL
        return (
            "PumpPortal: 0.01 SOL per 10,000 trades of subscribed tokens; "
            f"at most {self._sol_per_day} SOL a UTC day, {spent} SOL spent today"
        )

    def _helius_projection(self, now: float, tokens: int | None) -> str:
        if not self._metered:
            return "Helius: nothing is counted for this endpoint"
        if tokens is None:
            tokens = self.watchable(now) or 0
        with self._lock:
            self._turn_day()
            per_token = self._pace.bytes_per_token_hour(now)
            basis = "measured" if self._pace.is_measured() else "a first guess"
            spent = self._months[HELIUS, self._day[:7]].credits()
        month = (tokens * per_token + HEARTBEAT_BYTES_PER_HOUR) * 730 / BYTES_PER_CREDIT
        share = f"{self._credits_per_month * WATCHING_SHARE:,.0f} of {self._credits_per_month:,}"
        return (
            f"Helius: {tokens} tokens at {per_token / 1e6:.1f} MB an hour each ({basis}) are about {month:,.0f} credits a month; "
            f"at most {share} go to watching, the rest to repairs ({call_cost('getTransaction')} for a transaction), "
            f"{spent:,.0f} spent this month"
        )

    # Under the lock

    def _tallies(self, provider: str) -> tuple[Tally, ...]:
        self._turn_day()
        current = self._current.get(provider)
        if current is None:
            key = (provider, self._day)
            month = self._months[provider, self._day[:7]]
            current = self._current[provider] = (self._days[key], month, self._pending[key], self._totals[provider])
        return current

    def _turn_day(self) -> None:
        now = self._clock()
        if self._day_began_at <= now < self._day_ends_at:
            return
        self._day_began_at = now // _DAY_SECONDS * _DAY_SECONDS
        self._day_ends_at = self._day_began_at + _DAY_SECONDS
        self._day = datetime.fromtimestamp(now, tz=UTC).strftime("%Y-%m-%d")
        self._current.clear()
        # Not only the current ones: a clock that was wrong for a minute must not forget what is spent.
        for tallies in (self._days, self._months):
            for key in sorted(tallies, key=lambda key: key[1])[:-_KEPT_TALLIES]:
                del tallies[key]


def projected_cost(settings: Settings, chain: Provider, budget: Budget, now: float) -> list[str]:
    """Say what a run with these *settings* costs, a sentence for each provider; *chain* is the profile of the Helius feed."""
    limits = (settings.watch.max_tokens, chain.watchable_tokens, budget.watchable(now))
    portal = settings.pumpportal
    paid_trades = portal.enabled and portal.has_key and portal.trades != "no"
    return budget.projection(now, tokens=min(limit for limit in limits if limit is not None), paid_trades=paid_trades)
