"""When the next calls may be sent: evenly spread, so that no window of the provider's, wherever it begins, holds too many."""

from __future__ import annotations

from collections.abc import Mapping

#: Of the allowed rate: what leaves us evenly does not arrive evenly.
_HEADROOM = 0.95


class Pace:
    """
    The rates of one endpoint. Not thread-safe.

    Args:
        calls_per_second: Of all methods; None = no limit.
        calls_per_second_per_method: Of each.
    """

    def __init__(self, *, calls_per_second: float | None, calls_per_second_per_method: float | None) -> None:
        self._all = calls_per_second
        self._each = calls_per_second_per_method
        self._free_at = 0.0
        self._method_free_at: dict[str, float] = {}

    def reserve(self, methods: Mapping[str, int], now: float) -> float:
        """
        Take the next place for so many calls of each method sent at once; the seconds to wait before they may go.

        Args:
            now: A monotonic clock's.

        """
        start = max(now, self._free_at, *(self._method_free_at.get(method, 0.0) for method in methods))
        if self._all:
            self._free_at = start + sum(methods.values()) / (self._all * _HEADROOM)
        if self._each:
            for method, number in methods.items():
                self._method_free_at[method] = start + number / (self._each * _HEADROOM)
        return start - now
