"""The integer ids behind mints, wallets and quote mints: looked up or given out, and remembered."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import sqlalchemy as sa

from pumpwatch.storage import statements

#: How many ids of a kind are remembered. Those seen longest ago go first; the database knows them all.
_REMEMBERED = 20_000


class _Names:
    """Ids of one table, by name. Only the writer gives out ids, so it counts them itself."""

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}
        self.next_id = 1

    def forget(self, next_id: int) -> None:
        self._ids.clear()
        self.next_id = next_id

    def unknown(self, names: Iterable[str]) -> set[str]:
        return {name for name in names if name not in self._ids}

    def remember(self, name: str, number: int) -> None:
        self._ids[name] = number

    def give(self, name: str) -> int:
        self._ids[name] = number = self.next_id
        self.next_id += 1
        return number

    def __getitem__(self, name: str) -> int:
        return self._ids[name]

    def trim(self) -> None:
        if len(self._ids) > _REMEMBERED:
            for name in list(self._ids)[: len(self._ids) - _REMEMBERED // 2]:
                del self._ids[name]


class Ids:
    """
    Ids of wallets, tokens and quotes. Used by the writer thread only, within its transactions.

    After a rollback call :meth:`forget`: what was given out is not in the database.
    """

    def __init__(self) -> None:
        self._wallets = _Names()
        self._tokens = _Names()
        self._quotes: dict[str, int] = {}
        #: Tokens (by id) whose row has its quote mint already.
        self._with_quote: set[int] = set()

    def forget(self, connection: sa.Connection) -> None:
        """Start again from what the database has."""
        self._wallets.forget(_next_id(connection, "wallets"))
        self._tokens.forget(_next_id(connection, "tokens"))
        self._quotes = {str(mint): int(number) for mint, number in connection.exec_driver_sql(statements.KNOWN_QUOTES)}
        self._with_quote.clear()

    def resolve(self, connection: sa.Connection, *, wallets: Iterable[str], mints: Iterable[str], now_us: int) -> None:
        """Make the ids of all *wallets* and *mints* known, adding the rows that are missing."""
        self._trim()
        missing = self._wallets.unknown(wallets)
        if missing:
            for address, number in connection.exec_driver_sql(statements.KNOWN_WALLETS, (_json(missing),)):
                self._wallets.remember(address, number)
                missing.discard(address)
            new = [(self._wallets.give(address), address) for address in sorted(missing)]
            if new:
                connection.exec_driver_sql(statements.INSERT_WALLET, new)
        missing = self._tokens.unknown(mints)
        if missing:
            for mint, number, quote_id in connection.exec_driver_sql(statements.KNOWN_TOKENS, (_json(missing),)):
                self._tokens.remember(mint, number)
                missing.discard(mint)
                if quote_id is not None:
                    self._with_quote.add(number)
            new_tokens = [(self._tokens.give(mint), mint, now_us) for mint in sorted(missing)]
            if new_tokens:
                connection.exec_driver_sql(statements.INSERT_TOKEN, new_tokens)

    def wallet(self, address: str) -> int:
        """Id of a resolved wallet."""
        return self._wallets[address]

    def token(self, mint: str) -> int:
        """Id of a resolved token."""
        return self._tokens[mint]

    def quote(self, connection: sa.Connection, mint: str | None) -> int | None:
        """Id of a quote mint, None for None. There are few, so all are remembered."""
        if mint is None:
            return None
        number = self._quotes.get(mint)
        if number is None:
            number = max(self._quotes.values(), default=0) + 1
            connection.exec_driver_sql(statements.INSERT_QUOTE, (number, mint))
            self._quotes[mint] = number
        return number

    def set_quote(self, connection: sa.Connection, token_id: int, quote_id: int | None) -> None:
        """Note what a token trades against, once the chain has told."""
        if quote_id is not None and token_id not in self._with_quote:
            connection.exec_driver_sql(statements.SET_QUOTE, (quote_id, token_id))
            self._with_quote.add(token_id)

    def _trim(self) -> None:
        self._wallets.trim()
        self._tokens.trim()
        if len(self._with_quote) > _REMEMBERED:
            self._with_quote.clear()


def _next_id(connection: sa.Connection, table: str) -> int:
    return int(connection.exec_driver_sql(f"SELECT ifnull(max(id), 0) + 1 FROM {table}").scalar_one())


def _json(names: Iterable[str]) -> str:
    return msgspec.json.encode(sorted(names)).decode()
