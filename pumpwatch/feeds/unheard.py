"""PURE. Tokens that another feed has trades of and this one, which should, has none."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Final

#: So many trades unheard are no accident.
_MANY: Final = 3


class Unheard:
    """
    Compares what one feed delivers with what is heard elsewhere. Times are monotonic seconds.

    Any method from any thread. Memory is bounded by what is expected.

    Args:
        mute_seconds: How much earlier or later than another a feed may be. A trade counts as unheard that long after the last one
            heard of its token, and the token is mute that long after the first such trade.

    """

    def __init__(self, mute_seconds: float) -> None:
        self._mute_seconds = mute_seconds
        self._lock = threading.Lock()
        #: Token -> when it was last heard of, or expected from.
        self._heard: dict[str, float] = {}
        #: Token -> first trade unheard, and how many.
        self._missed: dict[str, tuple[float, int]] = {}
        self._heard_any = 0.0

    def clear(self) -> None:
        """Nothing is expected: a new connection."""
        with self._lock:
            self._heard.clear()
            self._missed.clear()

    def expect(self, mints: Iterable[str], now: float) -> None:
        """From now on trades of these tokens, and no others, should be heard."""
        with self._lock:
            self._heard = {mint: self._heard.get(mint, now) for mint in mints}
            self._missed = {mint: missed for mint, missed in self._missed.items() if mint in self._heard}

    def heard(self, mint: str, now: float) -> None:
        """The feed has delivered a trade."""
        with self._lock:
            self._heard_any = now
            if mint in self._heard:
                self._heard[mint] = now
                self._missed.pop(mint, None)

    def elsewhere(self, mint: str, now: float) -> None:
        """Another feed has delivered a trade."""
        last = self._heard.get(mint)
        if last is None or now - last <= self._mute_seconds:
            return
        with self._lock:
            first, count = self._missed.get(mint, (now, 0))
            self._missed[mint] = (first, count + 1)

    def hears_nothing(self) -> bool:
        """Trades are missed, and of no token has one come since the first of them."""
        with self._lock:
            return bool(self._missed) and self._heard_any < min(first for first, _ in self._missed.values())

    def mute(self, now: float) -> frozenset[str]:
        """Tokens of which trades are missed, many of one, or of all together if nothing at all is heard."""
        with self._lock:
            if not self._missed:
                return frozenset()
            old = {mint: missed for mint, missed in self._missed.items() if now - missed[0] >= self._mute_seconds}
            if not old:
                return frozenset()
            if self._heard_any < min(first for first, _ in old.values()):
                return frozenset(old if sum(count for _, count in old.values()) >= _MANY else ())
            return frozenset(mint for mint, (_, count) in old.items() if count >= _MANY)
