"""What is to be watched: the snapshot that the watch list hands to the feeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Wanted:
    """
    The tokens and wallets that a feed must deliver from now on. A snapshot: a change is a new one.

    Attributes:
        mints: All watched tokens.
        pinned: Those of *mints* that were asked for by a person: paid subscriptions are made for these.
        completed: Those of *mints* whose curve is sold out: their canonical pool is watched too.
        quote_mints: Token -> the mint it trades against, for those of *mints* where that is not SOL: the pool depends on it.
    """

    mints: frozenset[str] = frozenset()
    pinned: frozenset[str] = frozenset()
    completed: frozenset[str] = frozenset()
    wallets: frozenset[str] = frozenset()
    quote_mints: Mapping[str, str] = field(default_factory=dict)
