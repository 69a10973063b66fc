"""
The proof of one token's record, as it can be looked at: the chain of its last trades, and what is between them where it breaks.

Whether two trades link is read from ``segments``, which the writer makes of the chain's own arithmetic (continuity.py): trades
of one segment link to the last unit, and what lies between two segments is judged as the verdict does (breaks.py).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias

import msgspec

from pumpwatch.breaks import Break, breaks
from pumpwatch.continuity import Segment, State
from pumpwatch.events import SOURCES
from pumpwatch.storage.baseline import SEGMENT_COLUMNS
from pumpwatch.storage.chosen import ListedTrade, Wanted
from pumpwatch.storage.known import known_tokens
from pumpwatch.storage.queries import Reader
from pumpwatch.storage.tape import trades

_MOST_GAPS: Final = 200
_MOST_SEGMENTS: Final = 500
_MOST_ANCHORS: Final = 5
_BACKFILL: Final = SOURCES[-1]

#: How a trade stands to the one before it.
Link: TypeAlias = Literal["first", "chained", "hole", "doubt", "unordered"]

_ID: Final = "SELECT id FROM tokens WHERE mint = :mint"
_SEGMENTS: Final = f"SELECT id, {SEGMENT_COLUMNS} FROM segments WHERE token_id = :token_id ORDER BY first_key"
_GAPS: Final = f"""
    SELECT id, cause, state, feed, from_us, to_us, from_slot, to_slot, net_token_amount, net_quote_amount, signature, detail,
        found, closed_by, closed_at_us, reason FROM gaps WHERE mint = :mint ORDER BY id DESC LIMIT {_MOST_GAPS}
"""
_ANCHORS: Final = f"""
    SELECT venue, slot, block_time, asked_at_us, account_exists, is_matched FROM anchors WHERE token_id = :token_id
    ORDER BY slot DESC LIMIT {_MOST_ANCHORS}
"""


class GapSeen(msgspec.Struct, frozen=True):
    """
    A row of ``gaps`` of this token, closed or not.

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


class Missing(msgspec.Struct, frozen=True):
    """
    What is not there between two stretches.

    Attributes:
        reason: Why nothing can be said of it; None: it is a hole.
        gap: The id of its row of ``gaps``; None: it has none (yet).
        token_amount: By how much the reserve changed unseen, base units; None: not known. *quote_amount* alike.
        fits_one_trade: A single trade could have done that.
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
    """

    trade: ListedTrade
    link: Link
    gap: int | None
    fetched: bool
    sources: list[str]
    missing: Missing | None = None


class Proof(msgspec.Struct, frozen=True):
    """
    Attributes:
        segments: All of the token in the chain's order, at most 500, the newest.
        missing: All breaks between them, and at their ends.
        chain: The last trades, the newest last.
    """

    segments: list[Stretch]
    missing: list[Missing]
    gaps: list[GapSeen]
    anchors: list[AnchorRow]
    chain: list[Bead]
    is_cut: bool


def proof_of(reader: Reader, mint: str, *, limit: int) -> Proof | None:
    """The proof with the last *limit* trades; None: there is no such token."""
    found = reader.rows(_ID, mint=mint)
    if not found:
        return None
    token_id = found[0][0]
    tape = trades(reader, Wanted(mint=mint), limit=limit).trades[::-1]
    gaps = [GapSeen(*row) for row in reader.rows(_GAPS, mint=mint)]
    segments = [_segment(row) for row in reader.rows(_SEGMENTS, token_id=token_id)]
    with reader.connection() as connection:
        facts = known_tokens(connection, [token_id])[token_id].facts
    ids = {gap.signature: gap.id for gap in reversed(gaps) if gap.signature is not None and gap.state != "closed"}
    signature_at = {row.chain_key: row.signature for row in tape}
    found_breaks = breaks(segments, facts)
    missing = [_missing(one, ids, signature_at) for one in found_breaks]
    before = {one.right.first_key: lack for one, lack in zip(found_breaks, missing, strict=True) if one.right is not None}
    anchors = [
        AnchorRow(_venue(venue), slot, time, asked, bool(exists), bool(matched))
        for venue, slot, time, asked, exists, matched in reader.rows(_ANCHORS, token_id=token_id)
    ]
    stretches = [
        Stretch(_venue(one.venue), one.trades, one.first_slot, one.last_slot, one.first_time, one.last_time)
        for one in segments[-_MOST_SEGMENTS:]
        if one.trades
    ]
    return Proof(stretches, missing, gaps, anchors, list(_beads(tape, segments, before)), len(segments) > _MOST_SEGMENTS)


def _beads(tape: Sequence[ListedTrade], segments: Sequence[Segment], before: Mapping[bytes, Missing]) -> Iterable[Bead]:
    starts = [segment.first_key for segment in segments]
    last: int | None = None  # the place of the segment that the trade before this one belongs to
    for row in tape:
        place = _place(row, starts, segments)
        if place is None:
            yield _bead(row, "unordered")
            continue
        # Segments without a trade lie between, and a break may be before any of them.
        passed = range(place, place + 1) if last is None else range(last + 1, place + 1)
        lack = next((before[starts[one]] for one in passed if starts[one] in before), None)
        is_begun = last is not None or starts[place] != bytes.fromhex(row.chain_key or "")
        if lack is not None and (last is not None or not is_begun):
            yield _bead(row, "hole" if lack.reason is None else "doubt", lack)
        else:
            yield _bead(row, "chained" if is_begun else "first")
        last = place


def _bead(row: ListedTrade, link: Link, lack: Missing | None = None) -> Bead:
    sources = row.sources.split(",")
    return Bead(row, link, None if lack is None else lack.gap, sources == [_BACKFILL], sources, lack)


def _place(row: ListedTrade, starts: Sequence[bytes], segments: Sequence[Segment]) -> int | None:
    """Of the segment that has this trade; None: none does."""
    if row.chain_key is None:
        return None
    key = bytes.fromhex(row.chain_key)
    place = bisect_right(starts, key) - 1
    return place if place >= 0 and key <= segments[place].last_key else None


def _missing(one: Break, ids: Mapping[str, int], signature_at: Mapping[str | None, str]) -> Missing:
    behind = one.right.first_key if one.right is not None else one.left.last_key if one.left is not None else b""
    signature = signature_at.get(behind.hex())
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
        gap=None if signature is None else ids.get(signature),
    )


def _segment(row: Any) -> Segment:
    number, venue, count, first_key, last_key, first_slot, last_slot, first_time, last_time, *ends = row
    before, after = State(*ends[:4]), State(*ends[4:])
    return Segment(venue, count, first_key, last_key, first_slot, last_slot, first_time, last_time, before, after, number)


def _venue(number: int) -> str:
    return "pool" if number else "curve"
