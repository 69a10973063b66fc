"""What our own two programs emitted and could not be read when it came (table ``unread``): in pages, and taken out again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from pumpwatch.events import PoolSeen
from pumpwatch.storage.database import reading_engine, translated, writing_engine

_PAGE: Final = """
    SELECT id, received_at_us, source, kind, reason, signature, slot, raw FROM unread
    WHERE id > ? AND (? IS NULL OR kind = ?) ORDER BY id LIMIT ?
"""
_FORGET: Final = "DELETE FROM unread WHERE id IN (SELECT value FROM json_each(?))"
_POOL: Final = """
    SELECT pools.pool, tokens.mint, quotes.mint, base_decimals, quote_decimals FROM pools
    JOIN tokens ON tokens.id = token_id JOIN quotes ON quotes.id = pools.quote_id WHERE pools.pool = ?
"""


class UnreadRow(msgspec.Struct, frozen=True, gc=False):
    """One row, as :class:`pumpwatch.events.Rejected` was stored."""

    id: int
    received_at_us: int
    source: str
    kind: str
    reason: str
    signature: str | None
    slot: int | None
    raw: bytes


class Unread:
    """
    The table, read by a connection that cannot write, and shortened by one that waits for the writer's commits.

    Whoever opens it holds the WriterLock, or is in the process that does. One thread at a time uses it; a context manager.

    Raises:
        DatabaseError: There is no such file, or it is damaged, or of a newer schema. From each method too.
        DatabaseBusy: From each method: try again.

    """

    def __init__(self, path: Path, *, busy_timeout_seconds: float = 5.0) -> None:
        self._path = path
        self._busy_timeout_seconds = busy_timeout_seconds
        self._reading = reading_engine(path)

    def page(self, after_id: int, *, most_rows: int, most_bytes: int, kind: str | None = None) -> list[UnreadRow]:
        """Return the oldest rows behind *after_id* (of one *kind*): one, if there is any, and more as the bounds allow."""
        rows: list[UnreadRow] = []
        size = 0
        with translated(self._path), self._reading.connect() as connection:
            for values in connection.exec_driver_sql(_PAGE, (after_id, kind, kind, most_rows)):
                row = UnreadRow(*values)
                size += len(row.raw)
                if rows and size > most_bytes:
                    break
                rows.append(row)
        return rows

    def pools(self) -> Pools:
        """Return the canonical pools, looked up one by one."""
        return Pools(self)

    def pool(self, address: str) -> PoolSeen | None:
        """Return a canonical pool that is known."""
        with translated(self._path), self._reading.connect() as connection:
            row = connection.exec_driver_sql(_POOL, (address,)).first()
        if row is None:
            return None
        pool, mint, quote_mint, base, quote = row
        return PoolSeen(pool=pool, mint=mint, quote_mint=quote_mint, base_decimals=base, quote_decimals=quote)

    def remaining(self) -> dict[str, int]:
        """Return how many rows there are, by kind, the most frequent first."""
        with translated(self._path), self._reading.connect() as connection:
            rows = connection.exec_driver_sql("SELECT kind, count(*) FROM unread GROUP BY kind ORDER BY count(*) DESC, kind")
            return {kind: number for kind, number in rows}  # noqa: C416 - dict() takes no rows of this type

    def covered_us(self, feed: str) -> int | None:
        """Return the newest :class:`pumpwatch.events.Covered` of *feed* that is stored."""
        with translated(self._path), self._reading.connect() as connection:
            row = connection.exec_driver_sql("SELECT value FROM meta WHERE key = ?", (f"covered_us {feed}",)).first()
        return None if row is None else int(row[0])

    def forget(self, ids: Sequence[int]) -> None:
        """Take rows out: what they hold is stored as events."""
        if not ids:
            return
        engine = writing_engine(self._path, busy_timeout_seconds=self._busy_timeout_seconds, synchronous="normal")
        try:
            with translated(self._path), engine.begin() as connection:
                connection.exec_driver_sql(_FORGET, (msgspec.json.encode(list(ids)).decode(),))
        finally:
            engine.dispose()

    def close(self) -> None:
        """Close the connection. Idempotent."""
        self._reading.dispose()

    def __enter__(self) -> Unread:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Pools(Mapping[str, PoolSeen]):
    """The canonical pools of a database, and those told with :meth:`learn` since; each is looked up once."""

    def __init__(self, unread: Unread) -> None:
        self._unread = unread
        self._found: dict[str, PoolSeen | None] = {}

    def learn(self, pool: PoolSeen) -> None:
        """Know a pool that is not stored yet."""
        self._found[pool.pool] = pool

    def __getitem__(self, address: str) -> PoolSeen:
        if address not in self._found:
            self._found[address] = self._unread.pool(address)
        pool = self._found[address]
        if pool is None:
            raise KeyError(address)
        return pool

    def __iter__(self) -> Iterator[str]:
        """Those looked up so far."""
        return (address for address, pool in self._found.items() if pool is not None)

    def __len__(self) -> int:
        return sum(pool is not None for pool in self._found.values())
