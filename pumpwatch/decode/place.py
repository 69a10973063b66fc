"""Where a payload stands while its transaction is decoded, and what is known there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from pumpwatch.decode.borsh import OutOfRange
from pumpwatch.errors import DecodeError
from pumpwatch.events import LARGEST_INTEGER, Event, PoolSeen


class UnknownPool(DecodeError):
    """A trade names a pool of which we do not know the token."""


class Place:
    """
    The transaction being decoded.

    Attributes:
        signature: Of the transaction.
        slot: Of the transaction.
        event_index: Of the payload now being decoded.
    """

    __slots__ = ("_pools", "_pools_of_transaction", "event_index", "signature", "slot")

    def __init__(self, *, signature: str, slot: int, pools: Mapping[str, PoolSeen]) -> None:
        self.signature = signature
        self.slot = slot
        self.event_index = 0
        self._pools = pools
        self._pools_of_transaction: dict[str, PoolSeen] = {}

    def pool(self, address: str) -> PoolSeen:
        """
        Return what is known of a pool.

        Raises:
            UnknownPool: If nothing is.

        """
        pool = self._pools.get(address) or self._pools_of_transaction.get(address)
        if pool is None:
            raise UnknownPool(f"pool {address}")
        return pool

    def learn(self, pool: PoolSeen) -> bool:
        """Know *pool* for the rest of this transaction; False when an earlier payload of it told already."""
        if pool.pool in self._pools_of_transaction:
            return False
        self._pools_of_transaction[pool.pool] = pool
        return True


#: A decoder of one event: the payload with its discriminator, and where it stands.
Decoder: TypeAlias = Callable[[bytes, Place], tuple[Event, ...]]


def bounded(amount: int) -> int:
    """
    Return a computed *amount*.

    Raises:
        OutOfRange: If it is negative or above 2**63 - 1.

    """
    if not 0 <= amount <= LARGEST_INTEGER:
        raise OutOfRange(f"a computed amount of {amount}")
    return amount
