"""
PURE. What may be said of a token's record: whether it is complete, since when, up to where, or why that is not known.

A token's steps as segments (:mod:`pumpwatch.continuity`), their breaks (:mod:`pumpwatch.breaks`), what the chain's accounts and
lists showed (:class:`Proofs`) and when it was watched make a :class:`Verdict`. Source: design.md section 4.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Literal, NamedTuple, TypeAlias

from pumpwatch.breaks import Break, Facts, breaks
from pumpwatch.continuity import POOL, Segment

__all__ = ["STALE_SECONDS", "Break", "Facts", "Proofs", "Verdict", "breaks", "doubts", "holes", "verdict"]

#: The chain's clock and ours differ, and spells are kept by ours: so much does not count of a time without a spell, at each end.
_CLOCKS_DIFFER_SECONDS: Final = 5

#: Before the first spell: a token that is admitted so soon after its creation is watched, and filled, from its creation on.
_ADMITTED_SECONDS: Final = 60

#: How long an account state proves a watched token: accounts are read every few minutes at the least.
STALE_SECONDS: Final = 900

_NEVER: Final = 2**62

Completeness: TypeAlias = Literal["complete", "since", "spell", "holes", "unproven"]

#: When a token was watched, by our clock in unix microseconds: (from, to), to None while it is; in order of time.
Spells: TypeAlias = Sequence[tuple[int, int | None]]


class Proofs(NamedTuple):
    """
    What the chain's accounts and lists showed of a token.

    Attributes:
        anchored_slot: Slot of the newest account state that is one after our steps, or at the creation; its time in unix seconds.
        seen_at: When that was asked for, by our clock, in unix seconds.
        tail: Since a grace the account is in a state that follows none of our steps, and the token was watched then.
        listings: (venue, from_slot, to_slot) of lists read at finalized of which every transaction is recorded.
    """

    anchored_slot: int | None = None
    anchored_at: int | None = None
    seen_at: int | None = None
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


def holes(found: Iterable[Break], spells: Spells) -> list[Break]:
    """Return those of *found* that count: trades are missing between recorded ones, at a time when the token was watched."""
    return [one for one in found if one.reason is None and not is_unwatched(one, spells)]


def doubts(found: Iterable[Break], proofs: Proofs, spells: Spells) -> list[Break]:
    """Return those of *found* of which nothing can be told, in watched time: only a list of the chain's can settle them."""
    return [
        one
        for one in found
        if one.reason is not None and not (is_unwatched(one, spells) or _is_after_watch(one, spells) or _is_listed(one, proofs))
    ]


def verdict(
    segments: Sequence[Segment],
    found: Iterable[Break],
    facts: Facts,
    proofs: Proofs,
    spells: Spells,
    *,
    given_up: str | None = None,
    has_chain_feed: bool = True,
    now: int | None = None,
) -> Verdict:
    """
    Return what may be said of a token.

    Args:
        segments: All of it, in the chain's order.
        found: Their breaks, in that order.
        given_up: Why it is not watched as it should be: ``budget``, ``disk``. What is proven until then stays.
        has_chain_feed: Trades known from PumpPortal alone prove nothing; only for the reason.
        now: Unix seconds. A watched token whose account was not seen for long is not called complete; None: never mind.

    """
    is_whole = facts.start is not None
    complete_from = facts.created_at if is_whole else segments[0].first_time if segments else None
    missing: list[Break] = []
    doubts: list[str] = []
    proven_to_slot = proofs.anchored_slot
    from_slot = 0
    for one in itertools.takewhile(lambda one: not _is_after_watch(one, spells), found):
        if is_unwatched(one, spells):
            is_whole = False
            from_slot = one.to_slot
            complete_from = one.to_time if one.to_time is not None else proofs.anchored_at
            continue
        if _is_listed(one, proofs):
            if one.reason is None:
                doubts.append(f"the chain's own history does not explain the reserves after slot {one.from_slot}")
            continue
        if not missing and not doubts:
            # What is before it is chained, with or without an anchor.
            proven_to_slot = None if one.left is None else one.from_slot - 1
        if one.reason is None:
            missing.append(one)
        else:
            doubts.append(f"{one.reason} (slots {one.from_slot} to {one.to_slot})")
    if missing or proofs.tail:
        return Verdict("holes", None, None, proven_to_slot, len(missing) + proofs.tail, _in_words(missing, proofs))
    if not segments and facts.start is None:
        recorded = "no trade of the chain is recorded yet"
        doubts.append(recorded if has_chain_feed else "no chain feed: what PumpPortal tells proves nothing")
    elif proofs.anchored_slot is None or proofs.anchored_slot < from_slot:
        doubts.append("the chain's account was not seen yet in a state that our trades left")
    is_watched = bool(spells) and spells[-1][1] is None
    if now is not None and is_watched and proofs.seen_at is not None and proofs.seen_at < now - STALE_SECONDS:
        doubts.append("its account on the chain was not seen for a while")
    in_pool = bool(segments) and segments[-1].venue == POOL
    weaker = "the pool's part is proved by its effective reserves: weaker evidence than the curve's" if in_pool else None
    state: Completeness = "spell" if not is_watched else "complete" if is_whole else "since"
    proven = Verdict(state, complete_from, proofs.anchored_at, proven_to_slot, 0, weaker)
    return _limited(proven, doubts, given_up)


def _limited(proven: Verdict, doubts: Sequence[str], given_up: str | None) -> Verdict:
    """Say less than *proven* where there are doubts; of what was given up keep what is proven until then."""
    if doubts:
        reason = "; ".join(doubts if given_up is None else (given_up, *doubts))
        return Verdict("unproven", None, None, proven.proven_to_slot, 0, reason)
    if given_up is not None:
        said = given_up if proven.reason is None else f"{given_up}; {proven.reason}"
        return proven._replace(completeness="unproven", reason=said)
    return proven


def _is_after_watch(one: Break, spells: Spells) -> bool:
    """Whether a break reaches behind the end of the last spell: what is recorded there came late."""
    ended_us = spells[-1][1] if spells else None
    return ended_us is not None and one.to_time is not None and one.to_time > ended_us // 1_000_000 + _CLOCKS_DIFFER_SECONDS


def is_unwatched(one: Break, spells: Spells) -> bool:
    """Whether a break reaches into a time without a spell."""
    from_time = -_NEVER if one.from_time is None else one.from_time
    to_time = _NEVER if one.to_time is None else one.to_time
    return any(start < end and start < to_time and from_time < end for start, end in _unwatched(spells))


def _unwatched(spells: Spells) -> Iterator[tuple[int, int]]:
    """The times without a spell, in unix seconds."""
    end, margin = -_NEVER, _ADMITTED_SECONDS
    for from_us, to_us in spells:
        yield end + _CLOCKS_DIFFER_SECONDS, from_us // 1_000_000 - margin
        if to_us is None:
            return
        end, margin = max(end, to_us // 1_000_000), _CLOCKS_DIFFER_SECONDS
    yield end + _CLOCKS_DIFFER_SECONDS, _NEVER


def _is_listed(one: Break, proofs: Proofs) -> bool:
    """Whether all that was between its ends is recorded, by the chain's own list."""
    return any(venue == one.venue and start <= one.from_slot and one.to_slot <= end for venue, start, end in proofs.listings)


def _in_words(missing: list[Break], proofs: Proofs) -> str:
    words = []
    if missing:
        runs = "trades are missing" if len(missing) == 1 else f"{len(missing)} runs of trades are missing, the first"
        words.append(f"{runs} after slot {missing[0].from_slot}")
    if proofs.tail:
        since = f" since slot {proofs.anchored_slot}" if proofs.anchored_slot is not None else ""
        words.append(f"the account has moved past our last trade{since}")
    return "; ".join(words)
