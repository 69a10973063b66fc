"""Which tokens the latest transactions traded: the identity index begins with the token, and a transaction may trade several."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

#: Two generations of so many transactions each are remembered. PumpPortal and the chain tell of one seconds apart.
_REMEMBERED: Final = 5_000


class RecentSignatures:
    """
    The tokens of the last five to ten thousand transactions. Used by the writer thread only, within its transactions.

    After a rollback, and at the start, call :meth:`forget`: it reads them again.
    """

    def __init__(self) -> None:
        self._tokens: dict[str, tuple[int, ...]] = {}
        self._tokens_before: dict[str, tuple[int, ...]] = {}

    def forget(self, connection: sa.Connection) -> None:
        """Start again from what the database has."""
        self._tokens, self._tokens_before = {}, {}
        latest = "SELECT token_id, signature FROM trades ORDER BY id DESC LIMIT ?"
        for token_id, signature in reversed(connection.exec_driver_sql(latest, (2 * _REMEMBERED,)).all()):
            self.note(token_id, signature)

    def note(self, token_id: int, signature: str) -> tuple[int, ...]:
        """Remember that the transaction traded this token; return all tokens that it is known to have traded."""
        known = self._tokens.get(signature)
        if known is None:
            known = self._tokens_before.get(signature, ())
        if token_id in known:
            return known
        if len(self._tokens) >= _REMEMBERED:
            self._tokens, self._tokens_before = {}, self._tokens
        self._tokens[signature] = known = (*known, token_id)
        return known
