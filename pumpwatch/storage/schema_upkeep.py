"""From schema 3 to 4: what running for months needs. Runs of the worker, alerts, baselines of what was pruned."""

from __future__ import annotations

from typing import Final

VERSION_4: Final = (
    """
    CREATE TABLE runs ( -- each start of the worker, and how it ended
        id INTEGER PRIMARY KEY,
        started_at_us INTEGER NOT NULL UNIQUE,
        pid INTEGER NOT NULL,
        version TEXT NOT NULL,
        ended_at_us INTEGER, -- null while it runs; of a run that could not say so, when it last committed
        exit_status INTEGER, -- null where nobody knows: it was killed, or the power went
        reason TEXT
    ) STRICT
    """,
    """
    CREATE TABLE alerts ( -- each alert, sent or not
        id INTEGER PRIMARY KEY,
        rule TEXT NOT NULL,
        subject TEXT NOT NULL, -- a feed, a mint, a signature, or empty
        severity TEXT NOT NULL, -- info, warning, critical
        is_market INTEGER NOT NULL,
        raised_at_us INTEGER NOT NULL,
        text TEXT NOT NULL,
        completeness TEXT, -- of the record that a market alert is based on
        value REAL,
        threshold REAL,
        resolved_at_us INTEGER, -- null while it lasts; equal to raised_at_us where there is nothing that could last
        resolved_text TEXT,
        sent TEXT, -- sent, failed, pending; null: there is nobody to send it to
        sent_at_us INTEGER,
        attempts INTEGER NOT NULL DEFAULT 0
    ) STRICT
    """,
    "CREATE UNIQUE INDEX alerts_identity ON alerts (rule, subject, raised_at_us)",
    """
    CREATE TABLE sizes ( -- how large the database was, once an hour
        hour INTEGER PRIMARY KEY, -- unix time / 3600
        at INTEGER NOT NULL, -- unix seconds
        used_bytes INTEGER NOT NULL -- of pages that hold something
    ) STRICT
    """,
    "CREATE INDEX alerts_open ON alerts (rule) WHERE resolved_at_us IS NULL",
    # What is kept of trades that were taken out. Numbers are those of all trades up to *slot*; every later one is still there.
    """
    CREATE TABLE baselines (
        token_id INTEGER PRIMARY KEY REFERENCES tokens,
        slot INTEGER NOT NULL, -- the last one whose trades are gone
        minute INTEGER NOT NULL, -- the first one (unix time / 60) whose trades are still there, or would be
        pruned_at_us INTEGER NOT NULL,
        last_id INTEGER NOT NULL, -- the largest id of the rows of trades that are gone
        is_whole INTEGER NOT NULL, -- no trade is left: what they add up to is in positions, not in baseline_positions
        late INTEGER NOT NULL DEFAULT 0, -- events of these slots that came afterwards, and were passed over
        trades INTEGER NOT NULL,
        buys INTEGER NOT NULL,
        volume INTEGER NOT NULL,
        unknown_amounts INTEGER NOT NULL,
        timed INTEGER NOT NULL, -- of the trades: those that are in a minute
        price_high REAL,
        price_low REAL,
        first_trade_at INTEGER,
        last_trade_at INTEGER,
        last_key BLOB,
        last_venue INTEGER,
        last_by_mayhem_agent INTEGER,
        last_virtual_token_reserves INTEGER,
        last_virtual_quote_reserves INTEGER,
        last_real_token_reserves INTEGER,
        last_real_quote_reserves INTEGER,
        completeness TEXT NOT NULL, -- what was said of the token when they went
        complete_from INTEGER,
        proven_to_slot INTEGER,
        reason TEXT
    ) STRICT
    """,
    """
    CREATE TABLE baseline_segments ( -- as segments: of the trades that are gone
        id INTEGER PRIMARY KEY,
        token_id INTEGER NOT NULL REFERENCES tokens,
        venue INTEGER NOT NULL,
        trades INTEGER NOT NULL,
        first_key BLOB NOT NULL,
        last_key BLOB NOT NULL,
        first_slot INTEGER NOT NULL,
        last_slot INTEGER NOT NULL,
        first_time INTEGER,
        last_time INTEGER,
        before_virtual_token INTEGER,
        before_virtual_quote INTEGER,
        before_real_token INTEGER,
        before_real_quote INTEGER,
        after_virtual_token INTEGER,
        after_virtual_quote INTEGER,
        after_real_token INTEGER,
        after_real_quote INTEGER
    ) STRICT
    """,
    "CREATE INDEX baseline_segments_token ON baseline_segments (token_id)",
    """
    CREATE TABLE baseline_positions ( -- as positions: of the trades that are gone
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
        first_trade_at INTEGER,
        last_trade_at INTEGER,
        last_key BLOB,
        PRIMARY KEY (token_id, wallet_id)
    ) STRICT, WITHOUT ROWID
    """,
)
