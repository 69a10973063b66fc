"""
Back from the newest trades, for wallets that traded so many tokens that a look at each of them takes long.

Whoever trades that much has many of the newest trades: they are looked through, some at first, then ever more.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pumpwatch.storage.queries import Reader

#: Positions of a wallet that can be looked at one by one.
_MANY_POSITIONS: Final = 1_000

#: So many trades are looked through.
_STEPS: Final = (2_000, 16_000, 64_000)

_LATEST: Final = 2**62

_IS_BUSY: Final = """
    SELECT 1 FROM positions WHERE wallet_id = (SELECT id FROM wallets WHERE address = :address) LIMIT 1 OFFSET :most
"""
_BACK: Final = """
    SELECT block_time FROM trades INDEXED BY trades_time WHERE block_time <= :until
    ORDER BY block_time DESC LIMIT 1 OFFSET :trades
"""


def is_busy(reader: Reader, address: str) -> bool:
    """Whether the wallet traded very many tokens."""
    return bool(reader.rows(_IS_BUSY, address=address, most=_MANY_POSITIONS))


def times_back(reader: Reader, until: int | None) -> Iterator[int]:
    """
    Times (unix seconds), each further back than the last.

    All trades behind each of them, and until *until*, are so few that they can be looked through. Ends where there are no more.
    """
    for trades in _STEPS:
        found = reader.rows(_BACK, until=_LATEST if until is None else until, trades=trades)
        if not found:
            return
        yield int(found[0][0])
