"""All positions of a wallet, or in a token, however many, a page at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from pumpwatch.storage.positions import PositionRow
from pumpwatch.storage.queries import Reader
from pumpwatch.storage.streams import Page, Stream

_PAGE_ROWS: Final = 2_000

_COLUMNS: Final = ", ".join(f"board.{name}" for name in PositionRow.__struct_fields__)
_BOARD: Final = "CROSS JOIN position_board AS board ON board.mint = {mint} AND board.wallet = {wallet} ORDER BY place.key"

_OF_WALLET: Final = f"""
    SELECT {_COLUMNS} FROM json_each(:ids) AS place CROSS JOIN tokens ON tokens.id = place.value
    {_BOARD.format(mint="tokens.mint", wallet=":wallet")}
"""
_OF_TOKEN: Final = f"""
    SELECT {_COLUMNS} FROM json_each(:ids) AS place CROSS JOIN wallets ON wallets.id = place.value
    {_BOARD.format(mint=":mint", wallet="wallets.address")}
"""
_TOKENS_OF_WALLET: Final = """
    SELECT token_id FROM positions WHERE wallet_id = (SELECT id FROM wallets WHERE address = :wallet)
    AND (:mint IS NULL OR token_id = (SELECT id FROM tokens WHERE mint = :mint)) ORDER BY token_id
"""
_WALLETS_OF_TOKEN: Final = """
    SELECT wallet_id FROM positions WHERE token_id = (SELECT id FROM tokens WHERE mint = :mint) ORDER BY wallet_id
"""


def positions(reader: Reader, *, wallet: str | None = None, mint: str | None = None) -> Stream:
    """One wallet's positions (in one token), as the tokens first appeared; or (*wallet* None) all in a token, by wallet."""
    ids = reader.numbers(_WALLETS_OF_TOKEN if wallet is None else _TOKENS_OF_WALLET, wallet=wallet, mint=mint)
    statement = _OF_TOKEN if wallet is None else _OF_WALLET
    return Stream(PositionRow, len(ids), _pages(reader, statement, ids, wallet=wallet, mint=mint))


def _pages(reader: Reader, statement: str, ids: Sequence[int], **of: str | None) -> Iterator[Page]:
    for start in range(0, len(ids), _PAGE_ROWS):
        few = ids[start : start + _PAGE_ROWS]
        yield Page(reader.rows(statement, ids=msgspec.json.encode(list(few)).decode(), **of), len(few))
