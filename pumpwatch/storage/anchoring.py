"""Account states against the record: which of our trades left the state that the chain shows."""

from __future__ import annotations

from typing import Final, NamedTuple

import sqlalchemy as sa

from pumpwatch.breaks import is_end
from pumpwatch.continuity import Chain, State, links
from pumpwatch.events import Anchor
from pumpwatch.storage.baseline import asking, baseline_of
from pumpwatch.storage.chains import slot_keys
from pumpwatch.storage.known import Token
from pumpwatch.storage.schema import CONFIRMED, FINALIZED, VENUES

#: Anchors kept of each token, newest first; older ones prove nothing that these do not.
_KEPT: Final = 4

_INSERT: Final = """
    INSERT INTO anchors (token_id, venue, slot, asked_at_us, block_time, commitment, account_exists, is_complete,
        virtual_token_reserves, virtual_quote_reserves, real_token_reserves, real_quote_reserves, matched_key, is_matched)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_TRIM: Final = f"""
    DELETE FROM anchors WHERE token_id = ?1 AND id NOT IN (
        SELECT id FROM anchors WHERE token_id = ?1 ORDER BY slot DESC, id DESC LIMIT {_KEPT}
    ) AND id <> (
        SELECT id FROM anchors WHERE token_id = ?1 AND is_matched = 1 ORDER BY slot DESC, id DESC LIMIT 1
    )
"""
_UNMATCHED: Final = """
    SELECT id, venue, slot, block_time, account_exists, is_complete,
        virtual_token_reserves, virtual_quote_reserves, real_token_reserves, real_quote_reserves
    FROM anchors WHERE token_id = ? AND is_matched = 0 ORDER BY slot DESC, id DESC
"""
_NOW_MATCHED: Final = "UPDATE anchors SET is_matched = 1, matched_key = ? WHERE id = ?"
_FORGET_MATCHES: Final = "UPDATE anchors SET is_matched = 0, matched_key = NULL WHERE token_id = ?"
_FORGET_ANCHORED: Final = "UPDATE tokens SET anchored_slot = NULL, anchored_at = NULL WHERE id = ?"
_LAST_CHANGE: Final = """
    SELECT slot, NULL, virtual_token_reserves, virtual_quote_reserves, real_token_reserves, real_quote_reserves
    FROM reserve_changes WHERE token_id = ? AND venue = ? AND slot <= ? ORDER BY slot DESC, event_index DESC LIMIT 1
"""
_LAST_TRADE: Final = f"""
    SELECT slot, chain_key, virtual_token_reserves, iif(by_mayhem_agent, NULL, virtual_quote_reserves),
        real_token_reserves, real_quote_reserves
    FROM trades
    WHERE token_id = ? AND chain_key >= ? AND chain_key < ? AND state IN ({CONFIRMED}, {FINALIZED})
    ORDER BY chain_key DESC LIMIT 1
"""
_MATCHED: Final = """
    UPDATE tokens SET
        anchored_at = CASE WHEN ifnull(anchored_slot, -1) <= ?1 THEN ?2 ELSE anchored_at END,
        anchored_slot = max(ifnull(anchored_slot, -1), ?1),
        unmatched_since_us = CASE WHEN ifnull(unmatched_slot, -1) <= ?1 THEN NULL ELSE unmatched_since_us END,
        unmatched_slot = CASE WHEN ifnull(unmatched_slot, -1) <= ?1 THEN NULL ELSE unmatched_slot END
    WHERE id = ?3
"""
_DID_NOT_MATCH: Final = """
    UPDATE tokens SET unmatched_slot = max(ifnull(unmatched_slot, -1), ?1), unmatched_since_us = ifnull(unmatched_since_us, ?2)
    WHERE id = ?3 AND ifnull(anchored_slot, -1) < ?1
"""


class Match(NamedTuple):
    """Whether a state is one of ours, and after which trade (None: that of the creation)."""

    is_matched: bool
    key: bytes | None = None


_NO_MATCH: Final = Match(is_matched=False)


def write_anchor(connection: sa.Connection, token: Token, anchor: Anchor, chain: Chain) -> None:
    """Store *anchor*, and note on the token how far it proves the record, or that the record is behind it."""
    state = State(
        anchor.virtual_token_reserves, anchor.virtual_quote_reserves, anchor.real_token_reserves, anchor.real_quote_reserves
    )
    venue = VENUES[anchor.venue]
    match = _match(connection, token, venue, anchor.slot, state, chain) if anchor.exists else _NO_MATCH
    connection.exec_driver_sql(
        _INSERT,
        (
            token.id,
            venue,
            anchor.slot,
            anchor.asked_at_us,
            anchor.block_time,
            anchor.commitment,
            int(anchor.exists),
            int(anchor.is_complete),
            *state,
            match.key,
            int(match.is_matched),
        ),
    )
    connection.exec_driver_sql(_TRIM, (token.id,))
    if match.is_matched:
        connection.exec_driver_sql(_MATCHED, (anchor.slot, anchor.block_time, token.id))
    elif anchor.exists and _is_behind(token, anchor, chain):
        connection.exec_driver_sql(_DID_NOT_MATCH, (anchor.slot, anchor.asked_at_us, token.id))


def _is_behind(token: Token, anchor: Anchor, chain: Chain) -> bool:
    """Whether there is a record that could have followed the account so far."""
    is_recorded = bool(chain.segments) or token.facts.start is not None
    return is_recorded and any(start <= anchor.asked_at_us <= (end or anchor.asked_at_us) for start, end in token.spells)


def forget_matches(connection: sa.Connection, token_id: int) -> None:
    """Its steps are linked anew: what its account agreed with may not be there any more. :func:`match_again` looks."""
    connection.exec_driver_sql(_FORGET_MATCHES, (token_id,))
    connection.exec_driver_sql(_FORGET_ANCHORED, (token_id,))


def match_again(connection: sa.Connection, token: Token, chain: Chain) -> bool:
    """The record has grown: look whether it now explains an account state that it did not. Return whether it does."""
    for number, venue, slot, time, exists, _, *state in connection.exec_driver_sql(_UNMATCHED, (token.id,)).all():
        if not exists:
            continue
        match = _match(connection, token, venue, slot, State(*state), chain)
        if match.is_matched:
            connection.exec_driver_sql(_NOW_MATCHED, (match.key, number))
            connection.exec_driver_sql(_MATCHED, (slot, time, token.id))
            return True
    return False


def _match(connection: sa.Connection, token: Token, venue: int, slot: int, state: State, chain: Chain) -> Match:
    """By slot: the last of our steps up to *slot* must have left this state; states of mayhem tokens may repeat."""
    facts = token.facts.before(slot)
    segments = [segment for segment in chain.segments if segment.venue == venue]
    last = max(segments, key=lambda segment: segment.last_key, default=None)
    if last is None or last.last_slot <= slot:
        is_matched = is_end(chain.segments, facts, venue, state)
        return Match(is_matched=is_matched, key=last.last_key if is_matched and last is not None else None)
    prefix, behind = bytes((venue,)), slot_keys(venue, slot)[1]
    trade = connection.exec_driver_sql(_LAST_TRADE, (token.id, prefix, behind)).first()
    change = connection.exec_driver_sql(_LAST_CHANGE, (token.id, venue, slot)).first()
    if trade is None and token.baseline_slot is not None and token.baseline_slot <= slot:
        baseline = baseline_of(asking(connection), token.id)
        if baseline is not None and baseline.last_venue == venue:
            matches = links(venue, baseline.state, state)
            return Match(is_matched=True, key=baseline.last_key) if matches else _NO_MATCH
    if trade is None and change is None:
        is_before = any(slot < segment.first_slot and links(venue, state, segment.before) for segment in segments[:1])
        others = [segment for segment in chain.segments if segment.venue < venue]
        return Match(is_matched=is_before or is_end(others, facts, venue, state))
    # Of a trade and a change of the reserves in one slot either may be the last.
    found = [row for row in (trade, change) if row is not None and row[0] == max(r[0] for r in (trade, change) if r is not None)]
    if any(links(venue, State(*row[2:]), state) for row in found):
        return Match(is_matched=True, key=found[0][1])
    return _NO_MATCH
