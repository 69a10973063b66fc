"""
PURE. What lies between the segments of a token: where its record does not link, by how much, and why that may be.

Source: facts/onchain_events.md sections 5, 6 and 7.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

import msgspec

from pumpwatch.continuity import CURVE, Segment, State, links
from pumpwatch.market import Reserves, curve_buy_quote, curve_buy_tokens, curve_sell_quote, fee, pool_buy_quote, pool_sell_quote

#: A curve begins with so many real tokens, and its pool with so many if nobody bought of it before it was open (fact sheet 5).
_CURVE_TOKENS: Final = 793_100_000_000_000
_POOL_TOKENS: Final = 206_900_000_000_000

_UNSEEN_MIGRATION: Final = "the migration was not seen"
_UNKNOWN_OPENING: Final = "the pool's virtual quote reserve at its opening is not known"


class Facts(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """
    What is known of a token beside its trades.

    Attributes:
        start: At its creation: virtual and real reserves of CreateEvent, real_quote 0. None: not known.
        created_at: Unix seconds.
        migrated_token_amount: What its pool was opened with, *migrated_quote_amount* alike, at the vaults.
        seams: Changes of the reserves that no step describes whole: (venue, slot, kind), as in
            :class:`pumpwatch.events.ReservesChanged`.
        pool_seam: Slot of the last of them in the pool, and the state after it as far as it is known.
    """

    start: State | None = None
    created_slot: int | None = None
    created_at: int | None = None
    is_mayhem: bool = False
    completed_slot: int | None = None
    migrated_slot: int | None = None
    migrated_token_amount: int | None = None
    migrated_quote_amount: int | None = None
    seams: tuple[tuple[int, int, str], ...] = ()
    pool_seam: tuple[int, State] | None = None

    def before(self, slot: int) -> Facts:
        """The same for a look at the account of *slot*: a seam behind it is not there yet."""
        if self.pool_seam is None or self.pool_seam[0] <= slot:
            return self
        return msgspec.structs.replace(self, pool_seam=None)


class Break(NamedTuple):
    """
    Two neighbours that do not link.

    Attributes:
        venue: Of *right*; of *left* where there is none.
        left: None: the creation, or the opening of the pool.
        right: None: the end of the curve, after which it has no trade.
        token_amount: By how much the reserve changed between them, base units: what sales brought minus what buys took. None
            where that is not known.
        quote_amount: Alike: what buys brought minus what sales took.
        from_slot: The last slot before it with a step, which may have lost some itself; 0 where not even the creation's is known.
        from_time: Unix seconds.
        reason: None: a hole. Else why nothing can be said.
        fits_one_trade: The amounts are those of a single trade by the formula: a hint, never proof.
    """

    venue: int
    left: Segment | None
    right: Segment | None
    token_amount: int | None
    quote_amount: int | None
    from_slot: int
    to_slot: int
    from_time: int | None
    to_time: int | None
    reason: str | None
    fits_one_trade: bool


def breaks(segments: Sequence[Segment], facts: Facts) -> list[Break]:
    """Return what lies between *segments*, which are all of a token in the chain's order; what was on the curve comes first."""
    on_curve = [segment for segment in segments if segment.venue == CURVE]
    in_pool = segments[len(on_curve) :]
    found = list(_on_curve(on_curve, facts))
    end = on_curve[-1].after if on_curve else facts.start
    if end is not None and not _is_sold_out(end, facts) and (in_pool or _left_curve_slot(facts) is not None):
        found.append(_end_of_curve(on_curve, end, in_pool, facts))
    found.extend(_in_pool(in_pool, on_curve, facts)[0])
    return found


def is_end(segments: Sequence[Segment], facts: Facts, venue: int, seen: State) -> bool:
    """Whether an account *seen* after all steps of *segments*, in the chain's order, is in the state that they left."""
    on_curve = [segment for segment in segments if segment.venue == CURVE]
    if venue == CURVE:
        end = on_curve[-1].after if on_curve else facts.start
        return end is not None and links(CURVE, end, seen)
    if facts.pool_seam is not None and facts.pool_seam[0] >= max((s.last_slot for s in segments[len(on_curve) :]), default=0):
        # Its effective reserves are not known; its vaults are.
        vaults = facts.pool_seam[1][2:]
        if None not in vaults and vaults == seen[2:]:
            return True
    return _at_seam(_in_pool(segments[len(on_curve) :], on_curve, facts)[1], seen)[0]


def _on_curve(on_curve: list[Segment], facts: Facts) -> Iterator[Break]:
    """Between segments of a curve, and before the first."""
    if on_curve and facts.start is not None and not links(CURVE, facts.start, on_curve[0].before):
        yield _break(None, on_curve[0], facts.start, facts)
    for left, right in pairwise(on_curve):
        yield _break(left, right, left.after, facts)


def _in_pool(in_pool: Sequence[Segment], on_curve: list[Segment], facts: Facts) -> tuple[list[Break], State]:
    """
    Between segments of a pool, and at its opening; and the state that they leave, as far as it is known.

    The pool opens with what the curve leaves less the migration fee, or with what a PostCompleteBuy left of that, at its vaults;
    a virtual quote reserve may be added then or later, by InitBoost or without a word (fact sheet 5, 6.3).
    """
    found: list[Break] = []
    rest = _bought_first(in_pool)
    left = on_curve[-1] if on_curve else None
    state = State(facts.migrated_token_amount, None, facts.migrated_token_amount, facts.migrated_quote_amount)
    if rest and _is_bought_before_opening(rest[0], left, state, facts):
        left = rest.pop(0)
        if left.trades > 1:
            state = left.after
        elif state.virtual_token is None:
            state = State(left.after.real_token, None, left.after.real_token, left.after.real_quote)
    elif left is not None and _is_sold_out(left.after, facts) and _lacks_buy_before_opening(facts):
        found.append(_lost_before_opening(left, facts))
    doubt: str | None = None
    for right in rest:
        if right.trades == 0 and right.before.virtual_quote is None:
            # InitBoost: it tells the effective quote and the vault; the tokens stay as they were.
            if state.real_quote is None or state.real_quote != right.after.real_quote:
                doubt = "init boost"
            state = State(state.virtual_token, right.after.virtual_quote, state.real_token, right.after.real_quote)
            continue
        if left is not None or state.virtual_token is not None or facts.start is not None:
            is_linked, reason = _at_seam(state, right.before)
            if doubt is not None or not is_linked:
                found.append(_break(left, right, state, facts, reason=reason or doubt))
        left, state, doubt = right, right.after, None
    return found, state


def _bought_first(in_pool: Sequence[Segment]) -> list[Segment]:
    """In the slot of the migration a boost has no place of its own: a trade on vaults without a virtual part comes first."""
    rest = list(in_pool)
    slot = rest[0].first_slot if rest else None
    for place, segment in enumerate(rest):
        if segment.first_slot != slot:
            break
        if segment.trades and segment.before.real_quote is not None and segment.before.real_quote == segment.before.virtual_quote:
            rest.insert(0, rest.pop(place))
            break
    return rest


def _at_seam(state: State, before: State) -> tuple[bool, str | None]:
    """Whether a pool known as *state* is the one *before* a trade, and why that cannot be told."""
    if state.virtual_token is None:
        return False, _UNSEEN_MIGRATION
    if state.virtual_token != before.virtual_token:
        return False, None
    if state.virtual_quote is not None:
        return state.virtual_quote == before.virtual_quote, None
    if state.real_quote is None:
        return False, _UNSEEN_MIGRATION
    is_linked = state.real_quote in (before.virtual_quote, before.real_quote)
    return is_linked, None if is_linked else _UNKNOWN_OPENING


def _is_bought_before_opening(first: Segment, left: Segment | None, opened: State, facts: Facts) -> bool:
    """Whether a pool's first segment begins with a PostCompleteBuy: in the slot of the completion, on vaults yet to be filled."""
    if opened.virtual_token == first.before.virtual_token and opened.real_quote == first.before.virtual_quote:
        return False
    completed = left.last_slot if left is not None and _is_sold_out(left.after, facts) else facts.completed_slot
    return first.first_slot == completed and first.before.real_quote == first.before.virtual_quote


def _lacks_buy_before_opening(facts: Facts) -> bool:
    """Whether the pool was opened with less than an ordinary curve leaves to it: then somebody bought of it before."""
    is_ordinary = facts.start is not None and facts.start.real_token == _CURVE_TOKENS and not facts.is_mayhem
    return is_ordinary and facts.migrated_token_amount is not None and facts.migrated_token_amount < _POOL_TOKENS


def _lost_before_opening(left: Segment, facts: Facts) -> Break:
    assert facts.migrated_token_amount is not None
    tokens = facts.migrated_token_amount - _POOL_TOKENS
    slot, time = left.last_slot, left.last_time
    return Break(CURVE, left, None, tokens, None, slot, slot, time, time, None, fits_one_trade=True)


def _end_of_curve(on_curve: list[Segment], end: State, in_pool: Sequence[Segment], facts: Facts) -> Break:
    """What is missing between the last trade on the curve, or the creation, and its completion."""
    left = on_curve[-1] if on_curve else None
    from_slot = left.last_slot if left is not None else facts.created_slot or 0
    completed = _left_curve_slot(facts)
    to_slot = max(from_slot, in_pool[0].first_slot if completed is None else completed)
    return Break(
        venue=CURVE,
        left=left,
        right=None,
        token_amount=None if end.real_token is None else -end.real_token,
        quote_amount=None,
        from_slot=from_slot,
        to_slot=to_slot,
        from_time=left.last_time if left is not None else facts.created_at,
        to_time=in_pool[0].first_time if in_pool else None,
        reason=_seam(facts, CURVE, from_slot, to_slot),
        fits_one_trade=False,
    )


def _left_curve_slot(facts: Facts) -> int | None:
    return facts.completed_slot if facts.completed_slot is not None else facts.migrated_slot


def _is_sold_out(state: State, facts: Facts) -> bool:
    """Whether nothing is left on the curve: it has no trade after this state."""
    if state.real_token is not None:
        return state.real_token == 0
    start = facts.start
    if start is None or start.virtual_token is None or start.real_token is None:
        return False
    return state.virtual_token == start.virtual_token - start.real_token


def _break(left: Segment | None, right: Segment, state: State, facts: Facts, *, reason: str | None = None) -> Break:
    """The break between the *state* that *left* ends in and *right*."""
    venue = right.venue
    tokens, quote = difference(venue, state, right.before)
    start_slot = facts.created_slot if venue == CURVE or facts.migrated_slot is None else facts.migrated_slot
    from_slot = left.last_slot if left is not None else start_slot or 0
    from_time = left.last_time if left is not None else facts.created_at
    return Break(
        venue=venue,
        left=left,
        right=right,
        token_amount=tokens,
        quote_amount=quote,
        from_slot=min(from_slot, right.first_slot),
        to_slot=max(from_slot, right.first_slot),
        from_time=from_time,
        to_time=right.first_time,
        reason=reason or _seam(facts, venue, from_slot, right.first_slot),
        fits_one_trade=_fits_one_trade(venue, state, tokens, quote),
    )


def difference(venue: int, after: State, before: State) -> tuple[int | None, int | None]:
    """By how much token and quote reserves moved from *after* one step to *before* another, unseen; None where not known."""
    tokens, quote = _minus(before.real_token, after.real_token), _minus(before.real_quote, after.real_quote)
    if venue or tokens is None:
        tokens = _minus(before.virtual_token, after.virtual_token)
    if after.virtual_quote is not None and (venue or quote is None):
        quote = _minus(before.virtual_quote, after.virtual_quote)
    return tokens, quote


def _minus(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one - other


def _seam(facts: Facts, venue: int, from_slot: int, to_slot: int) -> str | None:
    return next((kind for of, slot, kind in facts.seams if of == venue and from_slot <= slot <= to_slot), None)


def _fits_one_trade(venue: int, state: State, tokens: int | None, quote: int | None) -> bool:
    """Whether a single trade from *state* could have moved the reserves so."""
    if not tokens or quote is None or state.virtual_quote is None or state.virtual_token is None:
        return False
    before, amount = Reserves(state.virtual_quote, state.virtual_token), abs(tokens)
    if tokens < 0 and amount >= before.token:
        return False
    if not venue:
        if tokens > 0:
            return -quote == curve_sell_quote(amount, before)
        exact = curve_buy_quote(amount, before)
        return quote == exact or (quote == exact + 1 and amount == curve_buy_tokens(quote, before))
    priced = pool_buy_quote(amount, before) if tokens < 0 else pool_sell_quote(amount, before)
    stays = quote - priced if tokens < 0 else quote + priced
    rate = stays * 10_000 // max(priced, 1)
    return any(
        stays in (fee(priced, bps), fee(priced, bps) + (tokens < 0)) for bps in (rate - 1, rate, rate + 1) if 0 <= bps <= 100
    )
