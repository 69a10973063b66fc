"""
PURE. Do these trades chain? The record of a token as segments: the longest runs in which each step begins where the one before it
ended, to the last unit. What lies between two segments is missing; :mod:`pumpwatch.verdict` says what that means.

Source: facts/onchain_events.md section 7; design.md section 4.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Final, NamedTuple, TypeAlias

import msgspec

CURVE: Final = 0
POOL: Final = 1

#: How many tries :func:`order_by_linking` may take for a step of a slot before it takes what it has.
_TRIES_A_STEP: Final = 200


class State(NamedTuple):
    """
    Reserves of a curve or a pool at one moment, base units; None = not known.

    For a pool ``virtual_*`` are the effective B and E, ``real_*`` the vaults, as in :class:`pumpwatch.events.Trade`.
    """

    virtual_token: int | None
    virtual_quote: int | None
    real_token: int | None
    real_quote: int | None


class Step(msgspec.Struct, frozen=True, gc=False):
    """
    One move of the reserves: a trade, or a change without one (*trades* 0).

    Attributes:
        key: Its chain_key (:func:`pumpwatch.market.chain_key`): venue, slot, and the order in the slot as far as it is known.
        before: What cannot be computed is None, and what cannot be relied on: the mayhem agent's trade has no virtual quote,
            neither before nor after.
    """

    venue: int
    slot: int
    time: int | None
    key: bytes
    before: State
    after: State
    trades: int = 1


class Segment(msgspec.Struct, eq=False, gc=False):
    """
    A run of linked steps: a row of ``segments``. Compared by identity.

    Attributes:
        trades: How many of its steps are trades.
        first_key: chain_key of its first step, *last_key* of its last; slots and times (unix seconds) alike.
        before: The state before its first step, *after* the one after its last.
        id: Of its row; None while it has none.
    """

    venue: int
    trades: int
    first_key: bytes
    last_key: bytes
    first_slot: int
    last_slot: int
    first_time: int | None
    last_time: int | None
    before: State
    after: State
    id: int | None = None


_Index: TypeAlias = dict[tuple[int, int], list[Segment]]


def step_of_trade(
    venue: int,
    is_buy: int,
    token_amount: int,
    quote_amount: int | None,
    lp_fee: int | None,
    by_mayhem_agent: int,
    slot: int | None,
    time: int | None,
    key: bytes | None,
    virtual_token: int | None,
    virtual_quote: int | None,
    real_token: int | None,
    real_quote: int | None,
) -> Step | None:
    """
    Return a trade as a step, from its columns (flags as 0 and 1 or as bool); None if too little is known of it to be linked.

    Of a pool's vault the amount before is that of a pool whose fees leave it: where they are kept it is wrong for a sale, and
    nothing is linked by it.
    """
    if quote_amount is None or slot is None or key is None or virtual_token is None or virtual_quote is None:
        return None
    tokens = -token_amount if is_buy else token_amount
    quote = quote_amount if is_buy else -quote_amount
    if venue:
        quote += lp_fee or 0
    before = State(
        virtual_token - tokens,
        None if by_mayhem_agent else virtual_quote - quote,
        None if real_token is None else real_token - tokens,
        None if real_quote is None else real_quote - quote,
    )
    after = State(virtual_token, None if by_mayhem_agent else virtual_quote, real_token, real_quote)
    return Step(venue, slot, time, key, before, after)


def links(venue: int, after: State, before: State) -> bool:
    """
    Whether nothing can have happened between the states *after* one step and *before* another, to the last unit.

    A pool is compared by its effective reserves. A curve by virtual tokens and both real reserves, and by the virtual quote where
    both have it; where one has no real reserves (events of 2024) by both virtual ones. What is not known links with nothing.
    """
    if after[0] != before[0] or after[0] is None:
        return False
    if venue or after[3] is None or before[3] is None:
        return after[1] is not None and after[1] == before[1]
    return after[3] == before[3] and after[2] == before[2] and (after[1] == before[1] or after[1] is None or before[1] is None)


class Chain:
    """All steps of one token. Memory grows with its segments, not with its steps. Not for several threads at once."""

    def __init__(self, segments: Iterable[Segment] = ()) -> None:
        """Begin with what is stored. Nothing of it counts as changed."""
        # By venue: the segments that end, and those that begin, in a state.
        self._ends: tuple[_Index, _Index] = ({}, {})
        self._begins: tuple[_Index, _Index] = ({}, {})
        self._segments: dict[Segment, None] = {}
        self._in_order: list[Segment] | None = None
        self._changed: dict[Segment, None] = {}
        self._gone: list[int] = []
        # Curve states with and without real reserves have different keys: where both came, all segments are looked at.
        self._has_old = self._has_new = False
        for segment in segments:
            self._insert(segment)

    @classmethod
    def of(cls, steps: Iterable[Step], *, begun: Iterable[Segment] = (), after: State | None = None) -> Chain:
        """
        Link all steps of a token anew, slot by slot, and inside a slot as they fit best. All its segments count as new.

        For tokens whose states repeat (mayhem): there the order of arrival can have linked otherwise.

        Args:
            begun: The segments of steps that are known by these alone, before all others; *after*: the state that they leave.

        """
        chain = cls()
        for segment in begun:
            segment.id = None
            chain._insert(segment)
            chain._changed[segment] = None
        for step in in_linked_order(steps, after=after):
            chain.add(step)
        return chain

    @property
    def segments(self) -> list[Segment]:
        """All segments in the chain's order: venue, slot, key. Not to be changed."""
        if self._in_order is None:
            # Of two that begin in a slot the one that goes on is the later, where keys do not tell (mayhem).
            self._in_order = sorted(self._segments, key=attrgetter("venue", "first_slot", "last_slot", "first_key"))
        return self._in_order

    def take_changes(self) -> tuple[list[Segment], list[int]]:
        """Return the segments that are new (id None) or changed since the last call, and the ids of those that are no more."""
        changed, gone = list(self._changed), self._gone
        self._changed, self._gone = {}, []
        return changed, gone

    def add(self, step: Step) -> None:
        """Add a step, once. It joins the segment that ends where it begins and the one that begins where it ends."""
        venue, before, after = step.venue, step.before, step.after
        left = self._find(self._ends[venue], venue, before, step.slot, at_end=True)
        right = self._find(self._begins[venue], venue, after, step.slot, at_end=False)
        if left is None:
            if right is None:
                if before == after:
                    return  # a trade of nothing: whether it is there or not, its neighbours link
                segment = Segment(
                    venue, step.trades, step.key, step.key, step.slot, step.slot, step.time, step.time, before, after
                )
                self._insert(segment)
                self._changed[segment] = None
                return
            self._unlist(self._begins[venue], right.before, right)
            right.trades += step.trades
            right.first_key, right.first_slot, right.first_time, right.before = step.key, step.slot, step.time, before
            self._list(self._begins[venue], before, right)
            self._changed[right] = None
            self._in_order = None
            return
        self._unlist(self._ends[venue], left.after, left)
        left.trades += step.trades
        if right is None or right is left:
            left.last_key, left.last_slot, left.last_time, left.after = step.key, step.slot, step.time, after
        else:
            left.trades += right.trades
            left.last_key, left.last_slot, left.last_time, left.after = (
                right.last_key,
                right.last_slot,
                right.last_time,
                right.after,
            )
            self._remove(right)
        if len(self._segments) > 1:
            self._in_order = None
        self._list(self._ends[venue], left.after, left)
        self._changed[left] = None

    def _find(self, index: _Index, venue: int, state: State, slot: int, *, at_end: bool) -> Segment | None:
        """The segment that ends (or begins) in *state* and not later (earlier) than *slot*; of several the nearest."""
        key = _key(venue, state)
        found: Iterable[Segment] = index.get(key, ()) if key is not None else ()
        if not venue and (self._has_new if state[3] is None else self._has_old):
            found = self._segments
        best = None
        for segment in found:
            if at_end:
                fits = segment.last_slot <= slot and links(venue, segment.after, state)
                is_nearer = best is None or segment.last_slot >= best.last_slot
            else:
                fits = slot <= segment.first_slot and links(venue, state, segment.before)
                is_nearer = best is None or segment.first_slot < best.first_slot
            if fits and is_nearer and segment.venue == venue:
                best = segment
        return best

    def _insert(self, segment: Segment) -> None:
        self._segments[segment] = None
        self._list(self._ends[segment.venue], segment.after, segment)
        self._list(self._begins[segment.venue], segment.before, segment)
        self._in_order = None

    def _remove(self, segment: Segment) -> None:
        del self._segments[segment]
        self._unlist(self._ends[segment.venue], segment.after, segment)
        self._unlist(self._begins[segment.venue], segment.before, segment)
        self._changed.pop(segment, None)
        if segment.id is not None:
            self._gone.append(segment.id)
        self._in_order = None

    def _list(self, index: _Index, state: State, segment: Segment) -> None:
        key = _key(segment.venue, state)
        if key is None:
            return
        if not segment.venue:
            if state[3] is None:
                self._has_old = True
            else:
                self._has_new = True
        index.setdefault(key, []).append(segment)

    def _unlist(self, index: _Index, state: State, segment: Segment) -> None:
        key = _key(segment.venue, state)
        if key is None:
            return
        listed = index[key]
        if len(listed) == 1:
            del index[key]
        else:
            listed.remove(segment)


def in_linked_order(steps: Iterable[Step], *, after: State | None = None) -> Iterator[Step]:
    """
    Yield all steps of a token in the chain's order: venue, slot, and inside a slot as they link to what was before it.

    Args:
        after: The state in which they begin, of their first venue; None: not known.

    """
    return link_slots(sorted(steps, key=attrgetter("venue", "slot", "key")), after=after)


def link_slots(steps: Iterable[Step], *, after: State | None = None) -> Iterator[Step]:
    """Yield *steps*, which come in order of venue and slot, in the chain's order, one slot at a time; *after* as above."""
    venue, state = None, after
    for (of_venue, _), group in groupby(steps, key=attrgetter("venue", "slot")):
        in_slot = list(group)
        if of_venue != venue:
            venue, state = of_venue, None if venue is not None else state
        for place in order_by_linking(state, in_slot) if len(in_slot) > 1 else (0,):
            state = in_slot[place].after
            yield in_slot[place]


def order_by_linking(before: State | None, steps: Sequence[Step]) -> list[int]:
    """
    Return the order in which *steps* of one slot and venue link best, as places in *steps*, beginning in the state *before* the
    slot if that is known.

    Where they do not link as a whole, the longest run found comes first and the rest follows in the same way. The search is
    bounded: states that repeat often within a slot may be left in an order that links less.
    """
    left = list(range(len(steps)))
    order: list[int] = []
    while left:
        run = _longest_run(before, steps, left)
        if not run and before is not None:
            before = None
            continue
        order += run
        taken = set(run)
        left = [place for place in left if place not in taken]
        before = None
    return order


def _longest_run(before: State | None, steps: Sequence[Step], left: list[int]) -> list[int]:
    """Of the steps *left*, the longest run found that begins in *before*, or, if that is None, anywhere."""
    successors = {
        place: [other for other in left if other != place and links(steps[place].venue, steps[place].after, steps[other].before)]
        for place in left
    }
    if before is None:
        followed = {other for others in successors.values() for other in others}
        firsts = [place for place in left if place not in followed] or left
        firsts = firsts[:1]
    else:
        firsts = [place for place in left if links(steps[place].venue, before, steps[place].before)]
    best: list[int] = []
    tries = _TRIES_A_STEP * len(left)
    run: list[int] = []
    used: set[int] = set()
    choices = [iter(firsts)]
    while choices and tries and len(best) < len(left):
        tries -= 1
        place = next((place for place in choices[-1] if place not in used), None)
        if place is None:
            choices.pop()
            if run:
                used.discard(run.pop())
            continue
        run.append(place)
        used.add(place)
        choices.append(iter(successors[place]))
        if len(run) > len(best):
            best = run.copy()
    return best


def _key(venue: int, state: State) -> tuple[int, int] | None:
    """What a state is found by; whether it really links is asked of :func:`links`."""
    tokens, quote = state[0], state[1] if venue or state[3] is None else state[3]
    return None if tokens is None or quote is None else (tokens, quote)
