"""The writing store's SQL, as text. What each is for is said where it is used."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from pumpwatch.events import Usage
from pumpwatch.storage.identity import Row
from pumpwatch.storage.schema import SIGNATURE_KEY

_ROW = [field.name for field in msgspec.structs.fields(Row)]
_CHANGING = [name for name in _ROW if name != "id"]

#: Parameters: every field of Row, then token_id and signature.
INSERT_TRADE: Final = f"INSERT INTO trades ({', '.join(_ROW)}, token_id, signature) VALUES ({', '.join('?' * (len(_ROW) + 2))})"

#: Parameters: every field of Row but id, then id.
UPDATE_TRADE: Final = f"UPDATE trades SET {', '.join(f'{name} = ?' for name in _CHANGING)} WHERE id = ?"

#: Parameter: JSON list of [token_id, last 24 characters of the signature].
STORED_TRADES: Final = f"""
    SELECT token_id, signature, {", ".join(f"trades.{name}" for name in _ROW)}
    FROM json_each(?) AS wanted
    CROSS JOIN trades
    WHERE token_id = json_extract(wanted.value, '$[0]') AND {SIGNATURE_KEY} = json_extract(wanted.value, '$[1]')
"""

#: Parameters: trades, buys, volume twice, provisional_volume twice, unknown_amounts, id. Sums saturate: the REAL that SQLite
#: makes of an overflow would be refused by the STRICT table, and with it the trade.
ADD_TO_TOKEN: Final = """
    UPDATE tokens SET
        trades = trades + ?,
        buys = buys + ?,
        volume = CASE WHEN typeof(volume + ?) = 'integer' THEN volume + ? ELSE 9223372036854775807 END,
        provisional_volume =
            CASE WHEN typeof(provisional_volume + ?) = 'integer' THEN provisional_volume + ? ELSE 9223372036854775807 END,
        unknown_amounts = unknown_amounts + ?
    WHERE id = ?
"""

#: Whether something of a transaction could not be read: then not all of its trades are known.
IS_UNREAD: Final = "SELECT 1 FROM unread WHERE signature = ? LIMIT 1"

KNOWN_WALLETS: Final = "SELECT address, id FROM wallets WHERE address IN (SELECT value FROM json_each(?))"
INSERT_WALLET: Final = "INSERT INTO wallets (id, address) VALUES (?, ?)"
KNOWN_TOKENS: Final = "SELECT mint, id, quote_id FROM tokens WHERE mint IN (SELECT value FROM json_each(?))"
INSERT_TOKEN: Final = "INSERT INTO tokens (id, mint, first_seen_us) VALUES (?, ?, ?)"
SET_QUOTE: Final = "UPDATE tokens SET quote_id = ? WHERE id = ? AND quote_id IS NULL"
KNOWN_QUOTES: Final = "SELECT mint, id FROM quotes"
INSERT_QUOTE: Final = "INSERT INTO quotes (id, mint) VALUES (?, ?)"
SET_QUOTE_DECIMALS: Final = "UPDATE quotes SET decimals = ?, units = ? WHERE id = ? AND decimals IS NULL"

_CREATION = (
    "created_signature",
    "created_slot",
    "created_at",
    "name",
    "symbol",
    "uri",
    "developer_id",
    "creator_id",
    "bonding_curve",
    "token_program",
    "quote_id",
    "start_virtual_token_reserves",
    "start_virtual_quote_reserves",
    "start_real_token_reserves",
    "token_total_supply",
    "is_mayhem_mode",
    "is_cashback_enabled",
    "is_holder_reward",
)

#: What the chain says of a creation replaces what PumpPortal said.
CREATED_BY_CHAIN: Final = f"UPDATE tokens SET {', '.join(f'{name} = ifnull(?, {name})' for name in _CREATION)} WHERE id = ?"

#: What PumpPortal says of a creation fills what is not known yet.
CREATED_BY_PUMPPORTAL: Final = f"UPDATE tokens SET {', '.join(f'{name} = ifnull({name}, ?)' for name in _CREATION)} WHERE id = ?"

COMPLETED: Final = "UPDATE tokens SET completed_signature = ?, completed_slot = ?, completed_at = ? WHERE id = ?"
MIGRATED: Final = """
    UPDATE tokens SET
        migrated_signature = ifnull(migrated_signature, ?), migrated_slot = ifnull(?, migrated_slot),
        migrated_at = ifnull(?, migrated_at), pool = ifnull(?, pool),
        migrated_token_amount = ifnull(?, migrated_token_amount), migrated_quote_amount = ifnull(?, migrated_quote_amount)
    WHERE id = ?
"""
INSERT_POOL: Final = """
    INSERT INTO pools (pool, token_id, quote_id, base_decimals, quote_decimals) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (pool) DO NOTHING
"""
INSERT_GAP: Final = """
    INSERT INTO gaps (cause, feed, mint, signature, slot, from_us, to_us, detail) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT
        (cause, ifnull(feed, ''), ifnull(mint, ''), ifnull(signature, ''), place,
            (CASE WHEN signature IS NULL THEN from_us ELSE 0 END))
    DO UPDATE SET
        to_us = max(ifnull(to_us, 0), excluded.to_us),
        -- It was longer than we knew when it was closed.
        from_slot = iif(state = 'closed' AND excluded.to_us > to_us, NULL, from_slot),
        to_slot = iif(state = 'closed' AND excluded.to_us > to_us, NULL, to_slot),
        state = iif(state = 'closed' AND excluded.to_us > to_us, 'open', state)
    WHERE excluded.to_us IS NOT NULL
"""
#: A rate that was told in its own minute is live: the last one stays. One of the past fills what is empty.
SET_METADATA: Final = """
    INSERT INTO metadata
        (token_id, fetched_at_us, source, error, name, symbol, description, image, website, twitter, telegram)
    SELECT id, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11 FROM tokens WHERE mint = ?1
    ON CONFLICT (token_id) DO UPDATE SET
        (fetched_at_us, source, error, name, symbol, description, image, website, twitter, telegram) =
        (?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
    WHERE ?4 IS NULL OR error IS NOT NULL
"""
SET_RATE: Final = """
    INSERT INTO rates (quote_id, minute, usd, source, at_us) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (quote_id, minute) DO UPDATE SET usd = excluded.usd, source = excluded.source, at_us = excluded.at_us
    WHERE excluded.at_us / 60000000 = excluded.minute
        AND (excluded.at_us >= rates.at_us OR rates.at_us / 60000000 > rates.minute)
"""


def sought_key(quote_mint: str) -> str:
    """Of ``meta``: the minutes of the past for which no source has a rate."""
    return f"rates_sought {quote_mint}"


INSERT_REJECTED: Final = (
    "INSERT INTO rejected (received_at_us, source, kind, reason, signature, slot, raw) VALUES (?, ?, ?, ?, ?, ?, ?)"
)
#: What is fetched again and still cannot be read is kept once.
INSERT_UNREAD: Final = """
    INSERT INTO unread (received_at_us, source, kind, reason, signature, slot, raw)
    SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7 WHERE NOT EXISTS (SELECT 1 FROM unread WHERE signature = ?5 AND raw = ?7)
"""
ADD_TO_COUNT: Final = (
    "INSERT INTO counts (kind, count) VALUES (?, ?) ON CONFLICT (kind) DO UPDATE SET count = count + excluded.count"
)
START_SPELL: Final = """
    INSERT INTO spells (kind, address, reason, started_at_us)
    SELECT ?1, ?2, ?3, ?4
    WHERE NOT EXISTS (SELECT 1 FROM spells WHERE kind = ?1 AND address = ?2 AND ended_at_us IS NULL)
    ON CONFLICT (kind, address, started_at_us) DO NOTHING
"""
END_SPELL: Final = (
    "UPDATE spells SET ended_at_us = max(?, started_at_us), end_reason = ? WHERE kind = ? AND address = ? AND ended_at_us IS NULL"
)
_USAGE: Final = ("provider", "day", "messages", "paid_messages", "received_bytes", "connections", "calls", "call_credits")


def usage_of(rows: Iterable[Sequence[Any]]) -> list[Usage]:
    """Rows of :data:`USAGE` or :data:`USAGE_1`."""
    return [Usage(**dict(zip(_USAGE, row, strict=False))) for row in rows]


#: Tokens that a person asked for, given up for lack of money, and not begun or ended in any way since.
SUSPENDED: Final = """
    SELECT address FROM spells AS given_up
    WHERE kind = 'token' AND reason = 'asked' AND end_reason = 'budget' AND NOT EXISTS (
        SELECT 1 FROM spells
        WHERE kind = 'token' AND address = given_up.address AND started_at_us > given_up.started_at_us
    )
    ORDER BY id
"""

#: Rows for :func:`usage_of`, and those of a file of schema 1.
USAGE: Final = f"SELECT {', '.join(_USAGE)} FROM usage"
USAGE_1: Final = f"SELECT {', '.join(_USAGE[:6])} FROM usage"

ADD_USAGE: Final = """
    INSERT INTO usage (provider, day, messages, paid_messages, received_bytes, connections, calls, call_credits)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (provider, day) DO UPDATE SET
        messages = messages + excluded.messages, paid_messages = paid_messages + excluded.paid_messages,
        received_bytes = received_bytes + excluded.received_bytes, connections = connections + excluded.connections,
        calls = calls + excluded.calls, call_credits = call_credits + excluded.call_credits
"""
INSERT_RESERVE_CHANGE: Final = f"""
    INSERT INTO reserve_changes (token_id, signature, event_index, venue, kind, slot, block_time,
        before_virtual_token_reserves, before_virtual_quote_reserves, before_real_token_reserves, before_real_quote_reserves,
        virtual_token_reserves, virtual_quote_reserves, real_token_reserves, real_quote_reserves)
    VALUES ({", ".join("?" * 15)})
    ON CONFLICT (token_id, signature, event_index) DO NOTHING
"""
INSERT_LISTING: Final = (
    "INSERT INTO listings (token_id, venue, from_slot, to_slot, commitment, signatures, at_us) VALUES (?, ?, ?, ?, ?, ?, ?)"
)

#: The newest few of each token, first of all those that prove something.
TRIM_LISTINGS: Final = """
    DELETE FROM listings WHERE token_id = ?1 AND id NOT IN (
        SELECT id FROM (SELECT id FROM listings WHERE token_id = ?1 AND commitment = 'finalized' ORDER BY id DESC LIMIT 8)
        UNION ALL
        SELECT id FROM (SELECT id FROM listings WHERE token_id = ?1 AND commitment <> 'finalized' ORDER BY id DESC LIMIT 2)
    )
"""
SET_STATE: Final = "UPDATE trades SET state = ? WHERE id = ?"
TOKEN_ID: Final = "SELECT id FROM tokens WHERE mint = ?"
SET_META: Final = "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"

START_RUN: Final = "INSERT INTO runs (started_at_us, pid, version) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
END_RUNS: Final = "UPDATE runs SET ended_at_us = ifnull(?, started_at_us), exit_status = ?, reason = ? WHERE ended_at_us IS NULL"
END_RUN: Final = "UPDATE runs SET ended_at_us = ?, exit_status = ?, reason = ? WHERE started_at_us = ?"

RAISE_ALERT: Final = """
    INSERT INTO alerts
        (rule, subject, severity, is_market, raised_at_us, text, completeness, value, threshold, resolved_at_us, sent)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
"""
RESOLVE_ALERT: Final = (
    "UPDATE alerts SET resolved_at_us = ?, resolved_text = ? WHERE rule = ? AND subject = ? AND raised_at_us = ?"
)
ALERT_SENT: Final = "UPDATE alerts SET sent = ?, sent_at_us = ?, attempts = ? WHERE rule = ? AND subject = ? AND raised_at_us = ?"

ADD_LATE: Final = "UPDATE baselines SET late = late + ? WHERE token_id = ?"
