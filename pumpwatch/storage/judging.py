"""What the record proves of each token, and which gaps are closed: decided in the transaction that changes it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from pumpwatch.breaks import Break, Facts, breaks
from pumpwatch.continuity import CURVE, POOL, Segment, State, links
from pumpwatch.events import GapFilled, GapFilling
from pumpwatch.storage.anchoring import match_again
from pumpwatch.storage.chains import Chains, slot_keys
from pumpwatch.verdict import Proofs, Verdict, holes, verdict

_NEVER: Final = 2**62
_SELDOM_US: Final = 30_000_000

#: Changes of reserves whose effect on all of them is not known: what lies across one cannot be judged.
SEAMS: Final = ("deposit", "withdraw", "boost buy and burn")

_TOKENS: Final = """
    SELECT id, mint, created_slot, created_at,
        start_virtual_token_reserves, start_virtual_quote_reserves, start_real_token_reserves, is_mayhem_mode,
        completed_slot, migrated_slot, migrated_token_amount, migrated_quote_amount,
        anchored_slot, anchored_at, unmatched_slot, unmatched_since_us, first_seen_us
    FROM tokens WHERE id IN (SELECT value FROM json_each(?))
"""
_SPELLS: Final = """
    SELECT tokens.id, started_at_us, ended_at_us FROM spells JOIN tokens ON tokens.mint = address
    WHERE kind = 'token' AND tokens.id IN (SELECT value FROM json_each(?)) ORDER BY started_at_us
"""
_SEAMS: Final = f"""
    SELECT token_id, venue, slot, kind FROM reserve_changes
    WHERE kind IN {SEAMS} AND token_id IN (SELECT value FROM json_each(?))
"""
_LISTINGS: Final = """
    SELECT token_id, venue, from_slot, to_slot FROM listings
    WHERE commitment = 'finalized' AND token_id IN (SELECT value FROM json_each(?))
"""
_NEWEST_ANCHOR: Final = """
    SELECT slot, account_exists FROM anchors WHERE token_id = ? ORDER BY slot DESC, id DESC LIMIT 1
"""
_SET_VERDICT: Final = """
    UPDATE tokens SET
        completeness = ?, complete_from = ?, complete_until = ?, proven_to_slot = ?, holes = ?, reason = ?
    WHERE id = ?
"""

#: More than one run of trades on a venue, or an account state that none of ours explains.
_UNSETTLED: Final = """
    SELECT token_id FROM segments GROUP BY token_id, venue HAVING count(*) > 1
    UNION SELECT id FROM tokens WHERE unmatched_slot IS NOT NULL OR holes > 0
"""
_GAP: Final = """
    SELECT id, cause, mint, from_us, to_us, from_slot, to_slot FROM gaps WHERE id = ? AND state IN ('open', 'filling')
"""
_FILLING: Final = """
    UPDATE gaps SET state = 'filling', from_slot = ifnull(from_slot, ?), to_slot = ifnull(to_slot, ?)
    WHERE id = ? AND state IN ('open', 'filling')
"""
_UNFILLABLE: Final = "UPDATE gaps SET state = 'unfillable', reason = ?, closed_at_us = ? WHERE id = ?"
_CLOSE: Final = "UPDATE gaps SET state = 'closed', closed_at_us = ?, closed_by = ?, found = ? WHERE id = ?"
_OPEN_CHAIN_GAPS: Final = """
    SELECT id, cause, signature, from_slot, to_slot FROM gaps
    WHERE mint = ? AND cause IN ('break', 'tail') AND state IN ('open', 'filling')
"""
_HAS_TAIL: Final = "SELECT 1 FROM gaps WHERE mint = ? AND cause = 'tail' AND (state IN ('open', 'filling') OR from_slot >= ?)"
_HAS_OPEN_TAIL: Final = "SELECT 1 FROM gaps WHERE mint = ? AND cause = 'tail' AND state <> 'closed'"
_LENGTHEN_TAIL: Final = """
    UPDATE gaps SET to_slot = max(to_slot, ?) WHERE mint = ? AND cause = 'tail' AND state IN ('open', 'filling')
"""
_NEWEST_UNMATCHED: Final = """
    SELECT venue, virtual_token_reserves, virtual_quote_reserves FROM anchors
    WHERE token_id = ? AND is_matched = 0 ORDER BY slot DESC, id DESC LIMIT 1
"""
_INSERT_FOUND_GAP: Final = """
    INSERT INTO gaps
        (cause, mint, signature, from_us, to_us, from_slot, to_slot, net_token_amount, net_quote_amount, detail)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT
        (cause, ifnull(feed, ''), ifnull(mint, ''), ifnull(signature, ''), (CASE WHEN signature IS NULL THEN from_us ELSE 0 END))
    DO UPDATE SET
        state = CASE state WHEN 'closed' THEN 'open' ELSE state END, from_us = excluded.from_us, to_us = excluded.to_us,
        from_slot = excluded.from_slot, to_slot = excluded.to_slot,
        net_token_amount = excluded.net_token_amount, net_quote_amount = excluded.net_quote_amount, detail = excluded.detail
    WHERE state = 'closed' OR from_slot IS NOT excluded.from_slot OR net_quote_amount IS NOT excluded.net_quote_amount
        OR net_token_amount IS NOT excluded.net_token_amount
"""
_OF_SLOT: Final = "SELECT signature FROM trades WHERE token_id = ? AND chain_key >= ? AND chain_key < ? AND state IN (1, 2)"
#: The trade of a slot that leaves so many tokens, and the one that finds them.
_LEFT: Final = f"{_OF_SLOT} AND virtual_token_reserves = ?"
_RIGHT: Final = f"{_OF_SLOT} AND virtual_token_reserves + iif(is_buy, token_amount, -token_amount) = ?"
_TOKEN_ID: Final = "SELECT id FROM tokens WHERE mint = ?"
_WATCHED_IN: Final = """
    SELECT DISTINCT tokens.id FROM spells JOIN tokens ON tokens.mint = address
    WHERE kind = 'token' AND started_at_us <= ? AND ifnull(ended_at_us, ?) >= ?
"""
_FOUND: Final = """
    SELECT count(*) FROM trades
    WHERE token_id IN (SELECT value FROM json_each(?)) AND slot BETWEEN ? AND ? AND state IN (1, 2)
        AND backfill_at_us IS NOT NULL AND helius_at_us IS NULL
"""


class Token(msgspec.Struct, frozen=True, gc=False):
    """What is known of a token beside its trades."""

    id: int
    mint: str
    facts: Facts
    anchored_slot: int | None
    anchored_at: int | None
    unmatched_slot: int | None
    unmatched_since_us: int | None
    #: When it was watched: from, until (None: still), unix microseconds.
    spells: tuple[tuple[int, int | None], ...]
    #: Venue and slots over which a finalized list of signatures is recorded whole.
    listings: tuple[tuple[int, int, int], ...]


class Unsettled:
    """
    Tokens whose record is broken now, or ends before the chain does, and since when: what outlives the grace becomes a gap.

    Kept by the writer from batch to batch.
    """

    def __init__(self) -> None:
        self.since_us: dict[int, int] = {}
        self._next_us: dict[int, int] = {}

    def due(self, *, now_us: int, grace_us: int) -> list[int]:
        """Those to be judged again now: often at first, and less often what does not settle."""
        found = []
        for number, since_us in self.since_us.items():
            age_us = now_us - since_us
            if age_us >= grace_us and now_us >= self._next_us.get(number, 0):
                self._next_us[number] = now_us + min(max(age_us // 10, 500_000), _SELDOM_US)
                found.append(number)
        return found

    def settle(self, token_id: int) -> None:
        """It is whole again."""
        self.since_us.pop(token_id, None)
        self._next_us.pop(token_id, None)

    def forget(self, connection: sa.Connection, *, now_us: int) -> None:
        """Start again from what the database has."""
        self._next_us.clear()
        self.since_us = dict.fromkeys((token_id for (token_id,) in connection.exec_driver_sql(_UNSETTLED)), now_us)


class Judging:
    """
    For one transaction.

    Args:
        grace_us: How long a break may last before it counts: feeds reorder within a slot, and the chain is ahead of them.

    """

    def __init__(self, connection: sa.Connection, chains: Chains, unsettled: Unsettled, *, now_us: int, grace_us: int) -> None:
        self._connection = connection
        self._chains = chains
        self._unsettled = unsettled
        self._now_us = now_us
        self._grace_us = grace_us
        #: Gaps were opened or closed.
        self.has_gaps = False

    def judge(self, token_ids: Iterable[int], *, relink: bool = False) -> None:
        """
        Bring what is said of these tokens up to date, and close the gaps that their chains have closed.

        Args:
            relink: Try whether a broken mayhem token links better in another order, which takes as long as it has trades.

        """
        for token in self.tokens(token_ids).values():
            chain = self._chains[token.id]
            if relink and token.facts.is_mayhem and _is_broken(chain.segments):
                # States of such a token may repeat: what was linked in the order of arrival may have to be linked otherwise.
                chain = self._chains.rebuild(self._connection, token.id)
                self._chains.flush(self._connection)
            if token.unmatched_slot is not None and match_again(self._connection, token.id, chain, token.facts.start):
                token = self.tokens((token.id,))[token.id]
            missing = self._holes(token)
            if missing or token.unmatched_slot is not None:
                since_us = self._unsettled.since_us.setdefault(token.id, self._now_us)
                if missing and self._now_us - since_us < self._grace_us:
                    continue
                self._open_gaps(token, missing)
            else:
                self._unsettled.settle(token.id)
            self._close_chained(token, missing)
            judged = self._verdict(token)
            values = (
                judged.completeness,
                judged.complete_from,
                judged.complete_until,
                judged.proven_to_slot,
                judged.holes,
                judged.reason,
            )
            self._connection.exec_driver_sql(_SET_VERDICT, (*values, token.id))

    def unsettled(self, token_ids: set[int]) -> set[int]:
        """Those of these tokens for which any new trade may be the missing one."""
        return token_ids & self._unsettled.since_us.keys()

    def look(self) -> None:
        """What time alone changes: judge what has been unsettled for longer than the grace."""
        due = self._unsettled.due(now_us=self._now_us, grace_us=self._grace_us)
        if not due:
            return
        self._chains.load(self._connection, due)
        self.judge(due, relink=True)

    def filling(self, event: GapFilling) -> None:
        """Backfill has taken up a gap."""
        self._connection.exec_driver_sql(_FILLING, (event.from_slot, event.to_slot, event.gap_id))

    def filled(self, event: GapFilled) -> None:
        """Backfill has done what it can for a gap: close it, or leave it open, or say that it cannot be filled."""
        rows = self._connection.exec_driver_sql(_GAP, (event.gap_id,)).all()
        if not rows:
            return
        gap = _Gap(*rows[0])
        tokens = self._tokens_of(gap)
        self._chains.load(self._connection, tokens)
        closed_by = "transaction" if event.fetched and gap.cause == "log truncated" else None
        unfillable = event.unfillable
        if gap.cause in ("break", "tail"):
            token = next(iter(tokens.values()), None)
            if token is not None and _is_listed(token, gap.from_slot, gap.to_slot):
                unfillable = "the chain's own history does not explain it"
        elif closed_by is None and gap.cause != "log truncated":
            proofs = [self._proof(token, gap) for token in tokens.values()]
            if None not in proofs:
                closed_by = "signatures" if "signatures" in proofs else "chain" if proofs else "nothing was watched"
        if closed_by is not None:
            self._close(gap.id, closed_by, tokens, gap.from_slot, gap.to_slot)
        elif unfillable is not None:
            self._connection.exec_driver_sql(_UNFILLABLE, (unfillable, self._now_us, gap.id))
            self.has_gaps = True
            self.judge(tokens)

    def tokens(self, token_ids: Iterable[int]) -> dict[int, Token]:
        """What is known of these tokens."""
        wanted = (msgspec.json.encode(list(token_ids)).decode(),)
        spells, seams, listings = (self._by_token(query, wanted) for query in (_SPELLS, _SEAMS, _LISTINGS))
        found = {}
        for row in self._connection.exec_driver_sql(_TOKENS, wanted).all():
            (
                number,
                mint,
                created_slot,
                created_at,
                token,
                quote,
                real,
                mayhem,
                completed,
                migrated,
                in_pool,
                quote_in_pool,
                *rest,
            ) = row
            start = None if token is None or quote is None or real is None else State(token, quote, real, 0)
            facts = Facts(
                start=start,
                created_slot=created_slot,
                created_at=created_at,
                is_mayhem=bool(mayhem),
                completed_slot=completed,
                migrated_slot=migrated,
                migrated_token_amount=in_pool,
                migrated_quote_amount=quote_in_pool,
                seams=tuple(seams[number]),
            )
            anchored_slot, anchored_at, unmatched_slot, unmatched_since_us, first_seen_us = rest
            found[number] = Token(
                number,
                mint,
                facts,
                anchored_slot,
                anchored_at,
                unmatched_slot,
                unmatched_since_us,
                # One that is recorded without being on the list (scope = all) is watched since it was first seen.
                tuple(spells[number]) or ((first_seen_us, None),),
                tuple(listings[number]),
            )
        return found

    def _by_token(self, query: str, wanted: tuple[str]) -> defaultdict[int, list[Any]]:
        found: defaultdict[int, list[Any]] = defaultdict(list)
        for token_id, *values in self._connection.exec_driver_sql(query, wanted):
            found[token_id].append(tuple(values))
        return found

    def _holes(self, token: Token) -> list[Break]:
        """What is missing between its trades, of the time in which it was watched."""
        return holes(breaks(self._chains[token.id].segments, token.facts), token.spells)

    def _verdict(self, token: Token) -> Verdict:
        segments = self._chains[token.id].segments
        has_tail = self._is_behind(token) and bool(self._connection.exec_driver_sql(_HAS_OPEN_TAIL, (token.mint,)).first())
        proofs = Proofs(token.anchored_slot, token.anchored_at, has_tail, token.listings)
        return verdict(segments, breaks(segments, token.facts), token.facts, proofs, token.spells)

    def _is_behind(self, token: Token) -> bool:
        """The chain's account has been ahead of the record for longer than the grace."""
        return token.unmatched_since_us is not None and self._now_us - token.unmatched_since_us >= self._grace_us

    def _open_gaps(self, token: Token, missing: list[Break]) -> None:
        """A row for each hole, and for a tail that is missing; told again it is the same row, with its present size."""
        connection = self._connection
        for hole in missing:
            left, right = self._neighbours(token, hole)
            fits = "; one trade would fit" if hole.fits_one_trade else ""
            self._insert_gap(
                "break",
                token.mint,
                signature=right or left,
                slots=(hole.from_slot, hole.to_slot),
                times=(hole.from_time, hole.to_time),
                net=(hole.token_amount, hole.quote_amount),
                detail=f"between {left or 'the start'} and {right or 'the end of the curve'}{fits}",
            )
        if not self._is_behind(token):
            return
        if connection.exec_driver_sql(_HAS_TAIL, (token.mint, token.anchored_slot or 0)).first():
            connection.exec_driver_sql(_LENGTHEN_TAIL, (token.unmatched_slot, token.mint))
            return
        last = max((s for s in self._chains[token.id].segments), key=lambda s: s.last_key, default=None)
        anchor = connection.exec_driver_sql(_NEWEST_UNMATCHED, (token.id,)).first()
        net: tuple[int | None, int | None] = (None, None)
        if anchor is not None and last is not None and anchor[0] == last.venue:
            net = (_difference(anchor[1], last.after.virtual_token), _difference(anchor[2], last.after.virtual_quote))
        self._insert_gap(
            "tail",
            token.mint,
            signature=None,
            slots=(last.last_slot if last is not None else token.facts.created_slot, token.unmatched_slot),
            times=(last.last_time if last is not None else token.facts.created_at, None),
            net=net,
            detail="the chain's account is in a state that follows none of our trades",
        )

    def _insert_gap(
        self,
        cause: str,
        mint: str,
        *,
        signature: str | None,
        slots: tuple[int | None, int | None],
        times: tuple[int | None, int | None],
        net: tuple[int | None, int | None],
        detail: str,
    ) -> None:
        from_us = times[0] * 1_000_000 if times[0] is not None else self._now_us
        to_us = times[1] * 1_000_000 if times[1] is not None else self._now_us
        values = (cause, mint, signature, from_us, max(from_us, to_us), *slots, *net, detail)
        self._connection.exec_driver_sql(_INSERT_FOUND_GAP, values)
        self.has_gaps = True

    def _close_chained(self, token: Token, missing: list[Break]) -> None:
        """Close the breaks that are none any more, and the tails that an account's state has confirmed."""
        rows = self._connection.exec_driver_sql(_OPEN_CHAIN_GAPS, (token.mint,)).all()
        if not rows:
            return
        broken = {right or left for left, right in (self._neighbours(token, hole) for hole in missing)}
        for number, cause, signature, from_slot, to_slot in rows:
            is_open = signature in broken if cause == "break" else token.unmatched_slot is not None
            if not is_open:
                self._close(number, "chain", (token.id,), from_slot, to_slot)

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
        return None if row is None else str(row[0])

    def _tokens_of(self, gap: _Gap) -> dict[int, Token]:
        """The tokens that a gap is about: only those that were watched in it."""
        if gap.mint is not None:
            rows = self._connection.exec_driver_sql(_TOKEN_ID, (gap.mint,))
        else:
            to_us = gap.to_us if gap.to_us is not None else self._now_us
            rows = self._connection.exec_driver_sql(_WATCHED_IN, (to_us, to_us, gap.from_us))
        return self.tokens([number for (number,) in rows.all()])

    def _proof(self, token: Token, gap: _Gap) -> str | None:
        """What proves that nothing of *token* is missing in *gap*; None: nothing does yet."""
        from_slot, to_slot = gap.from_slot, gap.to_slot
        if gap.to_us is None or from_slot is None or to_slot is None:
            return None
        chain = self._chains[token.id]
        is_whole = not any(hole.from_slot <= to_slot and hole.to_slot >= from_slot for hole in self._holes(token))
        is_anchored = token.anchored_slot is not None and token.anchored_slot >= to_slot
        if is_whole and is_anchored and _begins(chain.segments, token.facts) <= from_slot:
            return "chain"
        if _is_listed(token, from_slot, to_slot):
            return "signatures"
        missing = self._connection.exec_driver_sql(_NEWEST_ANCHOR, (token.id,)).first()
        return "signatures" if missing is not None and not missing.account_exists and missing.slot >= to_slot else None

    def _close(self, number: int, closed_by: str, token_ids: Iterable[int], from_slot: int | None, to_slot: int | None) -> None:
        wanted = msgspec.json.encode(list(token_ids)).decode()
        found = 0
        if from_slot is not None and to_slot is not None:
            found = self._connection.exec_driver_sql(_FOUND, (wanted, from_slot, to_slot)).scalar_one()
        self._connection.exec_driver_sql(_CLOSE, (self._now_us, closed_by, found, number))
        self.has_gaps = True


class _Gap(msgspec.Struct, frozen=True, gc=False):
    id: int
    cause: str
    mint: str | None
    from_us: int
    to_us: int | None
    from_slot: int | None
    to_slot: int | None


def _begins(segments: list[Segment], facts: Facts) -> int:
    """From which slot on the segments tell all, if there is no hole between them: 0 if from the creation."""
    if not segments:
        return 0 if facts.start is not None else _NEVER
    first = segments[0]
    if first.venue == CURVE and facts.start is not None and links(CURVE, facts.start, first.before):
        return 0
    return first.first_slot


def _is_broken(segments: list[Segment]) -> bool:
    return sum(segment.venue == CURVE for segment in segments) > 1


def _is_listed(token: Token, from_slot: int | None, to_slot: int | None) -> bool:
    """A finalized list that is recorded whole covers the slots, on each venue that the token had in them."""
    if from_slot is None or to_slot is None:
        return False
    venues = {CURVE}
    migrated = token.facts.migrated_slot
    if migrated is not None and migrated <= to_slot:
        venues.add(POOL)
        if migrated < from_slot:
            venues.discard(CURVE)
    return all(any(v == venue and a <= from_slot and b >= to_slot for v, a, b in token.listings) for venue in venues)


def _difference(now: int | None, before: int | None) -> int | None:
    return None if now is None or before is None else now - before
