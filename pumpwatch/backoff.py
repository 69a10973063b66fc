"""How long to wait before the next attempt: exponential, capped, with full jitter."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Final

#: A server may ask for more; nobody wants a feed that sleeps for hours because of one header.
LONGEST_RETRY_AFTER_SECONDS: Final = 300.0

_MOST_DOUBLINGS = 60


class Backoff:
    """
    The delays between attempts at one server: not thread-safe, owned by the thread that attempts.

    The n-th delay since the last :meth:`reset` is evenly spread between 0 and ``first_seconds * 2**n``, at most *longest_seconds*
    (full jitter, so that many clients cut off together do not come back together).

    Args:
        uniform: ``random.uniform`` or a stand-in.

    """

    def __init__(
        self, *, first_seconds: float, longest_seconds: float, uniform: Callable[[float, float], float] = random.uniform
    ) -> None:
        self._first_seconds = first_seconds
        self._longest_seconds = longest_seconds
        self._uniform = uniform
        self._attempts = 0

    @property
    def attempts(self) -> int:
        """Delays given since the last reset."""
        return self._attempts

    def reset(self) -> None:
        """It went well: begin again with the first delay. A mere connect is not enough for that, see :func:`held`."""
        self._attempts = 0

    def next_seconds(self) -> float:
        """The delay before the next attempt; each is drawn from a longer stretch than the last."""
        ceiling = min(self._longest_seconds, self._first_seconds * 2.0 ** min(self._attempts, _MOST_DOUBLINGS))
        self._attempts += 1
        return self._uniform(0.0, ceiling)

    def slowed_seconds(self, retry_after_seconds: float | None) -> float:
        """The delay after the server said "too fast" (429, 503): what it asked for, and never less than half of the longest."""
        usual = self.next_seconds()
        half = self._longest_seconds / 2
        asked = min(max(retry_after_seconds or 0.0, 0.0), LONGEST_RETRY_AFTER_SECONDS)
        return max(usual, half + self._uniform(0.0, half), asked)


def held(*, connected_seconds: float, had_data: bool, healthy_after_seconds: float) -> bool:
    """
    Whether a connection did so well that the delays may begin anew.

    A server that accepts, acknowledges and drops would be hammered if a connect alone were enough.
    """
    return had_data and connected_seconds >= healthy_after_seconds


def parse_retry_after(text: str | None, *, now: float | None = None) -> float | None:
    """
    Seconds that an HTTP ``Retry-After`` asks for, whether it says seconds or a date; None when it says nothing we can read.

    Args:
        now: Unix time; the clock's when None.

    """
    if not text:
        return None
    text = text.strip()
    if text.isascii() and text.replace(".", "", 1).isdigit():
        return float(text)
    try:
        at = parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError, OSError):
        return None
    return max(0.0, at - (time.time() if now is None else now))
