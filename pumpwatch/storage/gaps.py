"""The table ``gaps``: what may have cost trades is opened here when it is known, and closed by proof alone."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final, TypeAlias

import msgspec
import sqlalchemy as sa

from pumpwatch.breaks import Break, Facts
from pumpwatch.continuity import CURVE, POOL, Segment, State, links
from pumpwatch.events import GapFilling
from pumpwatch.storage.chains import slot_keys
from pumpwatch.storage.known import Token

_NEVER: Final = 2**62

#: The chain's clock, in unix seconds, is taken no further: it is multiplied.
_LATEST_TIME: Final = 2**40

_GAP: Final = """
    SELECT id, cause, mint, signature, from_us, to_us, from_slot, to_slot FROM gaps WHERE id = ? AND state IN ('open', 'filling')
"""

_FILLING: Final = """
    UPDATE gaps SET state = 'filling', from_slot = ifnull(from_slot, ?), to_slot = ifnull(to_slot, ?)
    WHERE id = ? AND state IN ('open', 'filling')
"""

_UNFILLABLE: Final = "UPDATE gaps SET state = 'unfillable', reason = ?, closed_at_us = ? WHERE id = ?"

_CLOSE: Final = "UPDATE gaps SET state = 'closed', closed_at_us = ?, closed_by = ?, found = ? WHERE id = ?"

_OPEN_CHAIN_GAPS: Final = """
    SELECT id, cause, signature, place, from_slot, to_slot FROM gaps
    WHERE mint = ? AND cause IN ('break', 'doubt', 'tail') AND state IN ('open', 'filling')
"""

_TAIL: Final = """
    SELECT id, state, net_token_amount, net_quote_amount FROM gaps
    WHERE mint = ? AND cause = 'tail' AND state <> 'closed' ORDER BY id DESC LIMIT 1
"""
_MOVE_TAIL: Final = """
    UPDATE gaps SET to_slot = max(ifnull(to_slot, 0), ?), net_token_amount = ?, net_quote_amount = ?,
        state = CASE state WHEN 'unfillable' THEN 'open' ELSE state END
    WHERE id = ?
"""
_NEWEST_UNMATCHED: Final = """
    SELECT venue, virtual_token_reserves, virtual_quote_reserves FROM anchors
    WHERE token_id = ? AND is_matched = 0 ORDER BY slot DESC, id DESC LIMIT 1
"""

_INSERT_FOUND_GAP: Final = """
    INSERT INTO gaps
        (cause, mint, signature, place, from_us, to_us, from_slot, to_slot, net_token_amount, net_quote_amount, detail)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT
        (cause, ifnull(feed, ''), ifnull(mint, ''), ifnull(signature, ''), place,
            (CASE WHEN signature IS NULL THEN from_us ELSE 0 END))
    DO UPDATE SET
        state = CASE state WHEN 'closed' THEN 'open' ELSE state END, from_us = excluded.from_us, to_us = excluded.to_us,
        from_slot = excluded.from_slot, to_slot = excluded.to_slot,
        net_token_amount = excluded.net_token_amount, net_quote_amount = excluded.net_quote_amount, detail = excluded.detail
    WHERE state = 'closed' OR from_slot IS NOT excluded.from_slot OR net_quote_amount IS NOT excluded.net_quote_amount
        OR net_token_amount IS NOT excluded.net_token_amount
"""

_OF_SLOT: Final = "SELECT signature FROM trades WHERE token_id = ? AND chain_key >= ? AND chain_key < ? AND state IN (1, 2)"

_CHANGE_OF_SLOT: Final = "SELECT signature FROM reserve_changes WHERE token_id = ? AND venue = ? AND slot = ? LIMIT 1"
#: The trade of a slot that leaves so many tokens, and the one that finds them.
_LEFT: Final = f"{_OF_SLOT} AND virtual_token_reserves = ?"

_RIGHT: Final = f"{_OF_SLOT} AND virtual_token_reserves + iif(is_buy, token_amount, -token_amount) = ?"

_TOKEN_ID: Final = "SELECT id FROM tokens WHERE mint = ?"

_WATCHED_IN: Final = """
    SELECT DISTINCT tokens.id FROM spells LEFT JOIN tokens ON tokens.mint = address
    WHERE kind = 'token' AND started_at_us <= ? AND ifnull(ended_at_us, ?) >= ?
"""
_IS_UNREAD: Final = """
    SELECT 1 FROM unread WHERE signature = ?
    UNION ALL SELECT 1 FROM rejected WHERE kind = 'not storable' AND signature = ? LIMIT 1
"""
_FOUND: Final = """
    SELECT count(*) FROM json_each(?) AS wanted CROSS JOIN trades
    WHERE token_id = wanted.value AND chain_key >= ? AND chain_key < ? AND state IN (1, 2)
        AND backfill_at_us IS NOT NULL AND helius_at_us IS NULL
"""

_NEWEST_ANCHOR: Final = """
    SELECT slot, account_exists FROM anchors WHERE token_id = ? ORDER BY slot DESC, id DESC LIMIT 1
"""


#: What a row of a break or doubt goes by, within its token: its cause, the signature behind (or before) it, and where in that
#: transaction it lies.
Name: TypeAlias = tuple[str, str | None, int]

#: The place of what is missing behind the last trade of a curve.
_END: Final = -1


class Gap(msgspec.Struct, frozen=True, gc=False):
    """An open row, as far as judging needs it."""

    id: int
    cause: str
    mint: str | None
    signature: str | None
    from_us: int
    to_us: int | None
    from_slot: int | None
    to_slot: int | None


class Gaps:
    """
    For one transaction.

    Attributes:
        changed: Some were opened or closed.
    """

    def __init__(self, connection: sa.Connection, *, now_us: int) -> None:
        self._connection = connection
        self._now_us = now_us
        self.changed = False

    def open_one(self, gap_id: int) -> Gap | None:
        """The gap of that number, if it is open."""
        row = self._connection.exec_driver_sql(_GAP, (gap_id,)).first()
        return None if row is None else Gap(*row)

    def filling(self, event: GapFilling) -> None:
        """Backfill has taken it up."""
        self._connection.exec_driver_sql(_FILLING, (event.from_slot, event.to_slot, event.gap_id))

    def has_open_tail(self, token: Token) -> bool:
        """Whether it is on record that trades are missing at its end."""
        return self._connection.exec_driver_sql(_TAIL, (token.mint,)).first() is not None

    def has_no_account(self, token: Token, *, at_slot: int = 0) -> bool:
        """Whether the newest look at its account, at that slot or later, found none."""
        newest = self._connection.exec_driver_sql(_NEWEST_ANCHOR, (token.id,)).first()
        return newest is not None and not newest.account_exists and newest.slot >= at_slot

    def open_break(self, token: Token, hole: Break) -> Name:
        """Have a row for a hole or a doubt, told again the same with its present size. Return what it goes by."""
        left, right = self._neighbours(token, hole)
        remark = f"; {hole.reason}" if hole.reason is not None else "; one trade would fit" if hole.fits_one_trade else ""
        cause = cause_of(hole)
        place = place_of(hole)
        self._insert(
            cause,
            token.mint,
            signature=right or left,
            place=place,
            slots=(hole.from_slot, hole.to_slot),
            times=(hole.from_time, hole.to_time),
            net=(hole.token_amount, hole.quote_amount),
            detail=f"between {left or 'the start'} and {right or 'the end of the curve'}{remark}",
        )
        return cause, right or left, place

    def open_tail(self, token: Token, last: Segment | None) -> None:
        """A row for what is missing between the *last* of our trades and the account's state; longer when it has moved on."""
        connection = self._connection
        anchor = connection.exec_driver_sql(_NEWEST_UNMATCHED, (token.id,)).first()
        net: tuple[int | None, int | None] = (None, None)
        if anchor is not None and last is not None and anchor[0] == last.venue:
            net = (_difference(anchor[1], last.after.virtual_token), _difference(anchor[2], last.after.virtual_quote))
        known = connection.exec_driver_sql(_TAIL, (token.mint,)).first()
        if known is not None:
            if known.state != "unfillable" or net != (known.net_token_amount, known.net_quote_amount):
                connection.exec_driver_sql(_MOVE_TAIL, (token.unmatched_slot, *net, known.id))
            return
        from_slot, from_time = (last.last_slot, last.last_time) if last is not None else (None, None)
        if token.anchored_slot is not None and token.anchored_slot > (from_slot or 0):
            from_slot, from_time = token.anchored_slot, token.anchored_at
        self._insert(
            "tail",
            token.mint,
            signature=None,
            slots=(from_slot if from_slot is not None else token.facts.created_slot, token.unmatched_slot),
            times=(from_time if from_time is not None else token.facts.created_at, None),
            net=net,
            detail="the chain's account is in a state that follows none of our trades",
        )

    def close_chained(self, token: Token, segments: Iterable[Segment], still_open: Collection[Name]) -> None:
        """Close the breaks and doubts but those that are *still_open*, and the tails that an account's state has confirmed."""
        rows = self._connection.exec_driver_sql(_OPEN_CHAIN_GAPS, (token.mint,)).all()
        if not rows:
            return
        still_open = set(still_open)
        for number, cause, signature, place, from_slot, to_slot in rows:
            if token.baseline_slot is not None and to_slot is not None and to_slot <= token.baseline_slot:
                continue  # its neighbours are gone: it stays what it was
            is_open = token.unmatched_slot is not None if cause == "tail" else (cause, signature, place) in still_open
            if not is_open:
                is_told = cause == "doubt" and is_listed(token, segments, from_slot, to_slot)
                self.close(number, "signatures" if is_told else "chain", (token.id,), from_slot, to_slot)

    def tokens_of(self, gap: Gap) -> list[int] | None:
        """The tokens that a gap is about: only those that were watched in it. None: nothing is known yet of one of them."""
        if gap.mint is not None:
            rows = self._connection.exec_driver_sql(_TOKEN_ID, (gap.mint,)).all()
        else:
            to_us = gap.to_us if gap.to_us is not None else self._now_us
            rows = self._connection.exec_driver_sql(_WATCHED_IN, (to_us, to_us, gap.from_us)).all()
        return None if any(number is None for (number,) in rows) else [number for (number,) in rows]

    def is_unread(self, signature: str | None) -> bool:
        """Whether something of a transaction could not be read, or not be stored."""
        return self._connection.exec_driver_sql(_IS_UNREAD, (signature, signature)).first() is not None

    def proof(self, gap: Gap, token: Token, segments: list[Segment], found: Iterable[Break]) -> str | None:
        """
        Return what proves that nothing of *token* is missing in *gap*: ``chain`` or ``signatures``; None: nothing does yet.

        Args:
            found: All breaks between *segments*, those too that are no holes: what lies across one, the chain does not prove.

        """
        from_slot, to_slot = gap.from_slot, gap.to_slot
        if gap.to_us is None or from_slot is None or to_slot is None:
            return None
        across = [one for one in found if one.from_slot <= to_slot and one.to_slot >= from_slot]
        # What cannot be told of a seam by itself, a list of just its slots tells.
        is_whole = all(one.reason is not None and is_listed(token, segments, one.from_slot, one.to_slot) for one in across)
        is_anchored = token.anchored_slot is not None and token.anchored_slot >= to_slot
        if is_whole and is_anchored and _begins(segments, token.facts) <= from_slot:
            return "chain"
        if is_listed(token, segments, from_slot, to_slot):
            return "signatures"
        has_nothing = not segments and token.facts.start is None
        return "signatures" if has_nothing and self.has_no_account(token, at_slot=to_slot) else None

    def close(self, number: int, closed_by: str, token_ids: Iterable[int], from_slot: int | None, to_slot: int | None) -> None:
        """Close it, and note how many of its trades backfill brought."""
        found = 0
        if from_slot is not None and to_slot is not None:
            wanted = msgspec.json.encode(list(token_ids)).decode()
            for venue in (CURVE, POOL):
                keys = (slot_keys(venue, from_slot)[0], slot_keys(venue, to_slot)[1])
                found += self._connection.exec_driver_sql(_FOUND, (wanted, *keys)).scalar_one()
        self._connection.exec_driver_sql(_CLOSE, (self._now_us, closed_by, found, number))
        self.changed = True

    def give_up(self, number: int, reason: str) -> None:
        """It will never be closed: said once, in its row."""
        self._connection.exec_driver_sql(_UNFILLABLE, (reason, self._now_us, number))
        self.changed = True

    def _insert(
        self,
        cause: str,
        mint: str,
        *,
        signature: str | None,
        slots: tuple[int | None, int | None],
        times: tuple[int | None, int | None],
        net: tuple[int | None, int | None],
        detail: str,
        place: int = 0,
    ) -> None:
        from_us, to_us = (self._now_us if time is None else min(time, _LATEST_TIME) * 1_000_000 for time in times)
        values = (cause, mint, signature, place, from_us, max(from_us, to_us), *slots, *net, detail)
        self._connection.exec_driver_sql(_INSERT_FOUND_GAP, values)
        self.changed = True

    def _neighbours(self, token: Token, hole: Break) -> tuple[str | None, str | None]:
        """Signatures of the last trade before a hole and the first behind it."""
        left, right = hole.left, hole.right
        return (
            None if left is None else self._signature(_LEFT, token.id, left.venue, left.last_slot, left.after),
            None if right is None else self._signature(_RIGHT, token.id, right.venue, right.first_slot, right.before),
        )

    def _signature(self, query: str, token_id: int, venue: int, slot: int, state: State) -> str | None:
        keys = slot_keys(venue, slot)
        row = self._connection.exec_driver_sql(query, (token_id, *keys, state.virtual_token)).first()
        if row is None:
            row = self._connection.exec_driver_sql(_CHANGE_OF_SLOT, (token_id, venue, slot)).first()
        return None if row is None else str(row[0])


def _begins(segments: list[Segment], facts: Facts) -> int:
    """From which slot on the segments tell all, if there is no hole between them: 0 if from the creation."""
    if not segments:
        return 0 if facts.start is not None else _NEVER
    first = segments[0]
    if first.venue == CURVE and facts.start is not None and links(CURVE, facts.start, first.before):
        return 0
    return first.first_slot


def cause_of(hole: Break) -> str:
    """``break``: trades are missing; ``doubt``: nothing can be told of what lies between two steps."""
    return "break" if hole.reason is None else "doubt"


def place_of(hole: Break) -> int:
    """What tells two breaks at one transaction apart: the token reserve that the step behind it finds."""
    return _END if hole.right is None else hole.right.before.virtual_token or 0


def is_listed(token: Token, segments: Iterable[Segment], from_slot: int | None, to_slot: int | None) -> bool:
    """Whether a finalized list that is recorded whole covers the slots, on each venue that the token had in them."""
    if from_slot is None or to_slot is None:
        return False
    if token.baseline_slot is not None:  # what lies before it is not listed again
        from_slot = max(from_slot, token.baseline_slot + 1)
    migrated_slot = token.facts.migrated_slot
    venues = {segment.venue for segment in segments} or {CURVE}
    if token.has_pool:
        venues.add(POOL)
    if migrated_slot is not None:
        venues = {CURVE, POOL} if from_slot <= migrated_slot <= to_slot else {POOL} if migrated_slot < from_slot else {CURVE}
    return all(any(v == venue and a <= from_slot and b >= to_slot for v, a, b in token.listings) for venue in venues)


def _difference(now: int | None, before: int | None) -> int | None:
    return None if now is None or before is None else now - before
