"""
The tables and the two views, as numbered migrations. ``docs/data.md`` explains them to users.

Addresses are kept once, in ``tokens``, ``wallets`` and ``quotes``; everything else refers to them by integer. Where inserts fall
in a B-tree bounds the rate of a large file, so the keys of ``trades`` begin with the token.
"""

from __future__ import annotations

from typing import Final

from pumpwatch.storage.schema_completeness import VERSION_2
from pumpwatch.storage.schema_figures import VERSION_3
from pumpwatch.storage.schema_upkeep import VERSION_4

#: ``trades.state``. The views show the first three.
PROVISIONAL: Final = 0
CONFIRMED: Final = 1
FINALIZED: Final = 2
DROPPED: Final = 3
SUPERSEDED: Final = 4

#: ``trades.venue``, and the first byte of ``chain_key``.
VENUES: Final = {"curve": 0, "pool": 1}

#: What the identity index holds of a signature: 24 bytes instead of 88. The last 24 characters of base58 are 140 bits of the
#: signature's second half, which nobody can choose.
SIGNATURE_KEY: Final = "substr(signature, -24)"

_VERSION_1: Final = (
    """
    CREATE TABLE meta (
        key TEXT PRIMARY KEY,
        value TEXT NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE quotes (
        id INTEGER PRIMARY KEY,
        mint TEXT NOT NULL UNIQUE,
        decimals INTEGER,
        units REAL -- base units in a whole one: 10 to the power of decimals; null while unknown
    ) STRICT
    """,
    """
    INSERT INTO quotes (id, mint, decimals, units) VALUES
        (1, 'So11111111111111111111111111111111111111112', 9, 1e9),
        (2, 'EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v', 6, 1e6)
    """,
    """
    CREATE TABLE wallets (
        id INTEGER PRIMARY KEY,
        address TEXT NOT NULL UNIQUE
    ) STRICT
    """,
    """
    CREATE TABLE tokens (
        id INTEGER PRIMARY KEY,
        mint TEXT NOT NULL UNIQUE,
        first_seen_us INTEGER NOT NULL,
        created_signature TEXT,
        created_slot INTEGER, -- null while only PumpPortal told of the creation
        created_at INTEGER,
        name TEXT,
        symbol TEXT,
        uri TEXT,
        developer_id INTEGER REFERENCES wallets,
        creator_id INTEGER REFERENCES wallets,
        bonding_curve TEXT,
        token_program TEXT,
        quote_id INTEGER REFERENCES quotes, -- null until the chain tells
        start_virtual_token_reserves INTEGER,
        start_virtual_quote_reserves INTEGER,
        start_real_token_reserves INTEGER,
        token_total_supply INTEGER,
        is_mayhem_mode INTEGER,
        is_cashback_enabled INTEGER,
        is_holder_reward INTEGER,
        completed_signature TEXT,
        completed_slot INTEGER,
        completed_at INTEGER,
        migrated_signature TEXT,
        migrated_slot INTEGER,
        migrated_at INTEGER,
        pool TEXT,
        -- Totals over the rows of trade_log, changed in the transaction that changes those rows.
        trades INTEGER NOT NULL DEFAULT 0,
        buys INTEGER NOT NULL DEFAULT 0,
        volume INTEGER NOT NULL DEFAULT 0, -- of confirmed trades, in base units of the quote
        provisional_volume INTEGER NOT NULL DEFAULT 0, -- of provisional trades: lamports, as PumpPortal says
        unknown_amounts INTEGER NOT NULL DEFAULT 0 -- trades without a quote amount: volume is unknown then
    ) STRICT
    """,
    """
    CREATE TABLE pools (
        pool TEXT PRIMARY KEY,
        token_id INTEGER NOT NULL REFERENCES tokens,
        quote_id INTEGER NOT NULL REFERENCES quotes,
        base_decimals INTEGER NOT NULL,
        quote_decimals INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE trades (
        id INTEGER PRIMARY KEY,
        token_id INTEGER NOT NULL REFERENCES tokens,
        wallet_id INTEGER NOT NULL REFERENCES wallets,
        signature TEXT NOT NULL,
        event_index INTEGER, -- null while provisional
        state INTEGER NOT NULL, -- 0 provisional, 1 confirmed, 2 finalized, 3 dropped, 4 superseded
        is_buy INTEGER NOT NULL,
        venue INTEGER NOT NULL, -- 0 curve, 1 pool
        by_mayhem_agent INTEGER NOT NULL,
        slot INTEGER,
        block_time INTEGER,
        token_amount INTEGER NOT NULL,
        quote_amount INTEGER,
        trader_quote_amount INTEGER,
        quote_id INTEGER REFERENCES quotes,
        protocol_fee INTEGER,
        creator_fee INTEGER,
        lp_fee INTEGER,
        virtual_token_reserves INTEGER,
        virtual_quote_reserves INTEGER,
        real_token_reserves INTEGER,
        real_quote_reserves INTEGER,
        chain_key BLOB,
        message_key INTEGER, -- of the PumpPortal message that reported it
        pumpportal_at_us INTEGER,
        helius_at_us INTEGER,
        backfill_at_us INTEGER
    ) STRICT
    """,
    f"CREATE UNIQUE INDEX trades_identity ON trades (token_id, {SIGNATURE_KEY}, event_index)",
    "CREATE INDEX trades_chain ON trades (token_id, chain_key)",
    """
    CREATE TABLE gaps (
        id INTEGER PRIMARY KEY,
        cause TEXT NOT NULL,
        feed TEXT,
        mint TEXT,
        signature TEXT,
        slot INTEGER,
        from_us INTEGER NOT NULL,
        to_us INTEGER,
        detail TEXT,
        state TEXT NOT NULL DEFAULT 'open' -- open, filling, closed, unfillable
    ) STRICT
    """,
    # A gap of one transaction is one, whenever it is told.
    """
    CREATE UNIQUE INDEX gaps_identity ON gaps
        (cause, ifnull(feed, ''), ifnull(mint, ''), ifnull(signature, ''), (CASE WHEN signature IS NULL THEN from_us ELSE 0 END))
    """,
    """
    CREATE TABLE rejected (
        id INTEGER PRIMARY KEY,
        received_at_us INTEGER NOT NULL,
        source TEXT NOT NULL,
        kind TEXT NOT NULL,
        reason TEXT NOT NULL,
        signature TEXT,
        slot INTEGER,
        raw BLOB NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE unread ( -- what our own two programs emitted and this version could not read
        id INTEGER PRIMARY KEY,
        received_at_us INTEGER NOT NULL,
        source TEXT NOT NULL,
        kind TEXT NOT NULL,
        reason TEXT NOT NULL,
        signature TEXT,
        slot INTEGER,
        raw BLOB NOT NULL
    ) STRICT
    """,
    "CREATE INDEX unread_signature ON unread (signature) WHERE signature IS NOT NULL",
    """
    CREATE TABLE counts ( -- what was set aside or left out by design, by kind, since the file was made
        kind TEXT PRIMARY KEY,
        count INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE spells ( -- when a token or wallet was watched
        id INTEGER PRIMARY KEY,
        kind TEXT NOT NULL,
        address TEXT NOT NULL,
        reason TEXT NOT NULL,
        started_at_us INTEGER NOT NULL,
        ended_at_us INTEGER,
        end_reason TEXT
    ) STRICT
    """,
    "CREATE UNIQUE INDEX spells_identity ON spells (kind, address, started_at_us)",
    "CREATE INDEX spells_open ON spells (kind, address) WHERE ended_at_us IS NULL",
    """
    CREATE TABLE usage (
        provider TEXT NOT NULL,
        day TEXT NOT NULL, -- UTC, 2026-11-22
        messages INTEGER NOT NULL DEFAULT 0,
        paid_messages INTEGER NOT NULL DEFAULT 0,
        received_bytes INTEGER NOT NULL DEFAULT 0,
        connections INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (provider, day)
    ) STRICT, WITHOUT ROWID
    """,
    # The state before a trade follows from the state after it and its own amounts: a curve's quote reserve moves by quote_amount,
    # a pool's by quote_amount and the lp_fee that stays in it. Not so when the mayhem agent traded.
    """
    CREATE VIEW trade_log AS
    SELECT
        trades.signature,
        trades.event_index,
        trades.slot,
        trades.block_time,
        min(ifnull(trades.pumpportal_at_us, 9223372036854775807), ifnull(trades.helius_at_us, 9223372036854775807),
            ifnull(trades.backfill_at_us, 9223372036854775807)) AS received_at_us,
        tokens.mint,
        tokens.symbol,
        wallets.address AS wallet,
        CASE trades.is_buy WHEN 1 THEN 'buy' ELSE 'sell' END AS side,
        CASE trades.venue WHEN 0 THEN 'curve' ELSE 'pool' END AS venue,
        trades.token_amount,
        -- PumpPortal's amounts are SOL-shaped even where a token trades against something else.
        CASE WHEN trades.state = 0 AND quotes.id <> 1 THEN NULL ELSE trades.quote_amount END AS quote_amount,
        trades.trader_quote_amount,
        quotes.mint AS quote_mint,
        trades.protocol_fee,
        trades.creator_fee,
        trades.lp_fee,
        trades.virtual_token_reserves,
        trades.virtual_quote_reserves,
        trades.real_token_reserves,
        trades.real_quote_reserves,
        (trades.virtual_quote_reserves / quotes.units) / (trades.virtual_token_reserves / 1e6) AS price,
        CAST(NULL AS REAL) AS price_usd,
        CASE
            WHEN trades.by_mayhem_agent THEN NULL
            WHEN trades.is_buy THEN
                (trades.virtual_quote_reserves * 1.0 / trades.virtual_token_reserves)
                * (trades.virtual_token_reserves + trades.token_amount)
                / (trades.virtual_quote_reserves - trades.quote_amount - ifnull(trades.lp_fee, 0)) - 1
            ELSE
                (trades.virtual_quote_reserves * 1.0 / trades.virtual_token_reserves)
                * (trades.virtual_token_reserves - trades.token_amount)
                / (trades.virtual_quote_reserves + trades.quote_amount - ifnull(trades.lp_fee, 0)) - 1
        END AS price_impact,
        substr(
            CASE WHEN trades.pumpportal_at_us IS NULL THEN '' ELSE ',pumpportal' END
            || CASE WHEN trades.helius_at_us IS NULL THEN '' ELSE ',helius' END
            || CASE WHEN trades.backfill_at_us IS NULL THEN '' ELSE ',backfill' END, 2) AS sources,
        CASE trades.state WHEN 0 THEN 0 ELSE 1 END AS confirmed,
        trades.chain_key
    FROM trades
    JOIN tokens ON tokens.id = trades.token_id
    JOIN wallets ON wallets.id = trades.wallet_id
    LEFT JOIN quotes ON quotes.id = ifnull(trades.quote_id, tokens.quote_id)
    WHERE trades.state <= 2
    """,
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
        'unproven' AS completeness,
        CAST(NULL AS INTEGER) AS complete_from,
        CAST(NULL AS INTEGER) AS complete_until,
        CAST(NULL AS INTEGER) AS proven_to_slot,
        CAST(NULL AS INTEGER) AS holes,
        'this version records, it does not judge yet' AS reason
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
)

#: The statements that lead from schema n to n + 1 are ``MIGRATIONS[n]``; each list is applied in one transaction.
MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (_VERSION_1, VERSION_2, VERSION_3, VERSION_4)

#: What this version of pumpwatch writes, kept in ``PRAGMA user_version``.
SCHEMA_VERSION: Final = len(MIGRATIONS)
