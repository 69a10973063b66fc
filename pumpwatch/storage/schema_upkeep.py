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
    "CREATE INDEX alerts_open ON alerts (rule) WHERE resolved_at_us IS NULL",
)
