"""From schema 2 to 3: figures of tokens and wallets, rates of the quotes, and what tells two gaps of one transaction apart."""

from __future__ import annotations

from typing import Final

#: A rate counts for the minutes that follow its own, so many of them at most; then USD is unknown.
RATE_MINUTES: Final = 10

#: The rate of a quote in the minute of a time: the newest up to then. Parts of SQL: ids and times of two rows.
_USD: Final = """(
            SELECT usd FROM rates WHERE rates.quote_id = {quote} AND rates.minute <= {time} / 60
                AND rates.minute > {time} / 60 - {minutes} ORDER BY rates.minute DESC LIMIT 1
        )"""
_USD_OF_TRADE: Final = _USD.format(
    quote="quotes.id", time="ifnull(trades.block_time, trades.pumpportal_at_us / 1000000)", minutes=RATE_MINUTES
)
_USD_NOW: Final = "(SELECT usd FROM rates WHERE rates.quote_id = quotes.id ORDER BY rates.minute DESC LIMIT 1)"
_USD_AT: Final = (
    "(SELECT min(at_us / 1000000, (minute + 1) * 60) FROM rates WHERE rates.quote_id = quotes.id ORDER BY minute DESC LIMIT 1)"
)
_NOW_US: Final = "CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)"

#: What trade_log says of a row of trades, and the tables that it says it from: also for what reads rows that are not in the view.
TRADE_COLUMNS: Final = f"""
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
    trades.virtual_quote_reserves * 1.0 / trades.virtual_token_reserves * 1e6 / quotes.units AS price,
    trades.virtual_quote_reserves * 1.0 / trades.virtual_token_reserves * 1e6 / quotes.units * {_USD_OF_TRADE} AS price_usd,
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
"""
TRADE_TABLES: Final = """trades
    JOIN tokens ON tokens.id = trades.token_id
    JOIN wallets ON wallets.id = trades.wallet_id
    LEFT JOIN quotes ON quotes.id = ifnull(trades.quote_id, tokens.quote_id)
"""

VERSION_3: Final = (
    # Of a break or doubt: the token reserve that the step behind it finds; -1 behind the last trade of a curve.
    "ALTER TABLE gaps ADD COLUMN place INTEGER NOT NULL DEFAULT 0",
    "DELETE FROM gaps WHERE cause IN ('break', 'doubt') AND state <> 'closed'",  # found again under their new name
    "DROP INDEX gaps_identity",
    """
    CREATE UNIQUE INDEX gaps_identity ON gaps (cause, ifnull(feed, ''), ifnull(mint, ''), ifnull(signature, ''), place,
        (CASE WHEN signature IS NULL THEN from_us ELSE 0 END))
    """,
    # Of the trades that the chain told. Prices are base units of the quote per base unit of the token.
    "ALTER TABLE tokens ADD COLUMN wallets INTEGER NOT NULL DEFAULT 0",  # rows in positions
    "ALTER TABLE tokens ADD COLUMN price_high REAL",
    "ALTER TABLE tokens ADD COLUMN price_low REAL",
    "ALTER TABLE tokens ADD COLUMN first_trade_at INTEGER",
    "ALTER TABLE tokens ADD COLUMN last_trade_at INTEGER",  # this and what follows: after the last trade in the chain's order
    "ALTER TABLE tokens ADD COLUMN last_key BLOB",
    "ALTER TABLE tokens ADD COLUMN last_venue INTEGER",
    "ALTER TABLE tokens ADD COLUMN last_virtual_token_reserves INTEGER",
    "ALTER TABLE tokens ADD COLUMN last_virtual_quote_reserves INTEGER",
    "ALTER TABLE tokens ADD COLUMN last_real_token_reserves INTEGER",
    """
    CREATE TABLE positions ( -- what each wallet did with each token; figures.Position says what each number is
        token_id INTEGER NOT NULL REFERENCES tokens,
        wallet_id INTEGER NOT NULL REFERENCES wallets,
        buys INTEGER NOT NULL,
        sells INTEGER NOT NULL,
        bought INTEGER NOT NULL,
        sold INTEGER NOT NULL,
        spent INTEGER NOT NULL,
        received INTEGER NOT NULL,
        cost INTEGER NOT NULL,
        profit INTEGER NOT NULL,
        sold_unbought INTEGER NOT NULL,
        unknown INTEGER NOT NULL,
        provisional_buys INTEGER NOT NULL,
        provisional_sells INTEGER NOT NULL,
        provisional_bought INTEGER NOT NULL,
        provisional_sold INTEGER NOT NULL,
        first_trade_at INTEGER,
        last_trade_at INTEGER,
        last_key BLOB,
        PRIMARY KEY (token_id, wallet_id)
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX positions_wallet ON positions (wallet_id)",
    """
    CREATE TABLE minutes ( -- each minute in which a token traded, by the chain's clock; see figures.Minute
        token_id INTEGER NOT NULL REFERENCES tokens,
        minute INTEGER NOT NULL, -- block_time / 60
        trades INTEGER NOT NULL,
        buys INTEGER NOT NULL,
        volume INTEGER NOT NULL,
        buy_volume INTEGER NOT NULL,
        open REAL,
        high REAL,
        low REAL,
        close REAL,
        first_slot INTEGER NOT NULL,
        last_key BLOB NOT NULL,
        PRIMARY KEY (token_id, minute)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE rates ( -- what a whole one of a quote cost in US dollars, one a minute
        quote_id INTEGER NOT NULL REFERENCES quotes,
        minute INTEGER NOT NULL, -- unix time / 60
        usd REAL NOT NULL,
        source TEXT NOT NULL,
        at_us INTEGER NOT NULL, -- when it was asked for
        PRIMARY KEY (quote_id, minute)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE metadata ( -- the file behind a token's uri: its maker's words, fetched only where the settings say so
        token_id INTEGER PRIMARY KEY REFERENCES tokens,
        fetched_at_us INTEGER NOT NULL,
        source TEXT NOT NULL, -- the host that was asked
        error TEXT, -- why there is nothing
        name TEXT,
        symbol TEXT,
        description TEXT,
        image TEXT,
        website TEXT,
        twitter TEXT,
        telegram TEXT
    ) STRICT
    """,
    """
    CREATE TABLE changes ( -- the newest changes of what is recorded already, for those who follow the record
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        at_us INTEGER NOT NULL,
        token_id INTEGER NOT NULL,
        trade_id INTEGER, -- its state changed, or it landed again in another slot; null: the token's completeness did
        state INTEGER,
        completeness TEXT
    ) STRICT
    """,
    f"""
    CREATE TRIGGER trade_changed AFTER UPDATE OF state, slot ON trades WHEN old.state <> new.state OR old.slot <> new.slot BEGIN
        INSERT INTO changes (at_us, token_id, trade_id, state) VALUES ({_NOW_US}, new.token_id, new.id, new.state);
    END
    """,
    f"""
    CREATE TRIGGER completeness_changed AFTER UPDATE OF completeness, holes ON tokens
    WHEN old.completeness IS NOT new.completeness OR old.holes IS NOT new.holes BEGIN
        INSERT INTO changes (at_us, token_id, completeness) VALUES ({_NOW_US}, new.id, new.completeness);
    END
    """,
    "CREATE INDEX trades_pair ON trades (token_id, wallet_id)",
    "CREATE INDEX trades_time ON trades (block_time)",
    "CREATE INDEX tokens_last_trade ON tokens (last_trade_at)",
    "DROP VIEW trade_log",
    f"CREATE VIEW trade_log AS SELECT {TRADE_COLUMNS} FROM {TRADE_TABLES} WHERE trades.state <= 2",
    "DROP VIEW token_board",
    f"""
    CREATE VIEW token_board AS
    SELECT
        tokens.mint,
        tokens.symbol,
        tokens.name,
        creators.address AS creator,
        developers.address AS developer,
        tokens.created_at,
        CASE
            WHEN tokens.migrated_signature IS NOT NULL OR tokens.last_venue = 1 THEN 'graduated'
            WHEN tokens.completed_signature IS NOT NULL THEN 'completed'
            ELSE 'curve'
        END AS status,
        tokens.trades,
        tokens.buys,
        tokens.trades - tokens.buys AS sells,
        CASE
            WHEN quotes.id IS NULL OR tokens.unknown_amounts > 0 THEN NULL
            WHEN quotes.id = 1 THEN min(9223372036854775807, tokens.volume + tokens.provisional_volume) -- a sum beyond is a REAL
            WHEN tokens.provisional_volume = 0 THEN tokens.volume
        END AS volume,
        quotes.mint AS quote_mint,
        tokens.last_virtual_quote_reserves * 1.0 / tokens.last_virtual_token_reserves * 1e6 / quotes.units AS price,
        tokens.last_virtual_quote_reserves * 1.0 / tokens.last_virtual_token_reserves / quotes.units * tokens.token_total_supply
            AS market_cap,
        tokens.last_trade_at,
        tokens.completeness,
        tokens.complete_from,
        tokens.complete_until,
        tokens.proven_to_slot,
        tokens.holes,
        CASE WHEN tokens.completeness = 'unproven' THEN ifnull(tokens.reason, 'not judged yet') ELSE tokens.reason END AS reason,
        tokens.first_trade_at,
        tokens.wallets,
        tokens.price_high * 1e6 / quotes.units AS price_high,
        tokens.price_low * 1e6 / quotes.units AS price_low,
        -- Percent of what the curve had to sell; unknown as long as the chain has not told of the creation.
        CASE
            WHEN tokens.last_venue = 1 OR coalesce(tokens.migrated_signature, tokens.completed_signature) IS NOT NULL THEN 100.0
            ELSE (tokens.start_real_token_reserves - ifnull(tokens.last_real_token_reserves, tokens.start_real_token_reserves))
                * 100.0 / tokens.start_real_token_reserves
        END AS progress,
        ifnull(tokens.pool, (SELECT pool FROM pools WHERE pools.token_id = tokens.id LIMIT 1)) AS pool,
        tokens.is_mayhem_mode,
        tokens.is_cashback_enabled,
        tokens.is_holder_reward,
        creating.bought AS creator_bought, -- confirmed, base units
        creating.sold AS creator_sold,
        tokens.last_virtual_quote_reserves * 1.0 / tokens.last_virtual_token_reserves * 1e6 / quotes.units * {_USD_NOW}
            AS price_usd,
        tokens.last_virtual_quote_reserves * 1.0 / tokens.last_virtual_token_reserves / quotes.units * tokens.token_total_supply
            * {_USD_NOW} AS market_cap_usd,
        {_USD_AT} AS usd_at -- when the rate behind them was true
    FROM tokens
    LEFT JOIN wallets AS creators ON creators.id = tokens.creator_id
    LEFT JOIN wallets AS developers ON developers.id = tokens.developer_id
    LEFT JOIN quotes ON quotes.id = tokens.quote_id
    LEFT JOIN positions AS creating ON creating.token_id = tokens.id AND creating.wallet_id = tokens.creator_id
    """,
    """
    CREATE VIEW position_board AS
    SELECT
        tokens.mint,
        tokens.symbol,
        wallets.address AS wallet,
        positions.buys + positions.provisional_buys AS buys,
        positions.sells + positions.provisional_sells AS sells,
        min(9223372036854775807, positions.bought + positions.provisional_bought) AS bought, -- base units of the token
        min(9223372036854775807, positions.sold + positions.provisional_sold) AS sold,
        min(9223372036854775807, positions.bought + positions.provisional_bought)
            - min(9223372036854775807, positions.sold + positions.provisional_sold) AS net_bought,
        quotes.mint AS quote_mint,
        -- Base units of the quote, all fees included; unknown while a trade is provisional.
        CASE WHEN positions.unknown = 0 AND positions.provisional_buys = 0 THEN positions.spent END AS spent,
        CASE WHEN positions.unknown = 0 AND positions.provisional_sells = 0 THEN positions.received END AS received,
        CASE
            WHEN positions.unknown = 0 AND positions.provisional_buys = 0 AND positions.provisional_sells = 0
                AND positions.sold_unbought = 0 THEN positions.profit
        END AS realised_profit,
        CASE WHEN positions.sold_unbought = 1 THEN 'received by transfer' END AS remark,
        positions.first_trade_at,
        positions.last_trade_at,
        tokens.completeness
    FROM positions
    JOIN tokens ON tokens.id = positions.token_id
    JOIN wallets ON wallets.id = positions.wallet_id
    LEFT JOIN quotes ON quotes.id = tokens.quote_id
    """,
    # Figures of a file that has trades already are made when it is opened.
    "INSERT OR REPLACE INTO meta (key, value) SELECT 'to_figure', '1' WHERE EXISTS (SELECT 1 FROM trades)",
)
