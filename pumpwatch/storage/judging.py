"""What the record proves of each token, and which gaps are closed: decided in the transaction that changes it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

import sqlalchemy as sa

from pumpwatch.breaks import Break, breaks
from pumpwatch.continuity import CURVE, Segment
from pumpwatch.events import GapFilled, GapFilling
from pumpwatch.storage.anchoring import match_again
from pumpwatch.storage.chains import Chains
from pumpwatch.storage.gaps import Gap, Gaps, Name, cause_of, is_listed
from pumpwatch.storage.known import Token, known_tokens
from pumpwatch.verdict import STALE_SECONDS, Proofs, Verdict, doubts, holes, verdict

_SELDOM_US: Final = 30_000_000
_PER_HOLE_US: Final = 500
_MOST_AT_ONCE: Final = 50

#: Cause, and the chain_keys of the last step before a hole and the first behind it; empty: none.
HoleKey: TypeAlias = tuple[str, bytes, bytes]

_SET_VERDICT: Final = """
    UPDATE tokens SET
        completeness = ?, complete_from = ?, complete_until = ?, proven_to_slot = ?, holes = ?, reason = ?
    WHERE id = ?
"""

#: More than one run of trades on a venue, an account state that none of ours explains, or not judged yet: of tokens that are
#: watched, or have an open gap.
_UNSETTLED: Final = """
    SELECT id FROM tokens
    WHERE (
        id IN (SELECT token_id FROM segments GROUP BY token_id, venue HAVING count(*) > 1)
        OR unmatched_slot IS NOT NULL OR holes > 0
        OR holes IS NULL AND trades > 0 AND id IN (SELECT token_id FROM segments)
    ) AND (
        mint NOT IN (SELECT address FROM spells WHERE kind = 'token' AND ended_at_us IS NOT NULL)
        OR mint IN (SELECT address FROM spells WHERE kind = 'token' AND ended_at_us IS NULL)
        OR mint IN (SELECT mint FROM gaps WHERE state IN ('open', 'filling') AND mint IS NOT NULL)
    )
"""
#: What a restart in the grace must not forget.
_NOT_JUDGED: Final = "UPDATE tokens SET holes = NULL WHERE id = ?"
_STALE: Final = """
    UPDATE tokens SET completeness = 'unproven', reason = 'its account on the chain was not seen for a while'
    WHERE completeness IN ('complete', 'since')
        AND (SELECT max(asked_at_us) FROM anchors WHERE token_id = tokens.id AND is_matched = 1) < ?
        AND mint IN (SELECT address FROM spells WHERE kind = 'token' AND ended_at_us IS NULL)
"""


class Unsettled:
    """
    Tokens whose record is broken now, or ends before the chain does, and since when: what outlives the grace becomes a gap.

    Kept by the writer from batch to batch.
    """

    def __init__(self) -> None:
        self.since_us: dict[int, int] = {}
        #: The holes and doubts of each that have a row: by cause and the keys of their neighbours, what the row goes by.
        self.told: dict[int, dict[HoleKey, Name]] = {}
        self._next_us: dict[int, int] = {}
        #: When each was judged last, and how many holes it had.
        self._judged: dict[int, tuple[int, int]] = {}

    def due(self, *, now_us: int, grace_us: int) -> list[int]:
        """Those to be judged again now: often at first, and less often what does not settle."""
        found = []
        for number, since_us in self.since_us.items():
            age_us = now_us - since_us
            if age_us >= grace_us and now_us >= self._next_us.get(number, 0):
                self._next_us[number] = now_us + min(max(age_us // 10, 500_000), _SELDOM_US)
                found.append(number)
                if len(found) == _MOST_AT_ONCE:
                    break
        return found

    def may_judge(self, token_id: int, *, now_us: int) -> bool:
        """Whether a new trade is reason enough: of one with very many holes, not every time."""
        last_us, holes_then = self._judged.get(token_id, (0, 0))
        return token_id in self.since_us and now_us - last_us >= holes_then * _PER_HOLE_US

    def judged(self, token_id: int, holes_now: int, *, now_us: int) -> None:
        """It was, just now."""
        self._judged[token_id] = (now_us, holes_now)

    def settle(self, token_id: int) -> None:
        """It is whole again."""
        for of_token in (self.since_us, self.told, self._next_us, self._judged):
            of_token.pop(token_id, None)

    def forget(self, connection: sa.Connection, *, now_us: int) -> None:
        """Start again from what the database has."""
        for of_token in (self.told, self._next_us, self._judged):
            of_token.clear()
        since_us = self.since_us
        self.since_us = {number: since_us.get(number, now_us) for (number,) in connection.exec_driver_sql(_UNSETTLED)}


class Judging:
    """
    For one transaction.

    Args:
        grace_us: How long a break may last before it counts: feeds reorder within a slot, and the chain is ahead of them.
        everything: All tokens are recorded, on the watch list or not.
        noticed: Told of each token that was judged: mint, trades, and breaks between them that outlived the grace.

    """

    def __init__(
        self,
        connection: sa.Connection,
        chains: Chains,
        unsettled: Unsettled,
        *,
        now_us: int,
        grace_us: int,
        noticed: Callable[[str, int, int], None] = lambda _mint, _trades, _breaks: None,
        everything: bool = False,
    ) -> None:
        self._connection = connection
        self._chains = chains
        self._unsettled = unsettled
        self._now_us = now_us
        self._grace_us = grace_us
        self._noticed = noticed
        self._everything = everything
        self._gaps = Gaps(connection, now_us=now_us)

    @property
    def has_gaps(self) -> bool:
        """Gaps were opened or closed."""
        return self._gaps.changed

    def judge(self, token_ids: Iterable[int], *, relink: bool = False) -> None:
        """
        Bring what is said of these tokens up to date, and close the gaps that their chains have closed.

        Args:
            relink: Try whether a broken mayhem token links better in another order, which takes as long as it has trades.

        """
        for token in known_tokens(self._connection, token_ids).values():
            chain = self._chains[token.id]
            if relink and token.facts.is_mayhem and _is_broken(chain.segments):
                # States of such a token may repeat: what was linked in the order of arrival may have to be linked otherwise.
                chain = self._chains.rebuild(self._connection, token.id)
                self._chains.flush(self._connection)
            if (token.unmatched_slot is not None or token.anchored_slot is None) and match_again(self._connection, token, chain):
                token = known_tokens(self._connection, (token.id,))[token.id]
            found = breaks(chain.segments, token.facts)
            proofs = self._proofs(token)
            lost = holes(found, token.spells)
            missing = [*lost, *doubts(found, proofs, token.spells)]
            if missing or token.unmatched_slot is not None:
                since_us = self._unsettled.since_us.setdefault(token.id, self._now_us)
                if missing and self._now_us - since_us < self._grace_us:
                    self._connection.exec_driver_sql(_NOT_JUDGED, (token.id,))
                    continue
                self._tell(token, missing)
                if self._is_behind(token):
                    self._gaps.open_tail(token, max(chain.segments, key=lambda s: s.last_key, default=None))
            else:
                self._unsettled.settle(token.id)
            self._gaps.close_chained(token, chain.segments, self._unsettled.told.get(token.id, {}).values())
            self._noticed(token.mint, sum(segment.trades for segment in chain.segments), len(lost))
            judged = self._verdict(token, found)
            values = (
                judged.completeness,
                judged.complete_from,
                judged.complete_until,
                judged.proven_to_slot,
                judged.holes,
                judged.reason,
            )
            self._connection.exec_driver_sql(_SET_VERDICT, (*values, token.id))

    def _tell(self, token: Token, missing: list[Break]) -> None:
        """Have a row for each hole and doubt: only of those that are new, as there may be thousands."""
        told = self._unsettled.told.get(token.id, {})
        # What lies before the baseline has its row from the time when its neighbours were there, if it has one.
        now = {_key_of(hole): hole for hole in missing if token.baseline_slot is None or hole.to_slot > token.baseline_slot}
        new = {key: self._gaps.open_break(token, hole) for key, hole in now.items() if key not in told}
        self._unsettled.told[token.id] = {key: told[key] for key in now if key in told} | new
        self._unsettled.judged(token.id, len(missing), now_us=self._now_us)

    def unsettled(self, token_ids: set[int]) -> set[int]:
        """Those of these tokens for which any new trade may be the missing one."""
        return {token_id for token_id in token_ids if self._unsettled.may_judge(token_id, now_us=self._now_us)}

    def look(self) -> None:
        """What time alone changes: judge what has been unsettled for longer than the grace."""
        due = self._unsettled.due(now_us=self._now_us, grace_us=self._grace_us)
        if not due:
            return
        self._chains.load(self._connection, due)
        self.judge(due, relink=True)

    def age(self) -> None:
        """What was proven long ago is not proven now."""
        self._connection.exec_driver_sql(_STALE, (self._now_us - STALE_SECONDS * 1_000_000,))

    def filling(self, event: GapFilling) -> None:
        """Backfill has taken up a gap."""
        self._gaps.filling(event)

    def filled(self, event: GapFilled) -> None:
        """Backfill has done what it can for a gap: close it, or leave it open, or say that it cannot be filled."""
        gap = self._gaps.open_one(event.gap_id)
        if gap is None:
            return
        numbers = self._gaps.tokens_of(gap)
        if numbers is None:
            return
        tokens = known_tokens(self._connection, numbers)
        self._chains.load(self._connection, tokens)
        closed_by = None
        unfillable = event.unfillable
        if gap.cause == "log truncated":
            closed_by = "transaction" if event.fetched and not self._gaps.is_unread(gap.signature) else None
        elif gap.cause in ("break", "tail"):
            if any(is_listed(token, self._chains[token.id].segments, gap.from_slot, gap.to_slot) for token in tokens.values()):
                unfillable = "the chain's own history does not explain it"
        else:
            proofs = [self._proof(gap, token) for token in tokens.values()]
            if not proofs and self._everything:
                unfillable = "every token was recorded, and none by name: `backfill MINT` fills single ones"
            elif None not in proofs:
                closed_by = "signatures" if "signatures" in proofs else "chain" if proofs else "nothing was watched"
        if closed_by is not None:
            self._gaps.close(gap.id, closed_by, tokens, gap.from_slot, gap.to_slot)
        elif unfillable is not None:
            self._gaps.give_up(gap.id, unfillable)
            self.judge(tokens)

    def _proof(self, gap: Gap, token: Token) -> str | None:
        segments = self._chains[token.id].segments
        return self._gaps.proof(gap, token, segments, breaks(segments, token.facts))

    def _proofs(self, token: Token) -> Proofs:
        has_tail = self._is_behind(token) and self._gaps.has_open_tail(token)
        return Proofs(token.anchored_slot, token.anchored_at, token.seen_at, has_tail, token.listings)

    def _verdict(self, token: Token, found: list[Break]) -> Verdict:
        segments = self._chains[token.id].segments
        judged = verdict(
            segments,
            found,
            token.facts,
            self._proofs(token),
            token.spells,
            given_up=token.given_up,
            now=self._now_us // 1_000_000,
        )
        if judged.completeness == "unproven" and token.anchored_slot is None and self._gaps.has_no_account(token):
            missing = "account not found"
            return judged._replace(reason=missing if token.given_up is None else f"{token.given_up}; {missing}")
        return judged

    def _is_behind(self, token: Token) -> bool:
        """The chain's account has been ahead of the record for longer than the grace."""
        return token.unmatched_since_us is not None and self._now_us - token.unmatched_since_us >= self._grace_us


def _is_broken(segments: list[Segment]) -> bool:
    return sum(segment.venue == CURVE for segment in segments) > 1


def _key_of(hole: Break) -> HoleKey:
    before = hole.left.last_key if hole.left is not None else b""
    return cause_of(hole), before, hole.right.first_key if hole.right is not None else b""
