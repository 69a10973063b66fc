"""
PURE. What the worker's own measurements say that somebody should hear of.

Durations are measured by the monotonic clock, as the other may be set at any moment. What only that one can tell (the age of
a gap, a lag) must hold for a few looks.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from typing import Final

from pumpwatch.alerts.condition import Condition, Severity
from pumpwatch.config_operations import AlertsSettings
from pumpwatch.vitals import FeedVitals, ProviderCost, Vitals

#: What the wall clock says may be wrong for a moment; so may a look at a disk.
_SETTLED_SECONDS: Final = 10.0
_BACKFILL_SECONDS: Final = 60.0

_IMPAIRED_SECONDS: Final = 300.0

#: Who is let in and thrown out again at once is not back.
_BACK_SECONDS: Final = 5.0

#: After a start a feed is let in, or is not, within this time.
_ARRIVAL_SECONDS: Final = 60.0
_MINUTE: Final = 60.0
_HOUR: Final = 3600.0

#: States that a person must end, with what to do. They have their own rules; "down" is what may end by itself.
_REFUSED: Final = {"refused": "check its key", "banned?": "wait; check the key and whether another program uses it"}
_BACKFILL_TROUBLE: Final = ("refused", "exhausted", "budget")

#: Of a budget, and what it means when so much is spent: four fifths of Helius' are all that watching may use.
_SHARES: Final = (
    (0.8, {"helius": "watching ends until next month when its four fifths are spent, the rest is for repairs"}),
    (1.0, {"helius": "nothing is watched, proven or repaired through it until next month"}),
)
_LEAST_USEFUL: Final = {0.8: "the least useful goes first from now on", 1.0: "what it pays for ends"}


class _Count:
    """A counter's increase over a stretch of time, and when it changed last."""

    def __init__(self, now: float, total: int) -> None:
        self._samples: deque[tuple[float, int]] = deque([(now, total)])
        self.changed_at = now

    def over(self, seconds: float, now: float, total: int) -> int:
        """Note *total* at *now*; return by how much it has grown within so many seconds."""
        if total != self._samples[-1][1]:
            self.changed_at = now
        # A sample every ten seconds at most: an hour is a few hundred.
        if len(self._samples) < 2 or now - self._samples[-2][0] >= _SETTLED_SECONDS:
            self._samples.append((now, total))
        else:
            self._samples[-1] = (now, total)
        while len(self._samples) > 1 and now - self._samples[0][0] > seconds:
            self._samples.popleft()
        return max(0, total - self._samples[0][1])


def _not_yet(rule: str, subject: str) -> Condition:
    """What cannot be judged so soon after the start: it is not raised, and what an earlier run left open of it is not over."""
    return Condition(rule, subject, "info", "", hold_seconds=math.inf)


class _Outage:
    """One feed away, from its first moment until it is back to stay: what was found of it holds for all of it."""

    def __init__(self, began: float) -> None:
        self.began = began
        self.back_at: float | None = None
        self.found: dict[str, Condition] = {}

    def is_over(self, now: float) -> bool:
        """To be asked while the feed is connected."""
        self.back_at = now if self.back_at is None else self.back_at
        return now - self.back_at >= _BACK_SECONDS


class Rules:
    """Judges one measurement after the other. One thread."""

    def __init__(self, settings: AlertsSettings) -> None:
        self._settings = settings
        self._began: float | None = None
        self._counts: dict[tuple[str, str], _Count] = {}
        #: Of each feed: when its last data came (unix seconds), and at which look that was seen.
        self._data: dict[str, tuple[float | None, float]] = {}
        self._outages: dict[str, _Outage] = {}
        #: The oldest open gap, and since when it is.
        self._oldest_gap: tuple[float, float] | None = None

    def judge(self, vitals: Vitals, now: float) -> list[Condition]:
        """Everything that is so now (*now*: monotonic seconds)."""
        self._began = now if self._began is None else self._began
        return [
            *(condition for feed in vitals.feeds for condition in self._feed(feed, now)),
            *self._reading(vitals, now),
            *self._storing(vitals),
            *self._holes(vitals, now),
            *self._disk(vitals),
            *(condition for cost in vitals.costs for condition in _budget(cost)),
            *_backfill(vitals),
        ]

    def _feed(self, feed: FeedVitals, now: float) -> Iterator[Condition]:
        settings, name = self._settings, feed.name
        yield from self._away(feed, now)
        before, changed_at = self._data.get(name, (feed.last_data_at, now))
        if before != feed.last_data_at:
            changed_at = now
        self._data[name] = (feed.last_data_at, changed_at)
        silent = now - changed_at
        if settings.silent_seconds and feed.state not in (*_REFUSED, "exhausted"):
            if silent >= settings.silent_seconds:
                text = f"{name} has brought nothing for {silent:.0f} s: it may be mute"
                yield Condition("silent feed", name, "critical", text, value=silent, threshold=settings.silent_seconds)
            elif changed_at == self._began:
                yield _not_yet("silent feed", name)
        drops, most = self._grown("drops", name, _HOUR, now, sum(feed.drops_total.values())), settings.feed_drops_per_hour
        if most and drops >= most:
            text = f"{name} lost its connection {drops} times within an hour: look at the network, or at the server"
            yield Condition("feed flapping", name, "warning", text, value=drops, threshold=most)
        elif most and self._is_new(_HOUR, now):
            yield _not_yet("feed flapping", name)
        if feed.state == "connected" and feed.reason:
            text = f"{name} is connected and {feed.reason}"
            yield Condition("feed impaired", name, "warning", text, hold_seconds=_IMPAIRED_SECONDS, threshold=_IMPAIRED_SECONDS)

    def _away(self, feed: FeedVitals, now: float) -> list[Condition]:
        """What keeps it away: one cause that is told once, though it tries again and again and its state changes with that."""
        name, seconds = feed.name, self._settings.feed_down_seconds
        if feed.state == "connected":
            outage = self._outages.get(name)
            if outage is None or outage.is_over(now):
                self._outages.pop(name, None)
                return []
            return [condition._replace(hold_seconds=math.inf) for condition in outage.found.values()]
        outage = self._outages.setdefault(name, _Outage(now))
        outage.back_at = None
        why = f" ({feed.reason})" if feed.reason else ""
        if feed.state in (*_REFUSED, "exhausted"):
            if now - outage.began < seconds:
                outage.found.pop("feed down", None)
            if feed.state == "exhausted":
                rule, text = "plan exhausted", f"{name}: what was paid for is used up{why}: trades may be missed"
            else:
                rule, text = "key refused", f"{name} does not let us in{why}: {_REFUSED[feed.state]}"
            outage.found[rule] = Condition(rule, name, "critical", text)
        elif seconds and outage.found.keys() <= {"feed down"}:
            text = f"{name} is {feed.state}{why}: its trades are missed and fetched later, if the other feed has not got them"
            outage.found["feed down"] = Condition("feed down", name, "critical", text, hold_seconds=seconds, threshold=seconds)
        unknown = ("key refused", "plan exhausted") if self._is_new(_ARRIVAL_SECONDS, now) else ()
        return [*outage.found.values(), *(_not_yet(rule, name) for rule in unknown if rule not in outage.found)]

    def _reading(self, vitals: Vitals, now: float) -> Iterator[Condition]:
        most = self._settings.errors_per_minute
        errors = self._grown("unread", "", _MINUTE, now, sum(vitals.unread_total.values()))
        if most and errors >= most:
            kinds = ", ".join(sorted(vitals.unread_total, key=lambda kind: -vitals.unread_total[kind])[:3])
            text = (
                f"{errors} messages within a minute could not be read ({kinds}): they are kept; is there an update of pumpwatch?"
            )
            yield Condition("unreadable messages", "", "warning", text, value=errors, threshold=most)
        elif most and self._is_new(_MINUTE, now):
            yield _not_yet("unreadable messages", "")
        if vitals.alarm is not None:
            yield Condition("programs changed", "", "critical", vitals.alarm)

    def _storing(self, vitals: Vitals) -> Iterator[Condition]:
        most = self._settings.lag_seconds
        lag = vitals.lag_seconds
        if most and lag is not None and lag >= most:
            text = f"trades are stored {lag:.0f} s after they happened: this machine, the network or the provider is too slow"
            yield Condition("lag", "", "warning", text, hold_seconds=_SETTLED_SECONDS, value=lag, threshold=most)
        elif most and vitals.spilled:
            text = f"{vitals.spilled} messages wait in the spill file: the database takes less than the feeds bring"
            yield Condition("lag", "", "warning", text, hold_seconds=most, value=vitals.spilled)
        if vitals.database_trouble is not None:
            text = f"the database cannot be written: {vitals.database_trouble}; messages are kept beside it until it can"
            yield Condition("database", "", "critical", text, hold_seconds=_SETTLED_SECONDS)

    def _holes(self, vitals: Vitals, now: float) -> Iterator[Condition]:
        oldest = vitals.gap_oldest_at
        if oldest is None:
            self._oldest_gap = None
            return
        if self._oldest_gap is None or self._oldest_gap[0] != oldest:
            self._oldest_gap = (oldest, now)
        most = self._settings.holes_minutes * _MINUTE
        open_for = now - self._oldest_gap[1]
        if most and open_for >= most:
            count = sum(vitals.gaps_open.values())
            text = f"{count} gaps are open, the oldest for {open_for / _MINUTE:.0f} minutes: trades may be missing there"
            yield Condition("open holes", "", "warning", text, value=open_for, threshold=most)
        elif most and self._is_new(most, now):
            yield _not_yet("open holes", "")

    def _disk(self, vitals: Vitals) -> Iterator[Condition]:
        if vitals.shed:
            text = f"the disk is nearly full: given up for now: {', '.join(vitals.shed)}; make room"
            yield Condition("disk", "", "critical", text)
            return
        least, free = self._settings.disk_free_gb * 1e9, vitals.disk_free_bytes
        if least and free is not None and free < least:
            text = f"{free / 1e9:.1f} GB are free where the database lies: make room"
            yield Condition("disk", "", "warning", text, hold_seconds=_SETTLED_SECONDS, value=free, threshold=least)

    def _is_new(self, seconds: float, now: float) -> bool:
        """Whether so many seconds have not passed since the start."""
        return self._began is None or now - self._began < seconds

    def _grown(self, what: str, of: str, seconds: float, now: float, total: int) -> int:
        count = self._counts.setdefault((what, of), _Count(now, total))
        return count.over(seconds, now, total)


def _budget(cost: ProviderCost) -> Iterator[Condition]:
    if not cost.limit:
        return
    for share, meanings in _SHARES:
        if cost.spent >= share * cost.limit:
            spent = f"{cost.spent:,.6g} of {cost.limit:,.6g} {cost.unit} of this {cost.period}"
            then = meanings.get(cost.provider, _LEAST_USEFUL[share])
            text = f"{cost.provider} has cost {spent}: {then}; [budget] has the limit"
            rule = f"budget {share:.0%}".replace("%", " %")
            severity: Severity = "critical" if share >= 1 or cost.provider in meanings else "warning"
            yield Condition(rule, cost.provider, severity, text, value=cost.spent, threshold=share * cost.limit)


def _backfill(vitals: Vitals) -> Iterator[Condition]:
    state = vitals.backfill_state
    if state in _BACKFILL_TROUBLE:
        why = f" ({vitals.backfill_reason})" if vitals.backfill_reason else ""
        text = f"gaps cannot be closed, nor the record proven: backfill is {state}{why}"
        yield Condition("backfill", "", "warning", text, hold_seconds=_BACKFILL_SECONDS)
