"""
Have the two programs changed? One alarm when what they emit is, again and again, not what this version reads.

No clock, no thread, no I/O: the time is passed in. What could not be read is kept by the writer all the same (table ``unread``).
"""

from __future__ import annotations

import threading
from collections import Counter as Tally
from collections import OrderedDict, deque
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from pumpwatch.decode.addresses import PUMP
from pumpwatch.decode.layouts import SURPLUS_KIND
from pumpwatch.events import Counted, Event, Rejected

#: So many odd transactions are no accident. A day bounds how long a single one counts.
_MOST_ODD: Final = 50
_DAY_SECONDS: Final = 86_400.0

#: Nor is a share that lasts: at least three of them, at least a fifth of all, over four of the last five minutes.
_WINDOW_SECONDS: Final = 300.0
_LASTING_SECONDS: Final = 240.0
_FEWEST_LASTING: Final = 3
_LASTING_SHARE: Final = 0.2

#: A token's chain is in pieces when this many links, and half of all, fail in the window. The alarm is for half of the tokens
#: with some trades being so. A lost connection fails one link of each token, a lossy feed few of many.
_FEWEST_BREAKS: Final = 3
_BROKEN_SHARE: Final = 0.5
_FEWEST_STEPS: Final = 4
_FEWEST_TOKENS: Final = 3

#: The next alarm comes only after so long without anything odd.
_QUIET_SECONDS: Final = 3600.0

_REMEMBERED_SIGNATURES: Final = 1000
_REMEMBERED_TOKENS: Final = 10_000
_TOLD_KINDS: Final = 4

#: Kinds of :class:`pumpwatch.events.Rejected` that mean another layout. A number out of range can be one, but is in reach of
#: anyone with a pool of his own: it counts where it lasts, not by itself.
_ODD_KINDS: Final = ("unknown event", "unreadable event", "bad base64", "unreadable transaction", "out of range")
_NOT_ALONE: Final = "out of range"
_NOT_READ: Final = "update pumpwatch; the raw is kept; then run `python -m pumpwatch db redecode`"
_STILL_READ: Final = "all of them could still be read: update pumpwatch when it suits you"
_SILENCE: Final = "a trade without an event"
_BREAK: Final = "a break in a token's chain"


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """
    What was seen, in one sentence with what to do (*text*), and by kind.

    Attributes:
        transactions: Odd ones; 0 when only chains are in pieces.
    """

    text: str
    transactions: int
    kinds: dict[str, int]


class _Odd(NamedTuple):
    at: float
    kind: str


class _Links(NamedTuple):
    at: float
    steps: int
    breaks: int


class Drift:
    """Count what looks odd, and say once that it is too much. Any thread may call it; times are of one monotonic clock."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._odd: deque[_Odd] = deque(maxlen=10 * _MOST_ODD)
        #: Whole transactions by the half minute, for the share.
        self._seen: deque[list[float]] = deque()
        self._signatures: OrderedDict[str, None] = OrderedDict()
        self._links: OrderedDict[str, deque[_Links]] = OrderedDict()
        self._last_odd_at = 0.0
        #: The alarm that was raised, until it has been quiet for an hour.
        self.alarm: Alarm | None = None

    def transaction(self, signature: str, events: Sequence[Event], *, silent: bool, now_seconds: float) -> Alarm | None:
        """
        Take note of a successful transaction as a feed or backfill decoded it. Told twice, it counts once.

        Returns:
            The alarm, the one time that it is raised.

        """
        kind = oddity(events, silent=silent)
        if kind is None and not events:
            return None
        with self._lock:
            self._expire(now_seconds)
            self._count(now_seconds)
            if kind is None or signature in self._signatures:
                return None
            self._signatures[signature] = None
            if len(self._signatures) > _REMEMBERED_SIGNATURES:
                self._signatures.popitem(last=False)
            self._last_odd_at = now_seconds
            self._odd.append(_Odd(now_seconds, kind))
            return self._raise_for_transactions(now_seconds)

    def chain(self, mint: str, *, steps: int, breaks: int, now_seconds: float) -> Alarm | None:
        """
        Take note of how a token's new trades link.

        Args:
            steps: Trades that came since the last call.
            breaks: How many of them follow nothing that is known, after the time that feeds may need to put them in order.

        Returns:
            The alarm, the one time that it is raised.

        """
        with self._lock:
            self._expire(now_seconds)
            links = self._links.setdefault(mint, deque(maxlen=1000))
            self._links.move_to_end(mint)
            if len(self._links) > _REMEMBERED_TOKENS:
                self._links.popitem(last=False)
            links.append(_Links(now_seconds, steps, breaks))
            if not breaks:
                return None
            return self._raise_for_chains(now_seconds)

    def _count(self, now_seconds: float) -> None:
        if not self._seen or now_seconds - self._seen[-1][0] >= _WINDOW_SECONDS / 10:
            self._seen.append([now_seconds, 0])
            while now_seconds - self._seen[0][0] > _WINDOW_SECONDS:
                self._seen.popleft()
        self._seen[-1][1] += 1

    def _expire(self, now_seconds: float) -> None:
        """After an hour in which nothing odd was seen the alarm is over, and it begins anew."""
        if self.alarm is not None and now_seconds - self._last_odd_at >= _QUIET_SECONDS:
            self.alarm = None
            self._odd.clear()

    def _raise_for_transactions(self, now_seconds: float) -> Alarm | None:
        while now_seconds - self._odd[0].at > _DAY_SECONDS:
            self._odd.popleft()
        if self.alarm is not None:
            return None
        telling = sum(odd.kind != _NOT_ALONE for odd in self._odd)
        if telling < _MOST_ODD and not self._is_lasting(now_seconds):
            return None
        kinds = Tally(odd.kind for odd in self._odd)
        since = now_seconds - self._odd[0].at
        only_longer = all(kind.startswith(SURPLUS_KIND) for kind in kinds)
        said = ", ".join(f"{kind}: {count}" for kind, count in kinds.most_common(_TOLD_KINDS))
        seen = f"pump.fun's programs have changed: {len(self._odd)} transactions in {_spoken(since)} are not as known ({said})"
        text = f"{seen}; {_STILL_READ if only_longer else _NOT_READ}"
        self.alarm = Alarm(text=text, transactions=len(self._odd), kinds=dict(kinds))
        return self.alarm

    def _is_lasting(self, now_seconds: float) -> bool:
        recent = [odd.at for odd in self._odd if now_seconds - odd.at <= _WINDOW_SECONDS]
        all_of_them = sum(count for _, count in self._seen)
        return (
            len(recent) >= _FEWEST_LASTING
            and recent[-1] - recent[0] >= _LASTING_SECONDS
            and len(recent) >= _LASTING_SHARE * all_of_them
        )

    def _raise_for_chains(self, now_seconds: float) -> Alarm | None:
        trading = in_pieces = broken = 0
        for links in self._links.values():
            while links and now_seconds - links[0].at > _WINDOW_SECONDS:
                links.popleft()
            steps, breaks = sum(link.steps for link in links), sum(link.breaks for link in links)
            trading += steps >= _FEWEST_STEPS
            if steps >= _FEWEST_STEPS and breaks >= max(_FEWEST_BREAKS, _BROKEN_SHARE * steps):
                in_pieces += 1
                broken += breaks
        if 2 * in_pieces < trading or not (in_pieces >= _FEWEST_TOKENS or broken >= _MOST_ODD):
            return None
        self._last_odd_at = now_seconds
        if self.alarm is not None:
            return None
        text = (
            f"the trades of {in_pieces} of {trading} tokens do not follow one another any more ({broken} breaks in five "
            "minutes): pump.fun's programs may have changed what their events mean; update pumpwatch, and compare with "
            "`python -m pumpwatch audit --chain`"
        )
        self.alarm = Alarm(text=text, transactions=0, kinds={_BREAK: broken})
        return self.alarm


def oddity(events: Sequence[Event], *, silent: bool) -> str | None:
    """Return what is odd about a transaction, for counting; None when all of it is as known."""
    if silent:
        return _SILENCE
    longer = None
    for event in events:
        if type(event) is Rejected and event.ours and event.kind in _ODD_KINDS:
            return f"{_program(event)} {event.kind}, {event.reason}" if event.kind == "unknown event" else event.kind
        if type(event) is Counted and event.kind.startswith(SURPLUS_KIND):
            longer = event.kind
    return longer


def _program(event: Rejected) -> str:
    return "pump" if event.raw.startswith(PUMP.encode()) else "PumpSwap"


def _spoken(seconds: float) -> str:
    if seconds < 2 * 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 2 * 3600 else f"{seconds / 3600:.0f} h"
