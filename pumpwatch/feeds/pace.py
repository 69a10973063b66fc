"""How fast we may ask a server."""

from __future__ import annotations


class Pace:
    """
    A token bucket: *burst* requests at once, then *per_second* of them. None = no limit.

    For one thread. Times are monotonic seconds.
    """

    def __init__(self, per_second: float | None, *, burst: float = 10.0) -> None:
        self._per_second = per_second
        self._burst = burst
        self._left = burst
        self._at = 0.0

    def take(self, now: float) -> bool:
        """Whether one request may be made now; if so, it counts as made."""
        if not self.has_one(now):
            return False
        self._left -= 1
        return True

    def has_one(self, now: float) -> bool:
        """Whether :meth:`take` would say yes."""
        if self._per_second is None:
            self._left = self._burst
            return True
        self._left = min(self._burst, self._left + (now - self._at) * self._per_second)
        self._at = now
        return self._left >= 1
