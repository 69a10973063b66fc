"""
PURE. The last trades of a token as beads on its chain: how each stands to the one before it.

Trades of one segment link; what lies between two segments is for breaks.py to say.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Literal, NamedTuple, TypeAlias

import msgspec

from pumpwatch.continuity import Segment, Step, links, step_of_trade
from pumpwatch.events import SOURCES
from pumpwatch.storage.chosen import ListedTrade
from pumpwatch.storage.schema import VENUES

#: How a trade stands to the one before it.
Link: TypeAlias = Literal["first", "chained", "hole", "doubt", "unordered"]

_BACKFILL: Final = SOURCES[-1]

#: Segments that begin in one slot, or just before it: so many are looked at for a trade.
_IN_ONE_SLOT: Final = 50


class Change(NamedTuple):
    """The reserves moved without a trade."""

    venue: int
    slot: int
    kind: str


class Missing(msgspec.Struct, frozen=True):
    """
    What is not there between two stretches.

    Attributes:
        reason: Why nothing can be said of it; None: it is a hole.
        gap: The id of its row of ``gaps``; None: it has none (yet).
        token_amount: By how much the reserve changed unseen, base units; None: not known. *quote_amount* alike.
        fits_one_trade: A single trade could have done that.
        is_unwatched: It reaches into a time in which the token was not watched: the verdict does not count it.
    """

    venue: str
    from_slot: int
    to_slot: int
    from_time: int | None
    to_time: int | None
    token_amount: int | None
    quote_amount: int | None
    reason: str | None
    fits_one_trade: bool
    is_unwatched: bool
    gap: int | None


class Bead(msgspec.Struct, frozen=True):
    """
    One trade of the chain.

    Attributes:
        link: ``chained``: it begins in the very state in which the one before it ended; ``hole``: it does not, *missing* lies
            between; ``doubt``: that cannot be told, see there; ``first``: before it there is nothing that it could link to;
            ``unordered``: the chain has not told its place.
        gap: The id of the row of ``gaps`` for what lies before it; None: nothing does, or it has none.
        fetched: No feed brought it: backfill did.
        sources: Who did.
        moved_by: It is chained, but not to the trade before it alone: between them the reserves moved without a trade, which the
            chain told (``mayhem params``, ``init boost``, ...).
    """

    trade: ListedTrade
    link: Link
    gap: int | None
    fetched: bool
    sources: list[str]
    missing: Missing | None = None
    moved_by: str | None = None


def beads_of(
    tape: Iterable[ListedTrade],
    segments: Sequence[Segment],
    lacks: Iterable[tuple[int, Missing]],
    changes: Sequence[Change],
    *,
    is_mayhem: bool,
) -> Iterator[Bead]:
    """
    The trades of *tape* as beads.

    Args:
        tape: In the chain's order.
        segments: All of the token in the chain's order.
        lacks: What is missing, each with the place (in *segments*) that it lies before.
        changes: In the slots of *tape*, in their order.
        is_mayhem: The keys of trades are no order inside a slot.

    """
    before: dict[int, Missing] = {}
    for behind, lack in lacks:
        if behind not in before or lack.reason is None:  # of two that lie there, a hole is worse than a doubt
            before[behind] = lack
    search = _BySlot(segments) if is_mayhem else _ByKey(segments)
    last: _Placed | None = None
    for row in tape:
        step = _step(row)
        place = None if step is None else search.place(step, last)
        if step is None or place is None:
            yield _bead(row, "unordered")
            continue
        yield _linked(row, step, place, last, segments, before, changes)
        last = _Placed(step, place)


class _Placed(NamedTuple):
    """A trade, and the place of the segment that has it."""

    step: Step
    place: int


def _linked(
    row: ListedTrade,
    step: Step,
    place: int,
    last: _Placed | None,
    segments: Sequence[Segment],
    before: Mapping[int, Missing],
    changes: Sequence[Change],
) -> Bead:
    if last is None:
        if not _begins(segments[place], step):
            return _bead(row, "chained")
        passed = range(_behind_trades(segments, place), place + 1)
    elif last.place == place:
        return _bead(row, "chained", moved_by=_moved_by(changes, last.step, step))
    else:
        passed = range(min(last.place, place) + 1, place + 1)
    # Segments without a trade lie between, and a break may be before any of them.
    lack = next((before[at] for at in passed if at in before), None)
    if lack is not None:
        return _bead(row, "hole" if lack.reason is None else "doubt", lack)
    return _bead(
        row, "chained" if passed.start else "first", moved_by=None if last is None else _moved_by(changes, last.step, step)
    )


def _begins(segment: Segment, step: Step) -> bool:
    return segment.first_slot == step.slot and links(step.venue, segment.before, step.before)


def _holds(segment: Segment, step: Step) -> bool:
    return segment.venue == step.venue and segment.first_slot <= step.slot <= segment.last_slot


def _behind_trades(segments: Sequence[Segment], place: int) -> int:
    """The first place behind the last segment with trades before *place*."""
    while place and not segments[place - 1].trades:
        place -= 1
    return place


def _moved_by(changes: Sequence[Change], last: Step, step: Step) -> str | None:
    if last.venue != step.venue or links(step.venue, last.after, step.before):
        return None
    between = (one.kind for one in changes if one.venue == step.venue and last.slot <= one.slot <= step.slot)
    return next(between, None)


def _bead(row: ListedTrade, link: Link, lack: Missing | None = None, *, moved_by: str | None = None) -> Bead:
    sources = row.sources.split(",")
    gap = None if lack is None else lack.gap
    return Bead(row, link, gap, sources == [_BACKFILL], sources, lack, moved_by)


class _ByKey:
    """Finds the segment of a trade by its chain_key."""

    def __init__(self, segments: Sequence[Segment]) -> None:
        # In a pool a boost may come before the trades of its slot, or behind them.
        self._places = sorted(range(len(segments)), key=lambda place: segments[place].first_key)
        self._starts = [segments[place].first_key for place in self._places]
        self._segments = segments

    def place(self, step: Step, _last: _Placed | None) -> int | None:
        """Of the segment in *segments*; None: none has it."""
        at = bisect_right(self._starts, step.key) - 1
        return self._places[at] if at >= 0 and step.key <= self._segments[self._places[at]].last_key else None


class _BySlot:
    """Finds it by venue and slot, and where several share a slot, by what links."""

    def __init__(self, segments: Sequence[Segment]) -> None:
        self._segments = segments
        self._starts = [(one.venue, one.first_slot) for one in segments]

    def place(self, step: Step, last: _Placed | None) -> int | None:
        """As :meth:`_ByKey.place`."""
        end = bisect_right(self._starts, (step.venue, step.slot))
        nearest = range(max(end - _IN_ONE_SLOT, 0), end)
        around = [place for place in nearest if self._segments[place].trades and _holds(self._segments[place], step)]
        if last is not None and last.place in around and links(step.venue, last.step.after, step.before):
            return last.place
        begun = (place for place in around if _begins(self._segments[place], step))
        return next(begun, around[-1] if around else None)


def _step(row: ListedTrade) -> Step | None:
    """What a row of the view tells. It has no price impact where the mayhem agent traded."""
    return step_of_trade(
        VENUES[row.venue],
        int(row.side == "buy"),
        row.token_amount,
        row.quote_amount,
        row.lp_fee,
        int(row.price_impact is None),
        row.slot,
        row.block_time,
        None if row.chain_key is None else bytes.fromhex(row.chain_key),
        row.virtual_token_reserves,
        row.virtual_quote_reserves,
        row.real_token_reserves,
        row.real_quote_reserves,
    )
