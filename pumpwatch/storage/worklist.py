"""What backfill has to do, read from the record: open gaps, watched tokens, what is stored of a list of signatures."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from pumpwatch.storage.database import ShortReads
from pumpwatch.storage.schema import SIGNATURE_KEY

_HOUR_US: Final = 3600 * 1_000_000


class Gap(msgspec.Struct, frozen=True, gc=False):
    """One row of ``gaps``. *from_slot* and *to_slot* are None until backfill has taken it up, if it is one of time."""

    id: int
    cause: str
    feed: str | None
    mint: str | None
    signature: str | None
    slot: int | None
    from_us: int
    to_us: int | None
    from_slot: int | None
    to_slot: int | None
    state: str
    detail: str | None


class Watched(msgspec.Struct, frozen=True, gc=False):
    """
    A token as backfill needs to know it.

    Attributes:
        started_us: When its present (or last) spell of being watched began; None: never watched.
        status: ``curve``, ``completed`` or ``graduated``.
        pool: Its canonical pool, if one is known from the chain.
        last_trade: Block time of its last chained trade, unix seconds.
        anchored_slot: Of the newest account state that follows one of our trades.
        unmatched_slot: Of the newest account state, if that follows none of our trades; *unmatched_since_us*: since when there is
            such a one, by our clock.
        begins_slot: From which slot on its segments tell all, if they link: 0: from the creation; None: it has none.
        segments: Runs of linked trades: more than one on the curve, or in the pool, is a hole.
    """

    token_id: int
    mint: str
    created_slot: int | None
    started_us: int | None
    quote_mint: str | None
    is_mayhem: bool
    status: str
    pool: str | None
    last_trade: int | None
    anchored_slot: int | None
    unmatched_slot: int | None
    unmatched_since_us: int | None
    begins_slot: int | None
    segments: int
    trades: int


#: Those of time first, which one round of anchors settles; then by the hour of a token's creation, the most traded first.
_GAPS = """
    SELECT gaps.id, cause, feed, gaps.mint, signature, slot, from_us, to_us, from_slot, to_slot, state, detail
    FROM gaps LEFT JOIN tokens ON tokens.mint = gaps.mint
    WHERE state IN ('open', 'filling')
    ORDER BY gaps.mint IS NOT NULL, tokens.first_seen_us / :hour_us DESC, tokens.trades DESC, gaps.id
    LIMIT :limit
"""

_TOKENS = """
    SELECT tokens.id, tokens.mint, tokens.created_slot,
        (SELECT max(started_at_us) FROM spells WHERE kind = 'token' AND address = tokens.mint),
        quotes.mint, ifnull(tokens.is_mayhem_mode, 0),
        CASE
            WHEN tokens.migrated_signature IS NOT NULL
                OR EXISTS (SELECT 1 FROM segments WHERE token_id = tokens.id AND venue = 1)
                AND tokens.completed_signature IS NULL THEN 'graduated'
            WHEN tokens.completed_signature IS NOT NULL THEN 'completed'
            ELSE 'curve'
        END,
        (SELECT pool FROM pools WHERE token_id = tokens.id LIMIT 1),
        (SELECT max(last_time) FROM segments WHERE token_id = tokens.id),
        tokens.anchored_slot, tokens.unmatched_slot, tokens.unmatched_since_us,
        CASE
            WHEN tokens.completeness = 'complete' THEN 0 ELSE (SELECT min(first_slot) FROM segments WHERE token_id = tokens.id)
        END,
        (SELECT count(*) FROM segments WHERE token_id = tokens.id),
        tokens.trades
    FROM tokens LEFT JOIN quotes ON quotes.id = tokens.quote_id
"""

#: A creation, completion or migration is recorded with its token, whether it is a trade or not.
_RECORDED = f"""
    SELECT wanted.value FROM json_each(:signatures) AS wanted
    JOIN tokens ON tokens.mint = :mint
    WHERE (
        EXISTS (
            SELECT 1 FROM trades
            WHERE token_id = tokens.id AND {SIGNATURE_KEY} = substr(wanted.value, -24) AND event_index >= 0
                AND signature = wanted.value AND state IN (1, 2)
        )
        OR tokens.created_slot IS NOT NULL AND tokens.created_signature = wanted.value
        OR tokens.migrated_slot IS NOT NULL AND tokens.migrated_signature = wanted.value
    ) AND NOT EXISTS (SELECT 1 FROM unread WHERE unread.signature = wanted.value)
"""

_PROVISIONAL = """
    SELECT DISTINCT trades.signature, tokens.mint, trades.pumpportal_at_us
    FROM trades JOIN tokens ON tokens.id = trades.token_id
    WHERE trades.state = 0 AND trades.pumpportal_at_us < :before_us
    ORDER BY trades.pumpportal_at_us DESC
    LIMIT :limit
"""


class Worklist(ShortReads):
    """What the backfill thread asks."""

    def gaps(self, *, limit: int) -> list[Gap]:
        """Open gaps, best first."""
        return [Gap(*row) for row in self._rows(_GAPS, hour_us=_HOUR_US, limit=limit)]

    def gap(self, gap_id: int) -> Gap | None:
        """One gap, in whatever state."""
        rows = self._rows(
            "SELECT id, cause, feed, mint, signature, slot, from_us, to_us, from_slot, to_slot, state, detail "
            "FROM gaps WHERE id = :gap_id",
            gap_id=gap_id,
        )
        return Gap(*rows[0]) if rows else None

    def open_gaps(self) -> int:
        """How many there are."""
        return int(self._rows("SELECT count(*) FROM gaps WHERE state IN ('open', 'filling')")[0][0])

    def watched(self) -> list[Watched]:
        """The tokens that are watched now."""
        return self._tokens("WHERE tokens.mint IN (SELECT address FROM spells WHERE kind = 'token' AND ended_at_us IS NULL)")

    def watched_in(self, gap: Gap) -> list[Watched]:
        """The tokens that were watched at any time of *gap*; the one it is about, if it is about one."""
        if gap.mint is not None:
            return self._tokens("WHERE tokens.mint = :mint", mint=gap.mint)
        return self._tokens(
            "WHERE tokens.mint IN (SELECT address FROM spells WHERE kind = 'token' "
            "AND started_at_us <= :to_us AND ifnull(ended_at_us, :to_us) >= :from_us)",
            from_us=gap.from_us,
            to_us=gap.to_us if gap.to_us is not None else 2**62,
        )

    def token(self, mint: str) -> Watched | None:
        """Any token; None if nothing is known of it."""
        return next(iter(self._tokens("WHERE tokens.mint = :mint", mint=mint)), None)

    def recorded(self, mint: str, signatures: Iterable[str]) -> set[str]:
        """Those of *signatures* of which all that concerns the token is stored from the chain."""
        wanted = msgspec.json.encode(list(signatures)).decode()
        return {signature for (signature,) in self._rows(_RECORDED, mint=mint, signatures=wanted)}

    def pruned_to_slot(self, mint: str) -> int | None:
        """Up to this slot the trades of a token were taken out, and do not come back; None: none were."""
        found = self._rows("SELECT slot FROM baselines WHERE token_id = (SELECT id FROM tokens WHERE mint = :mint)", mint=mint)
        return int(found[0][0]) if found else None

    def provisional(self, *, received_before_us: int, limit: int) -> list[tuple[str, str, int]]:
        """Signature, mint and time of arrival of trades that only PumpPortal told, the newest first."""
        return [
            (signature, mint, at_us)
            for signature, mint, at_us in self._rows(_PROVISIONAL, before_us=received_before_us, limit=limit)
        ]

    def unknown_pools(self, *, limit: int) -> list[tuple[str, bytes]]:
        """Reason and raw payload of the newest events of pools that nobody has told us of."""
        rows = self._rows("SELECT reason, raw FROM unread WHERE kind = 'unknown pool' ORDER BY id DESC LIMIT :limit", limit=limit)
        return [(reason, bytes(raw)) for reason, raw in rows]

    def _tokens(self, condition: str, **parameters: object) -> list[Watched]:
        rows = self._rows(f"{_TOKENS} {condition} ORDER BY tokens.id DESC", **parameters)
        return [
            msgspec.structs.replace(watched, is_mayhem=bool(watched.is_mayhem)) for watched in (Watched(*row) for row in rows)
        ]
