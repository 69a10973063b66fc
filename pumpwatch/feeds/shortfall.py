"""What a connected feed does not deliver although it is wanted, and the gaps that this makes."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from pumpwatch.events import Delivery, GapOpened

#: Why there is no subscription: the server refused it for good, its limit leaves it out, or the budget is spent.
LackCause = Literal["refused", "limit", "budget"]

#: A token; None = the wallets, or the programs.
Subject = str | None

_SHOWN: Final[dict[str, str]] = {
    "refused": "refused",
    "limit": "beyond the provider's limit of subscriptions",
    "budget": "the budget is spent",
}


@dataclass(frozen=True, slots=True)
class Lack:
    """Why a subject is not delivered."""

    cause: LackCause
    detail: str


class Shortfall:
    """
    Tells of each subject that is not delivered as a :class:`GapOpened`: when that begins, and again with its end.

    For one thread. One gap at a time for each subject, through all connections.

    Args:
        feed: Its name.
        deliver: Takes the events; False when there is no room: they are told again at the next look.

    """

    def __init__(self, feed: str, deliver: Callable[[Delivery], bool]) -> None:
        self._feed = feed
        self._deliver = deliver
        self._open: dict[Subject, GapOpened] = {}

    def __bool__(self) -> bool:
        return bool(self._open)

    def look(self, lacks: Mapping[Subject, Lack], undecided: Collection[Subject]) -> None:
        """Tell what has changed: *lacks* are not delivered, *undecided* not yet, anything else is delivered or not wanted."""
        now_us = time.time_ns() // 1000
        ended = [gap for subject, gap in self._open.items() if subject not in undecided and not _is_of(gap, lacks.get(subject))]
        over = {gap.mint for gap in ended}
        begun = [
            GapOpened(cause=lack.cause, feed=self._feed, mint=subject, from_us=now_us, detail=lack.detail)
            for subject, lack in lacks.items()
            if subject not in self._open or subject in over
        ]
        if not ended and not begun:
            return
        events = (*(msgspec.structs.replace(gap, to_us=max(gap.from_us, now_us)) for gap in ended), *begun)
        if self._deliver(Delivery(source="pumpwatch", received_at_us=now_us, events=events)):
            for subject in over:
                del self._open[subject]
            self._open.update((gap.mint, gap) for gap in begun)

    def said(self) -> str:
        """``delivers nothing of 3 tokens: refused``; empty when nothing is missing."""
        counts = Counter((gap.cause, gap.mint is not None) for gap in self._open.values())
        parts = []
        for (cause, is_token), count in sorted(counts.items()):
            tokens = "1 token" if count == 1 else f"{count} tokens"
            parts.append(f"{tokens if is_token else 'wallets or programs'}: {_SHOWN[cause]}")
        return f"delivers nothing of {'; of '.join(parts)}" if parts else ""


def _is_of(gap: GapOpened, lack: Lack | None) -> bool:
    return lack is not None and lack.cause == gap.cause
