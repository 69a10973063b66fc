"""What the record knows of tokens beside their trades: creation, migration, anchors, listings, and when they were watched."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from pumpwatch.breaks import Facts
from pumpwatch.continuity import POOL, State

#: Changes of reserves whose effect on all of them is not known: what lies across one cannot be judged.
SEAMS: Final = ("deposit", "withdraw", "boost buy and burn")

#: For lack of what a token is given up that somebody wanted.
_LACKING: Final = ("budget", "disk")

_TOKENS: Final = """
    SELECT id, mint, created_slot, created_at,
        start_virtual_token_reserves, start_virtual_quote_reserves, start_real_token_reserves, is_mayhem_mode,
        completed_slot, migrated_slot, migrated_token_amount, migrated_quote_amount,
        anchored_slot, anchored_at, unmatched_slot, unmatched_since_us, first_seen_us,
        EXISTS (SELECT 1 FROM anchors WHERE token_id = tokens.id AND venue = 1),
        (SELECT max(asked_at_us) FROM anchors WHERE token_id = tokens.id AND is_matched = 1),
        (SELECT slot FROM baselines WHERE token_id = tokens.id),
        EXISTS (SELECT 1 FROM gaps
            WHERE (mint = tokens.mint OR mint IS NULL) AND cause = 'budget' AND to_us IS NULL AND state IN ('open', 'filling')),
        (SELECT end_reason FROM spells WHERE kind = 'token' AND address = tokens.mint ORDER BY started_at_us DESC LIMIT 1)
    FROM tokens WHERE id IN (SELECT value FROM json_each(?))
"""
#: From the wanted tokens to their spells: the other way round, every spell that there ever was is looked at (4 s of 100,000).
_SPELLS: Final = """
    SELECT tokens.id, started_at_us, ended_at_us FROM json_each(?) AS wanted CROSS JOIN tokens ON tokens.id = wanted.value
    CROSS JOIN spells ON kind = 'token' AND address = tokens.mint ORDER BY started_at_us
"""
_SEAMS: Final = f"""
    SELECT token_id, venue, slot, kind,
        virtual_token_reserves, virtual_quote_reserves, real_token_reserves, real_quote_reserves
    FROM reserve_changes
    WHERE kind IN {SEAMS} AND token_id IN (SELECT value FROM json_each(?)) ORDER BY slot, event_index
"""
_LISTINGS: Final = """
    SELECT token_id, venue, from_slot, to_slot FROM listings
    WHERE commitment = 'finalized' AND token_id IN (SELECT value FROM json_each(?))
"""


class Token(msgspec.Struct, frozen=True, gc=False):
    """
    One token.

    Attributes:
        anchored_slot: Of the newest account state that follows one of our trades; *anchored_at* in unix seconds.
        unmatched_slot: Of a newer one that follows none; *unmatched_since_us* by our clock.
        spells: When it was watched: from, until (None: still), unix microseconds.
        seen_at: When its account was last asked for and agreed, by our clock, in unix seconds.
        has_pool: Its pool's account was seen.
        given_up: ``budget`` or ``disk``: for lack of it nobody watches the token now, or nothing of it is delivered.
        baseline_slot: The last one whose trades were pruned; None: none were.
        listings: Venue and slots over which a finalized list of signatures is recorded whole.
    """

    id: int
    mint: str
    facts: Facts
    anchored_slot: int | None
    anchored_at: int | None
    unmatched_slot: int | None
    unmatched_since_us: int | None
    spells: tuple[tuple[int, int | None], ...]
    listings: tuple[tuple[int, int, int], ...]
    has_pool: bool
    seen_at: int | None
    baseline_slot: int | None = None
    given_up: str | None = None


def known_tokens(connection: sa.Connection, token_ids: Iterable[int]) -> dict[int, Token]:
    """What is known of these tokens, by id."""
    wanted = (msgspec.json.encode(list(token_ids)).decode(),)
    spells, seams, listings = (_by_token(connection, query, wanted) for query in (_SPELLS, _SEAMS, _LISTINGS))
    found = {}
    for row in connection.exec_driver_sql(_TOKENS, wanted).all():
        number, mint, created_slot, created_at, token, quote, real, is_mayhem = row[:8]
        completed_slot, migrated_slot, tokens_in_pool, quote_in_pool = row[8:12]
        facts = Facts(
            start=None if token is None or quote is None or real is None else State(token, quote, real, 0),
            created_slot=created_slot,
            created_at=created_at,
            is_mayhem=bool(is_mayhem),
            completed_slot=completed_slot,
            migrated_slot=migrated_slot,
            migrated_token_amount=tokens_in_pool,
            migrated_quote_amount=quote_in_pool,
            seams=tuple((venue, slot, kind) for venue, slot, kind, *_ in seams[number]),
            pool_seam=next(((slot, State(*after)) for venue, slot, _, *after in reversed(seams[number]) if venue == POOL), None),
        )
        anchored_slot, anchored_at, unmatched_slot, unmatched_since_us, first_seen_us, has_pool, seen_us, *rest = row[12:]
        baseline_slot, has_no_budget, end_reason = rest
        # What is not watched any more, nothing more is missed of.
        is_starved = has_no_budget and (not spells[number] or spells[number][-1][1] is None)
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
            bool(has_pool),
            None if seen_us is None else seen_us // 1_000_000,
            baseline_slot,
            "budget" if is_starved else end_reason if end_reason in _LACKING else None,
        )
    return found


def _by_token(connection: sa.Connection, query: str, wanted: tuple[str]) -> defaultdict[int, list[Any]]:
    found: defaultdict[int, list[Any]] = defaultdict(list)
    for token_id, *values in connection.exec_driver_sql(query, wanted):
        found[token_id].append(tuple(values))
    return found
