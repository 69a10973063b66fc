"""
PURE. What waits to be sent to one receiver, and when the next try is due.

What lasts is tried for as long as it lasts: a feed that is down is mostly one's own network, which nobody can be told through.
What is over before it was ever delivered is told as one message with its end, as the end alone would be a riddle.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Final, TypeAlias

from pumpwatch.events import AlertRaised, AlertResolved

#: Beyond it the newest are not sent (their rows say so): who is not reached for so long has other worries.
MOST_WAITING: Final = 200

#: An alert of the market, or the end of one that lasted, is of no use any more after so long.
_MARKET_SECONDS: Final = 600.0
_OVER_SECONDS: Final = 3600.0

_LONGEST_WAIT_SECONDS: Final = 300.0

#: After so many tries it is another letter's turn.
_PATIENCE: Final = 5

Key: TypeAlias = tuple[str, str, int]


def key_of(alert: AlertRaised | AlertResolved) -> Key:
    """What an alert and its end have in common, and no other."""
    return alert.rule, alert.subject, alert.raised_at_us


class Letter:
    """
    One message to one receiver.

    Attributes:
        tells: An alert is told with it: what becomes of it belongs into that one's row.
        until: Monotonic seconds at which it is of no use any more.
    """

    def __init__(self, key: Key, text: str, severity: str, *, tells: bool, until: float) -> None:
        self.key = key
        self.text = text
        self.severity = severity
        self.tells = tells
        self.until = until
        self.attempts = 0
        self.is_on_its_way = False


class Outbox:
    """
    The letters to one receiver. It is the receiver that is tried again, not each letter; a new one is tried at once.

    For one thread at a time.
    """

    def __init__(self, *, first_wait_seconds: float) -> None:
        self._first_wait_seconds = first_wait_seconds
        self._letters: OrderedDict[tuple[Key, bool], Letter] = OrderedDict()
        self._next_at = -math.inf
        self.failures = 0

    def __len__(self) -> int:
        return len(self._letters)

    def put(self, alert: AlertRaised | AlertResolved, now: float) -> bool:
        """Take one; False: there is no room."""
        key = key_of(alert)
        if isinstance(alert, AlertResolved):
            raised = self._letters.get((key, True))
            if raised is not None and not raised.is_on_its_way:
                raised.text, raised.severity, raised.until = f"{raised.text}; {alert.text}", "resolved", now + _OVER_SECONDS
                return True
        if len(self._letters) >= MOST_WAITING:
            return False
        if isinstance(alert, AlertResolved):
            letter = Letter(key, alert.text, "resolved", tells=False, until=now + _OVER_SECONDS)
        else:
            until = math.inf if alert.lasts else now + _MARKET_SECONDS
            letter = Letter(key, alert.text, alert.severity, tells=True, until=until)
        self._letters[key, letter.tells] = letter
        if self.failures:
            self._letters.move_to_end((key, letter.tells), last=False)
            self._next_at = now
        return True

    def due_in(self, now: float) -> float:
        """Seconds until something is to be tried; infinite: there is nothing."""
        return max(0.0, self._next_at - now) if self._letters else math.inf

    def first(self, now: float) -> Letter | None:
        """What is to be tried at *now*."""
        if self.due_in(now):
            return None
        letter = next(iter(self._letters.values()))
        letter.is_on_its_way = True
        return letter

    def tried(self, letter: Letter, now: float, *, is_sent: bool) -> None:
        """What became of :meth:`first`."""
        letter.attempts += 1
        letter.is_on_its_way = False
        if is_sent:
            self._letters.pop((letter.key, letter.tells), None)
            self.failures = 0
            self._next_at = -math.inf
        else:
            self._next_at = now + min(self._first_wait_seconds * 2.0**self.failures, _LONGEST_WAIT_SECONDS)
            self.failures = min(self.failures + 1, 60)
            if letter.attempts % _PATIENCE == 0:  # perhaps it is this one that is not taken
                self._letters.move_to_end((letter.key, letter.tells))

    def take_old(self, now: float) -> list[Letter]:
        """Take out what is of no use any more at *now*; with infinity all."""
        old = [letter for letter in self._letters.values() if letter.until <= now]
        for letter in old:
            del self._letters[letter.key, letter.tells]
        return old
