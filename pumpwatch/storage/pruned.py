"""What was pruned, for who shows what is left."""

from __future__ import annotations

from typing import Final

from pumpwatch.figures import MINUTE_SECONDS
from pumpwatch.storage.queries import Reader

_OF_TOKEN: Final = f"SELECT minute * {MINUTE_SECONDS} FROM baselines WHERE token_id = (SELECT id FROM tokens WHERE mint = :mint)"
_OF_ANY: Final = "SELECT value FROM meta WHERE key = 'pruned_until'"
_OLDER: Final = "SELECT count(*) FROM trades INDEXED BY trades_time WHERE block_time < :before"


def pruned_until(reader: Reader, mint: str | None) -> int | None:
    """
    Up to when (unix seconds) trades are gone: all of before of a token, or if none is given, of some tokens; None: none are.

    What they added up to (candles from one minute on, figures, positions) is still there.
    """
    found = reader.rows(_OF_ANY) if mint is None else reader.rows(_OF_TOKEN, mint=mint)
    return int(found[0][0]) if found else None


def older_trades(reader: Reader, before: int) -> int:
    """How many trades were made before a time (unix seconds), by the chain's clock."""
    [(count,)] = reader.rows(_OLDER, before=before)
    return int(count)
