"""What is to be watched: the snapshot that the watch list hands to the feeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

# Shares of what may be spent, from which on the tokens of a kind are paid for no longer.
_NO_ADMITTED: Final = 0.8
_NO_BROUGHT: Final = 0.9
_NO_ASKED: Final = 0.95
_NO_TOKEN: Final = 1.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """
    The tokens and wallets that a feed must deliver from now on. A snapshot: a change is a new one.

    Attributes:
        mints: All watched tokens.
        pinned: Those of *mints* that were asked for by a person: paid subscriptions are made for these.
        asked: Those of *pinned* that the settings do not name: `watch add`.
        brought: Those of *mints* that a watched wallet traded. The others were admitted.
        completed: Those of *mints* whose curve is sold out: their canonical pool is watched too.
        quote_mints: Token -> the mint it trades against, for those of *mints* where that is not SOL: the pool depends on it.
    """

    mints: frozenset[str] = frozenset()
    pinned: frozenset[str] = frozenset()
    asked: frozenset[str] = frozenset()
    brought: frozenset[str] = frozenset()
    completed: frozenset[str] = frozenset()
    wallets: frozenset[str] = frozenset()
    quote_mints: Mapping[str, str] = field(default_factory=dict)

    def worth_paying(self, spent_share: float) -> frozenset[str]:
        """Those of *mints* that are still paid for when so much of the money is spent, 1 = all: the least useful go first."""
        if spent_share >= _NO_TOKEN:
            return frozenset()
        if spent_share >= _NO_ASKED:
            return self.pinned - self.asked
        if spent_share >= _NO_BROUGHT:
            return self.pinned
        return self.pinned | self.brought if spent_share >= _NO_ADMITTED else self.mints
