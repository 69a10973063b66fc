"""
PURE. What may be said of a token's record: its breaks, and whether it is complete.

A token's steps as segments (:mod:`pumpwatch.continuity`), what else is known of it (:class:`Facts`), what the chain's accounts and
lists showed (:class:`Proofs`), and when it was watched make a :class:`Verdict`. Source: facts/onchain_events.md section 7; design.md
section 4.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Literal, NamedTuple, TypeAlias

import msgspec

from pumpwatch.continuity import CURVE, POOL, Segment, State, links
from pumpwatch.market import Reserves, curve_buy_quote, curve_buy_tokens, curve_sell_quote, fee, pool_buy_quote, pool_sell_quote

#: What a migration brings into the pool if nobody bought of it before (fact sheet 5).
OPENING_TOKENS: Final = 206_900_000_000_000

#: The chain's clock and ours differ, and spells are kept by ours: so much of an unwatched stretch does not count at each of its ends.
_CLOCKS_DIFFER_SECONDS: Final = 5

#: A token admitted so soon after its creation was watched from its creation on: what came before is fetched.
ADMITTED_AT_CREATION_SECONDS: Final = 60

_NEVER: Final = 2**62

Completeness: TypeAlias = Literal["complete", "since", "spell", "holes", "unproven"]


class Facts(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """
    What is known of a token beside its trades.

    Attributes:
        start: At its creation: virtual and real reserves of CreateEvent, real_quote 0. None: not known.
        created_at: Unix seconds.
        migrated_token_amount: What its pool was opened with, *migrated_quote_amount* alike, at the vaults.
        seams: Changes of the reserves that no step describes whole: (venue, slot, kind), as in
            :class:`pumpwatch.events.ReservesChanged`.
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


class Break(NamedTuple):
    """
    Two neighbours that do not link.

    Attributes:
        venue: Of *right*; of *left* where there is none.
        left: None: the creation, or the opening of the pool.
        right: None: the curve's end (completion or migration), after which the curve has no trade.
        token_amount: By how much the reserve changed between them, base units: what sales brought minus what buys took. None where
            that is not known.
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


class Proofs(NamedTuple):
    """
    What the chain's accounts and lists showed of a token.

    Attributes:
        anchored_slot: Slot of the newest account state that is one after our steps, or at the creation; its time in unix seconds.
        tail: Since a grace the account is in a state that follows none of our steps, and the token was watched then.
        listings: (venue, from_slot, to_slot) of lists read at finalized of which every transaction is recorded.
    """

    anchored_slot: int | None = None
    anchored_at: int | None = None
    tail: bool = False
    listings: tuple[tuple[int, int, int], ...] = ()


class Verdict(NamedTuple):
    """
    A token's columns of ``token_board``.

    Attributes:
        complete_from: Unix seconds: of the creation, or from when on nothing is missing.
        complete_until: Unix seconds of the newest proof.
        proven_to_slot: Every trade from *complete_from* to this slot, and of it, is recorded.
        holes: Breaks, and an open tail, that lie in watched time.
        reason: Why not ``complete``, or in what it is weaker.
    """

    completeness: Completeness
    complete_from: int | None
    complete_until: int | None
    proven_to_slot: int | None
    holes: int
    reason: str | None


def breaks(segments: Sequence[Segment], facts: Facts) -> list[Break]:
    """Return what lies between *segments*, which are all of a token in the chain's order; those of the curve first."""
    on_curve = [segment for segment in segments if segment.venue == CURVE]
    in_pool = segments[len(on_curve) :]
    found = _on_curve(on_curve, facts)
    if on_curve and not _sold_out(on_curve[-1].after, facts) and (in_pool or _left_curve_slot(facts) is not None):
        found.append(_end_of_curve(on_curve[-1], in_pool[0] if in_pool else None, facts))
    return found + _in_pool(in_pool, on_curve, facts)


def verdict(
    segments: Sequence[Segment],
    found: Iterable[Break],
    facts: Facts,
    proofs: Proofs,
    spells: Sequence[tuple[int, int | None]],
    *,
    has_chain_feed: bool = True,
) -> Verdict:
    """
    Return what may be said of a token.

    Args:
        segments: All of it, in the chain's order.
        found: Their :func:`breaks`.
        spells: When it was watched: (from, to) in unix microseconds of our clock, to None while it is, in order of time.
        has_chain_feed: Trades known from PumpPortal alone prove nothing; only for the reason.

    """
    complete_from = facts.created_at if facts.start is not None else segments[0].first_time if segments else None
    is_whole = facts.start is not None
    holes: list[Break] = []
    doubts: list[str] = []
    proven_to_slot = proofs.anchored_slot
    for one in found:
        if is_unwatched(one, facts, spells):
            is_whole = False
            complete_from = one.right.first_time if one.right is not None else one.to_time
            continue
        if _is_listed(one, proofs):
            if one.reason is None and one.venue == CURVE:
                doubts.append(f"the chain's own history does not explain the break after slot {one.from_slot}")
            continue
        if one.reason is None:
            holes.append(one)
        else:
            doubts.append(f"{one.reason} between slots {one.from_slot} and {one.to_slot}")
        proven_to_slot = _before(proven_to_slot, one)
    count = len(holes) + proofs.tail
    if count:
        return Verdict("holes", None, None, proven_to_slot, count, _holes_in_words(holes, proofs))
    reason = _without_proof(segments, facts, proofs, has_chain_feed=has_chain_feed) or "; ".join(doubts)
    if reason:
        return Verdict("unproven", None, None, proven_to_slot, 0, reason)
    weaker = "in the pool: proved by its effective reserves, which is weaker than on the curve" if _has_pool(segments) else None
    state: Completeness = "complete" if is_whole else "since"
    if not spells or spells[-1][1] is not None:
        state = "spell"
    return Verdict(state, complete_from, proofs.anchored_at, proven_to_slot, 0, weaker)


def is_unwatched(one: Break, facts: Facts, spells: Iterable[tuple[int, int | None]]) -> bool:
    """Whether a break reaches into a time in which the token was not watched (*spells* as in :func:`verdict`): then it is no hole."""
    from_time = -_NEVER if one.from_time is None else one.from_time
    to_time = _NEVER if one.to_time is None else one.to_time
    return any(start < to_time and from_time < end for start, end in _unwatched(facts, spells))


def _unwatched(facts: Facts, spells: Iterable[tuple[int, int | None]]) -> Iterable[tuple[int, int]]:
    """The stretches without a spell, in unix seconds, short of what the clocks may differ."""
    end = -_NEVER
    for from_us, to_us in spells:
        start = from_us // 1_000_000
        created_at = facts.created_at
        if end > -_NEVER or created_at is None or start - created_at > ADMITTED_AT_CREATION_SECONDS:
            yield end + _CLOCKS_DIFFER_SECONDS, start - _CLOCKS_DIFFER_SECONDS
        if to_us is None:
            return
        end = max(end, to_us // 1_000_000)
    yield end + _CLOCKS_DIFFER_SECONDS, _NEVER


def _is_listed(one: Break, proofs: Proofs) -> bool:
    """Whether all that was between its ends is recorded, by the chain's own list."""
    of_both = {POOL} if one.venue == POOL else {CURVE}
    if one.left is not None and one.right is not None:
        of_both.add(one.left.venue)
    return all(
        any(venue == of and start <= one.from_slot and one.to_slot <= end for venue, start, end in proofs.listings)
        for of in of_both
    )


def _before(proven_to_slot: int | None, one: Break) -> int | None:
    """The last slot before a break, if that is less."""
    if proven_to_slot is None or one.left is None:
        return None
    return min(proven_to_slot, one.from_slot - 1)


def _holes_in_words(holes: list[Break], proofs: Proofs) -> str:
    words = []
    if holes:
        words.append(f"{len(holes)} run{'s' * (len(holes) > 1)} of trades missing, the first after slot {holes[0].from_slot}")
    if proofs.tail:
        words.append(f"the account has moved past our last trade since slot {proofs.anchored_slot or 0}")
    return "; ".join(words)


def _without_proof(segments: Sequence[Segment], facts: Facts, proofs: Proofs, *, has_chain_feed: bool) -> str | None:
    if not segments and facts.start is None:
        return (
            "no trade of the chain is recorded yet" if has_chain_feed else "no chain feed: what PumpPortal tells proves nothing"
        )
    if proofs.anchored_slot is None:
        return "the chain's account was not seen yet in a state of our trades"
    return None


def _has_pool(segments: Sequence[Segment]) -> bool:
    return bool(segments) and segments[-1].venue == POOL


def _on_curve(on_curve: list[Segment], facts: Facts) -> list[Break]:
    """The breaks between segments of a curve, and before the first."""
    found = []
    if on_curve and facts.start is not None and not links(CURVE, facts.start, on_curve[0].before):
        found.append(_break(None, on_curve[0], facts.start, facts))
    found.extend(_break(left, right, left.after, facts) for left, right in zip(on_curve, on_curve[1:], strict=False))
    return found


def _in_pool(in_pool: Sequence[Segment], on_curve: list[Segment], facts: Facts) -> list[Break]:
    """
    The breaks between segments of a pool, and at its opening.

    The pool opens with what the curve leaves less the migration fee, or with what a PostCompleteBuy left of that, at its vaults; a
    virtual quote reserve may be added then (fact sheet 5, 6.3).
    """
    return []


def _end_of_curve(last: Segment, first_in_pool: Segment | None, facts: Facts) -> Break:
    """What is missing between the last trade on the curve and its completion."""
    slot = _left_curve_slot(facts)
    to_slot = slot if slot is not None else first_in_pool.first_slot if first_in_pool is not None else last.last_slot
    tokens = last.after.real_token
    return Break(
        venue=CURVE,
        left=last,
        right=None,
        token_amount=None if tokens is None else -tokens,
        quote_amount=None,
        from_slot=last.last_slot,
        to_slot=max(to_slot, last.last_slot),
        from_time=last.last_time,
        to_time=first_in_pool.first_time if first_in_pool is not None else None,
        reason=_seam(facts, CURVE, last.last_slot, to_slot),
        fits_one_trade=False,
    )


def _left_curve_slot(facts: Facts) -> int | None:
    return facts.completed_slot if facts.completed_slot is not None else facts.migrated_slot


def _sold_out(state: State, facts: Facts) -> bool:
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
    from_slot = left.last_slot if left is not None else facts.created_slot or 0
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
    if venue or quote is None:
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
