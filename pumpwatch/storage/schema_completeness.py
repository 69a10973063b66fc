"""From schema 1 to 2: what completeness needs. Segments, anchors, listings, verdicts."""

from __future__ import annotations

from typing import Final

VERSION_2: Final = (
    # The longest runs of a token's steps (trades, and changes of reserves without one) that link, with the states at their ends.
    # A token without holes has one on the curve and one in the pool.
    """
    CREATE TABLE segments (
        id INTEGER PRIMARY KEY,
        token_id INTEGER NOT NULL REFERENCES tokens,
        venue INTEGER NOT NULL,
        trades INTEGER NOT NULL,
        first_key BLOB NOT NULL, -- chain_key of its first and last step
        last_key BLOB NOT NULL,
        first_slot INTEGER NOT NULL,
        last_slot INTEGER NOT NULL,
        first_time INTEGER, -- unix seconds
        last_time INTEGER,
        before_virtual_token INTEGER, -- the state before its first step; null where it cannot be known
        before_virtual_quote INTEGER,
        before_real_token INTEGER,
        before_real_quote INTEGER,
        after_virtual_token INTEGER,
        after_virtual_quote INTEGER,
        after_real_token INTEGER,
        after_real_quote INTEGER
    ) STRICT
    """,
    "CREATE INDEX segments_token ON segments (token_id)",
    """
    CREATE TABLE reserve_changes ( -- reserves that moved without a trade
        id INTEGER PRIMARY KEY,
        token_id INTEGER NOT NULL REFERENCES tokens,
        signature TEXT NOT NULL,
        event_index INTEGER NOT NULL,
        venue INTEGER NOT NULL,
        kind TEXT NOT NULL,
        slot INTEGER NOT NULL,
        block_time INTEGER,
        before_virtual_token_reserves INTEGER,
        before_virtual_quote_reserves INTEGER,
        before_real_token_reserves INTEGER,
        before_real_quote_reserves INTEGER,
        virtual_token_reserves INTEGER,
        virtual_quote_reserves INTEGER,
        real_token_reserves INTEGER,
        real_quote_reserves INTEGER
    ) STRICT
    """,
    "CREATE UNIQUE INDEX reserve_changes_identity ON reserve_changes (token_id, signature, event_index)",
    """
    CREATE TABLE anchors ( -- what the chain's accounts showed: the newest few of each token
        id INTEGER PRIMARY KEY,
        token_id INTEGER NOT NULL REFERENCES tokens,
        venue INTEGER NOT NULL,
        slot INTEGER NOT NULL,
        asked_at_us INTEGER NOT NULL,
        block_time INTEGER,
        commitment TEXT NOT NULL,
        account_exists INTEGER NOT NULL,
        is_complete INTEGER NOT NULL,
        virtual_token_reserves INTEGER,
        virtual_quote_reserves INTEGER,
        real_token_reserves INTEGER,
        real_quote_reserves INTEGER,
        matched_key BLOB, -- chain_key of the trade that left this state; null if none did
        is_matched INTEGER NOT NULL -- 1 also for the state at the creation
    ) STRICT
    """,
    "CREATE INDEX anchors_token ON anchors (token_id, slot)",
    """
    CREATE TABLE listings ( -- slots over which a list of signatures is recorded whole: the newest few of each token
        id INTEGER PRIMARY KEY,
        token_id INTEGER NOT NULL REFERENCES tokens,
        venue INTEGER NOT NULL,
        from_slot INTEGER NOT NULL,
        to_slot INTEGER NOT NULL,
        commitment TEXT NOT NULL,
        signatures INTEGER NOT NULL,
        at_us INTEGER NOT NULL
    ) STRICT
    """,
    "CREATE INDEX listings_token ON listings (token_id, to_slot)",
    "ALTER TABLE tokens ADD COLUMN migrated_token_amount INTEGER",
    "ALTER TABLE tokens ADD COLUMN migrated_quote_amount INTEGER",
    "ALTER TABLE tokens ADD COLUMN anchored_slot INTEGER",  # the newest anchor that matches one of our trades
    "ALTER TABLE tokens ADD COLUMN anchored_at INTEGER",
    "ALTER TABLE tokens ADD COLUMN unmatched_slot INTEGER",  # of a newer anchor that matches none, and since when there is one
    "ALTER TABLE tokens ADD COLUMN unmatched_since_us INTEGER",
    "ALTER TABLE tokens ADD COLUMN completeness TEXT NOT NULL DEFAULT 'unproven'",
    "ALTER TABLE tokens ADD COLUMN complete_from INTEGER",
    "ALTER TABLE tokens ADD COLUMN complete_until INTEGER",
    "ALTER TABLE tokens ADD COLUMN proven_to_slot INTEGER",
    "ALTER TABLE tokens ADD COLUMN holes INTEGER",
    "ALTER TABLE tokens ADD COLUMN reason TEXT",
    "ALTER TABLE gaps ADD COLUMN from_slot INTEGER",
    "ALTER TABLE gaps ADD COLUMN to_slot INTEGER",
    # Of a break or tail: by how much the reserves changed unseen.
    "ALTER TABLE gaps ADD COLUMN net_token_amount INTEGER",
    "ALTER TABLE gaps ADD COLUMN net_quote_amount INTEGER",
    "ALTER TABLE gaps ADD COLUMN found INTEGER NOT NULL DEFAULT 0",  # trades that backfill brought
    "ALTER TABLE gaps ADD COLUMN closed_at_us INTEGER",
    "ALTER TABLE gaps ADD COLUMN closed_by TEXT",  # chain, signatures, transaction
    "ALTER TABLE gaps ADD COLUMN reason TEXT",  # why it is unfillable
    "CREATE INDEX pools_token ON pools (token_id)",
    "CREATE INDEX trades_provisional ON trades (pumpportal_at_us) WHERE state = 0",
    "CREATE INDEX gaps_open ON gaps (mint) WHERE state IN ('open', 'filling')",
    "ALTER TABLE usage ADD COLUMN calls INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE usage ADD COLUMN call_credits INTEGER NOT NULL DEFAULT 0",
    "DROP VIEW token_board",
    """
    CREATE VIEW token_board AS
    SELECT
        tokens.mint,
        tokens.symbol,
        tokens.name,
        creators.address AS creator,
        developers.address AS developer,
        tokens.created_at,
        CASE
            WHEN tokens.migrated_signature IS NOT NULL OR latest.venue = 1 THEN 'graduated'
            WHEN tokens.completed_signature IS NOT NULL THEN 'completed'
            ELSE 'curve'
        END AS status,
        tokens.trades,
        tokens.buys,
        tokens.trades - tokens.buys AS sells,
        CASE
            WHEN quotes.id IS NULL OR tokens.unknown_amounts > 0 THEN NULL
            WHEN quotes.id = 1 THEN tokens.volume + tokens.provisional_volume
            WHEN tokens.provisional_volume = 0 THEN tokens.volume
        END AS volume,
        quotes.mint AS quote_mint,
        (latest.virtual_quote_reserves / quotes.units) / (latest.virtual_token_reserves / 1e6) AS price,
        (latest.virtual_quote_reserves / quotes.units) / latest.virtual_token_reserves * tokens.token_total_supply AS market_cap,
        latest.block_time AS last_trade_at,
        tokens.completeness,
        tokens.complete_from,
        tokens.complete_until,
        tokens.proven_to_slot,
        tokens.holes,
        CASE WHEN tokens.completeness = 'unproven' THEN ifnull(tokens.reason, 'not judged yet') ELSE tokens.reason END AS reason
    FROM tokens
    LEFT JOIN wallets AS creators ON creators.id = tokens.creator_id
    LEFT JOIN wallets AS developers ON developers.id = tokens.developer_id
    LEFT JOIN trades AS latest ON latest.id = (
        SELECT id FROM trades
        WHERE token_id = tokens.id AND chain_key IS NOT NULL AND state <= 2
        ORDER BY chain_key DESC LIMIT 1
    )
    LEFT JOIN quotes ON quotes.id = ifnull(tokens.quote_id, latest.quote_id)
    """,
    # Trades of a file of version 1 are linked when it is opened.
    "INSERT INTO meta (key, value) SELECT 'to_link', '1' WHERE EXISTS (SELECT 1 FROM trades)",
)
