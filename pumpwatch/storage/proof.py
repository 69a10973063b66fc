"""
The proof of one token's record, as it can be looked at: the chain of its last trades, and what is between them where it breaks.

Whether two trades link is read from ``segments``, which the writer makes of the chain's own arithmetic (continuity.py): trades
of one segment link to the last unit, and what lies between two segments is judged as the verdict does (breaks.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final, TypeAlias

import msgspec

from pumpwatch.breaks import Break, breaks
from pumpwatch.continuity import POOL, Chain, Segment, State
from pumpwatch.storage.baseline import SEGMENT_COLUMNS
from pumpwatch.storage.beads import Bead, Change, Missing, beads_of
from pumpwatch.storage.chosen import Wanted
from pumpwatch.storage.gaps import cause_of, place_of
from pumpwatch.storage.known import known_tokens
from pumpwatch.storage.queries import OF_ALL_TOKENS, Reader
from pumpwatch.storage.tape import trades
from pumpwatch.verdict import Spells, is_unwatched

_MOST_GAPS: Final = 200
_MOST_SEGMENTS: Final = 500
_MOST_MISSING: Final = 500
_MOST_ANCHORS: Final = 5
_ID: Final = "SELECT id FROM tokens WHERE mint = :mint"
_SEGMENTS: Final = f"SELECT id, {SEGMENT_COLUMNS} FROM segments WHERE token_id = :token_id"
_GAP_COLUMNS: Final = (
    "id, cause, state, feed, mint, from_us, to_us, from_slot, to_slot, net_token_amount, net_quote_amount, signature, detail, "
    "found, closed_by, closed_at_us, reason"
)
#: What is not over comes before what is: it must be among them.
_GAPS: Final = f"""
    SELECT {_GAP_COLUMNS} FROM gaps WHERE mint = :mint OR {OF_ALL_TOKENS}
    ORDER BY state IN ('open', 'filling') DESC, id DESC LIMIT {_MOST_GAPS}
"""
#: What a closed row of a break was about is not missing any more; what one of a doubt was about may be a doubt still. Written as
#: in the index gaps_identity, which finds them at once.
_OF_CHAIN: Final = """
    SELECT cause, place, to_slot, id FROM gaps
    WHERE cause IN ('break', 'doubt') AND ifnull(feed, '') = '' AND ifnull(mint, '') = :mint
        AND (cause = 'doubt' OR +state <> 'closed') ORDER BY id
"""
_ANCHORS: Final = f"""
    SELECT venue, slot, block_time, asked_at_us, account_exists, is_matched FROM anchors WHERE token_id = :token_id
    ORDER BY slot DESC LIMIT {_MOST_ANCHORS}
"""

_CHANGES: Final = """
    SELECT venue, slot, kind FROM reserve_changes WHERE token_id = :token_id AND slot >= :first AND slot <= :last ORDER BY slot
"""

#: What a row of ``gaps`` is found by from the break that it is about: cause, place, and the slot behind it.
_Names: TypeAlias = Mapping[tuple[str, int, int], int]


class GapSeen(msgspec.Struct, frozen=True):
    """
    A row of ``gaps``, closed or not, of this token, or (*mint* is null) of all that were watched then, and it was.

    Attributes:
        state: ``open``, ``filling``, ``closed``, ``unfillable``.
        net_token_amount: By how much the reserves changed unseen, base units; *net_quote_amount* alike.
        signature: The trade behind the hole, if it is one between trades.
        found: Trades that backfill brought.
        closed_by: ``chain``: its trades link now; ``signatures``; ``transaction``.
        reason: Why it is unfillable.
    """

    id: int
    cause: str
    state: str
    feed: str | None
    mint: str | None
    from_us: int
    to_us: int | None
    from_slot: int | None
    to_slot: int | None
    net_token_amount: int | None
    net_quote_amount: int | None
    signature: str | None
    detail: str | None
    found: int
    closed_by: str | None
    closed_at_us: int | None
    reason: str | None


class AnchorRow(msgspec.Struct, frozen=True):
    """What the chain's own account of the token showed, and whether (*agrees*) our record leads to that very state."""

    venue: str
    slot: int
    block_time: int | None
    asked_at_us: int
    exists: bool
    agrees: bool


class Stretch(msgspec.Struct, frozen=True):
    """Trades that link one to the next, to the last unit, without a break."""

    venue: str
    trades: int
    from_slot: int
    to_slot: int
    from_time: int | None
    to_time: int | None


class Proof(msgspec.Struct, frozen=True):
    """
    Attributes:
        segments: All of the token in the chain's order, at most 500, the newest.
        missing: What lies between them, and at their ends; of more than 500 the newest.
        gaps: The newest first; of more than 200 those that are open before others.
        anchors: The newest first.
        chain: The last trades, the newest last.
        is_cut: There are more *segments*, or more is *missing*.
    """

    segments: list[Stretch]
    missing: list[Missing]
    gaps: list[GapSeen]
    anchors: list[AnchorRow]
    chain: list[Bead]
    is_cut: bool


def proof_of(reader: Reader, mint: str, *, limit: int) -> Proof | None:
    """The proof with the last *limit* trades, all of one moment; None: there is no such token."""
    with reader.moment() as moment:
        found = moment.rows(_ID, mint=mint)
        if not found:
            return None
        token_id = found[0][0]
        tape = trades(moment, Wanted(mint=mint), limit=limit).trades[::-1]
        gaps = [GapSeen(*row) for row in moment.rows(_GAPS, mint=mint)]
        names = {(cause, place, to_slot): number for cause, place, to_slot, number in moment.rows(_OF_CHAIN, mint=mint)}
        segments = Chain(_segment(row) for row in moment.rows(_SEGMENTS, token_id=token_id)).segments
        known = known_tokens(moment.connection, [token_id])[token_id]
        anchors = moment.rows(_ANCHORS, token_id=token_id)
        slots = [row.slot for row in tape if row.slot is not None] or [0]
        changes = moment.rows(_CHANGES, token_id=token_id, first=min(slots), last=max(slots))
    lacks = list(_lacks(breaks(segments, known.facts), segments, names, known.spells))
    missing = [lack for _, lack in lacks]
    stretches = [
        Stretch(_venue(one.venue), one.trades, one.first_slot, one.last_slot, one.first_time, one.last_time)
        for one in segments
        if one.trades
    ]
    return Proof(
        segments=stretches[-_MOST_SEGMENTS:],
        missing=missing[-_MOST_MISSING:],
        gaps=sorted(gaps, key=attrgetter("id"), reverse=True),
        anchors=[
            AnchorRow(_venue(venue), slot, time, asked, bool(exists), bool(matched))
            for venue, slot, time, asked, exists, matched in anchors
        ],
        chain=list(beads_of(tape, segments, lacks, [Change(*row) for row in changes], is_mayhem=known.facts.is_mayhem)),
        is_cut=len(stretches) > _MOST_SEGMENTS or len(missing) > _MOST_MISSING,
    )


def _lacks(found: Iterable[Break], segments: Sequence[Segment], names: _Names, spells: Spells) -> Iterator[tuple[int, Missing]]:
    """Each break, and the place of the segment that it lies before: beyond the last if it is before none."""
    places = {segment: place for place, segment in enumerate(segments)}
    pool = next((place for place, segment in enumerate(segments) if segment.venue == POOL), len(segments))
    for one in found:
        yield pool if one.right is None else places[one.right], _missing(one, names, spells)


def _missing(one: Break, names: _Names, spells: Spells) -> Missing:
    return Missing(
        venue=_venue(one.venue),
        from_slot=one.from_slot,
        to_slot=one.to_slot,
        from_time=one.from_time,
        to_time=one.to_time,
        token_amount=one.token_amount,
        quote_amount=one.quote_amount,
        reason=one.reason,
        fits_one_trade=one.fits_one_trade,
        is_unwatched=is_unwatched(one, spells),
        gap=names.get((cause_of(one), place_of(one), one.to_slot)),
    )


def _segment(row: Any) -> Segment:
    number, venue, count, first_key, last_key, first_slot, last_slot, first_time, last_time, *ends = row
    before, after = State(*ends[:4]), State(*ends[4:])
    return Segment(venue, count, first_key, last_key, first_slot, last_slot, first_time, last_time, before, after, number)


def _venue(number: int) -> str:
    return "pool" if number else "curve"
