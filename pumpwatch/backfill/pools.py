"""Events of pools that nobody told us of: one account read says whose pool it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from loguru import logger

from pumpwatch.backfill.anchor import ACCOUNTS_OF_TOKENS, Snapshots
from pumpwatch.backfill.filling import Filling
from pumpwatch.decode.addresses import QUOTE_DECIMALS, is_address
from pumpwatch.events import WRAPPED_SOL, PoolSeen
from pumpwatch.storage.worklist import Worklist

_LIMIT: Final = 500
#: Pools of which it is known that they are not canonical, or none at all; beyond it, the oldest are asked for again.
_REMEMBERED: Final = 20_000


class UnknownPools:
    """
    One thread.

    Args:
        found: Told of the canonical pools among them: their events can be decoded now.
    """

    def __init__(
        self, snapshots: Snapshots, worklist: Worklist, filling: Filling, *, found: Callable[[list[PoolSeen]], object]
    ) -> None:
        self._snapshots = snapshots
        self._worklist = worklist
        self._filling = filling
        self._found = found
        self._judged: dict[str, None] = {}

    def look(self) -> int:
        """
        Read what is unknown. Returns about how many pools was asked.

        Raises:
            RpcFailed: See :meth:`Rpc.call`.

        """
        reasons = [reason for reason, _ in self._worklist.unknown_pools(limit=_LIMIT)]
        named = dict.fromkeys(reason.removeprefix("pool ") for reason in reasons)
        unknown = [pool for pool in named if pool not in self._judged and is_address(pool)][:ACCOUNTS_OF_TOKENS]
        if not unknown:
            return 0
        seen = []
        for address, pool in self._snapshots.pools(unknown).items():
            self._judged[address] = None
            if pool is not None and pool.is_canonical(address):
                decimals = QUOTE_DECIMALS.get(pool.quote_mint, QUOTE_DECIMALS[WRAPPED_SOL])
                seen.append(PoolSeen(pool=address, mint=pool.base_mint, quote_mint=pool.quote_mint, quote_decimals=decimals))
        while len(self._judged) > _REMEMBERED:
            del self._judged[next(iter(self._judged))]
        if seen:
            logger.info("{} of {} unknown pools belong to tokens of pump.fun: their trades are read now", len(seen), len(unknown))
            for pool_seen in seen:
                self._filling.know(pool_seen)
            self._filling.say(*seen)
            self._found(seen)
        return len(unknown)
