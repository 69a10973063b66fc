"""When the account of each watched token is read: soon where something is to be settled, often where it trades, else seldom."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from pumpwatch.backfill.anchor import ACCOUNTS_OF_TOKENS, Snapshots, Target
from pumpwatch.decode.addresses import is_address
from pumpwatch.events import WRAPPED_SOL, Anchor
from pumpwatch.storage.worklist import Watched

#: An account that is ahead of the record is asked for again so soon; then after twice as long, and so on.
_AGAIN_SECONDS: Final = 2.0
#: A token that traded so lately is active; so is one that is watched only since then.
_ACTIVE_SECONDS: Final = 120.0
#: Of what the month's plan leaves for repairs, this may go to anchors (a call is a credit); the rest is for history.
_SHARE: Final = 0.9
_HOUR: Final = 3600.0


class _Asked(NamedTuple):
    at: float
    #: How often in a row it was ahead of the record.
    ahead: int = 0


def target_of(token: Watched) -> Target:
    """Where its reserves are now, as far as the record knows."""
    return Target(token.mint, "pool" if token.status == "graduated" else "curve", token.quote_mint or WRAPPED_SOL)


class Rounds:
    """
    Chooses what to read, and reads it. One thread.

    Args:
        pace: Credits that repairs may cost in an hour; None: they are not counted.
        clock: Unix time in seconds.
    """

    def __init__(
        self,
        snapshots: Snapshots,
        *,
        active_seconds: float,
        idle_seconds: float,
        pace: Callable[[], float | None] = lambda: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._snapshots = snapshots
        self._active_seconds = active_seconds
        self._idle_seconds = max(active_seconds, idle_seconds)
        self._pace = pace
        self._clock = clock
        self._asked: dict[str, _Asked] = {}

    def read(self, watched: Sequence[Watched], tell: Callable[[Anchor], object], *, now: float) -> int:
        """
        Read what is due at *now* (monotonic seconds), and give it to *tell*. Returns how many tokens were asked for.

        Raises:
            RpcFailed: See :meth:`Rpc.call`.

        """
        chosen = self._choose([token for token in watched if is_address(token.mint)], now)
        if chosen:
            self.read_now(chosen, tell, now=now)
        return len(chosen)

    def read_now(
        self,
        tokens: Iterable[Watched],
        tell: Callable[[Anchor], object],
        *,
        now: float,
        min_context_slot: int | None = None,
    ) -> None:
        """
        Read these, whether they are due or not.

        Raises:
            RpcBehind: The node has not reached *min_context_slot*.
            RpcFailed: See :meth:`Rpc.call`.

        """
        tokens = list(tokens)
        for anchor in self._snapshots.take([target_of(token) for token in tokens], min_context_slot=min_context_slot):
            tell(anchor)
        for token in tokens:
            ahead = self._asked[token.mint].ahead + 1 if token.mint in self._asked and _is_ahead(token) else 0
            self._asked[token.mint] = _Asked(now, ahead)

    def _choose(self, watched: Sequence[Watched], now: float) -> list[Watched]:
        """Those that are due; and with them, while there is room in their calls, those that will be due before long."""
        mints = {token.mint for token in watched}
        self._asked = {mint: asked for mint, asked in self._asked.items() if mint in mints}
        active_seconds = self._affordable_seconds(watched)
        chosen, others = [], []
        for token in watched:
            asked = self._asked.get(token.mint)
            if asked is None or now - asked.at >= self._interval(token, asked, active_seconds):
                chosen.append(token)
            elif now - asked.at >= active_seconds / 2:
                others.append(token)
        room = -sum(map(_accounts, chosen)) % ACCOUNTS_OF_TOKENS
        others.sort(key=lambda token: self._asked[token.mint].at)
        for token in others:
            room -= _accounts(token)
            if room < 0:
                break
            chosen.append(token)
        return chosen

    def _interval(self, token: Watched, asked: _Asked, active_seconds: float) -> float:
        if _is_ahead(token):
            return float(min(active_seconds, _AGAIN_SECONDS * 2.0**asked.ahead))
        now = self._clock()
        last = max(token.last_trade or 0, (token.started_us or 0) / 1_000_000)
        return active_seconds if now - last < _ACTIVE_SECONDS else max(active_seconds, self._idle_seconds)

    def _affordable_seconds(self, watched: Sequence[Watched]) -> float:
        pace = self._pace()
        if pace is None:
            return self._active_seconds
        calls = max(1, -(-sum(map(_accounts, watched)) // ACCOUNTS_OF_TOKENS))
        longest = max(self._active_seconds, self._idle_seconds)
        return min(longest, max(self._active_seconds, _HOUR * calls / max(1.0, pace * _SHARE)))


def _is_ahead(token: Watched) -> bool:
    return token.unmatched_since_us is not None


def _accounts(token: Watched) -> int:
    return 3 if token.status == "graduated" else 1
