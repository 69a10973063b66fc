"""``db prune`` through the running worker: what it may be asked for, and how far it is."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from pumpwatch.commands import Answer, Request
from pumpwatch.config_operations import MOST_DAYS
from pumpwatch.storage.pruner import Pruner

#: The commands of the running worker. The first takes ``older_than_days``; both answer with a :class:`Pruning` in JSON.
PRUNE: Final = "db prune"
PRUNE_PROGRESS: Final = "db prune progress"

_PAGE_BYTES: Final = 4096


class Pruning(msgspec.Struct, kw_only=True):
    """
    How far it is.

    Attributes:
        is_done: Nothing more that was asked for is to be done.
        trades: Taken out since the worker's start; *freed_bytes*: given back to the disk since then.
        stay: Why old trades stay for now: tokens by reason, of the last round.
    """

    is_done: bool
    trades: int
    freed_bytes: int
    stay: dict[str, int] = {}


def state_of(pruner: Pruner) -> Pruning:
    """How far a pruner is, from any thread."""
    tally = pruner.tally
    return Pruning(
        is_done=not pruner.is_asked, trades=tally.rows, freed_bytes=tally.pages_freed * _PAGE_BYTES, stay=dict(pruner.stayed)
    )


def handlers(pruner: Pruner) -> Mapping[str, Callable[[Request], Answer]]:
    """What the running worker answers. None of them raises."""

    def take(request: Request) -> Answer:
        try:
            days = float(request.arguments.get("older_than_days", ""))
        except ValueError:
            days = math.nan
        if not 0 < days <= MOST_DAYS:
            return Answer(ok=False, text="older_than_days is no number of days")
        before = _answer(pruner)
        pruner.ask(days)
        return before

    return {PRUNE: take, PRUNE_PROGRESS: lambda _: _answer(pruner)}


def _answer(pruner: Pruner) -> Answer:
    return Answer(ok=True, text=msgspec.json.encode(state_of(pruner)).decode())
