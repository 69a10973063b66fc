"""PURE. Which alerts are open: raised when something has been so for long enough, resolved when it is so no more."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final, NamedTuple, TypeAlias

import msgspec

from pumpwatch.alerts.condition import Condition
from pumpwatch.events import AlertRaised, AlertResolved

_Key: TypeAlias = tuple[str, str]

_HOUR_SECONDS: Final = 3600.0


class _Open(NamedTuple):
    raised_at_us: int
    #: Monotonic seconds; None: of an earlier run, so that only the wall's clock can tell.
    since: float | None


class Book:
    """
    What lasts. One thread.

    Args:
        cooldown_seconds: What was resolved is not raised again for so long.
        adopted: Open alerts of an earlier run: rule, subject and when they were raised.

    """

    def __init__(self, *, cooldown_seconds: float, adopted: Iterable[tuple[str, str, int]] = ()) -> None:
        self._cooldown_seconds = cooldown_seconds
        self._open: dict[_Key, _Open] = {(rule, subject): _Open(at_us, None) for rule, subject, at_us in adopted}
        self._so_since: dict[_Key, float] = {}
        self._quiet_until: dict[_Key, float] = {}

    def update(
        self, conditions: Iterable[Condition], *, now: float, now_us: int
    ) -> tuple[list[AlertRaised], list[AlertResolved]]:
        """
        Take what is so now; return what is new and what is over.

        Args:
            now: Monotonic seconds; *now_us* unix microseconds, for the rows.

        """
        present = {(condition.rule, condition.subject): condition for condition in conditions}
        resolved = [self._resolve(key, now, now_us) for key in [key for key in self._open if key not in present]]
        self._so_since = {key: self._so_since.get(key, now) for key in present}
        self._quiet_until = {key: until for key, until in self._quiet_until.items() if until > now}
        raised = []
        for key, condition in present.items():
            has_held = now - self._so_since[key] >= condition.hold_seconds
            if key not in self._open and has_held and key not in self._quiet_until:
                self._open[key] = _Open(now_us, now)
                raised.append(
                    AlertRaised(
                        rule=condition.rule,
                        subject=condition.subject,
                        severity=condition.severity,
                        raised_at_us=now_us,
                        text=condition.text,
                        value=condition.value,
                        threshold=condition.threshold,
                    )
                )
        return raised, resolved

    def _resolve(self, key: _Key, now: float, now_us: int) -> AlertResolved:
        opened = self._open.pop(key)
        self._quiet_until[key] = now + self._cooldown_seconds
        rule, subject = key
        about = f"{rule}, {subject}" if subject else rule
        seconds = max(0.0, (now_us - opened.raised_at_us) / 1_000_000) if opened.since is None else now - opened.since
        return AlertResolved(
            rule=rule,
            subject=subject,
            raised_at_us=opened.raised_at_us,
            resolved_at_us=max(now_us, opened.raised_at_us),
            text=f"over: {about}, after {_duration(seconds)}",
        )


class Rationing:
    """Market alerts: so many within an hour, and how many were left out is said with the next."""

    def __init__(self, most_per_hour: int) -> None:
        self._most = most_per_hour
        self._told: deque[float] = deque()
        self._left_out = 0

    def admit(self, alert: AlertRaised, now: float) -> AlertRaised | None:
        """The alert, as it may be told at *now* (monotonic seconds); None: it is one too many."""
        while self._told and now - self._told[0] >= _HOUR_SECONDS:
            self._told.popleft()
        if len(self._told) >= self._most:
            self._left_out += 1
            return None
        self._told.append(now)
        if not self._left_out:
            return alert
        text = f"{alert.text} ({self._left_out} market alerts were left out before this one: [alerts] most_per_hour)"
        self._left_out = 0
        return msgspec.structs.replace(alert, text=text)


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"
