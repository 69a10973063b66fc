"""From schema 2 to 3: the figures of tokens, wallets and quotes, and what tells two gaps of one transaction apart."""

from __future__ import annotations

from typing import Final

VERSION_3: Final = (
    # Of a break or doubt: the token reserve that the step behind it finds; -1 behind the last trade of a curve.
    "ALTER TABLE gaps ADD COLUMN place INTEGER NOT NULL DEFAULT 0",
    "DELETE FROM gaps WHERE cause IN ('break', 'doubt') AND state <> 'closed'",  # found again under their new name
    "DROP INDEX gaps_identity",
    """
    CREATE UNIQUE INDEX gaps_identity ON gaps (cause, ifnull(feed, ''), ifnull(mint, ''), ifnull(signature, ''), place,
        (CASE WHEN signature IS NULL THEN from_us ELSE 0 END))
    """,
)
