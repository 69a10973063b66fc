"""Trades that only PumpPortal told: confirmed from the chain, or, when they cannot land any more, dropped."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

import msgspec

from pumpwatch.backfill.filling import Filling
from pumpwatch.backfill.rpc import Rpc, RpcFailed
from pumpwatch.events import TradesDropped
from pumpwatch.storage.worklist import Worklist

#: Younger ones are the feeds' affair.
_ASKED_AFTER_SECONDS: Final = 60.0
#: A blockhash is good for 150 blocks, a minute or so: after this, a transaction that nobody knows will never land.
_EXPIRED_AFTER_SECONDS: Final = 150.0
#: In one ``getSignatureStatuses``. Source: Solana's documentation of the method.
_MOST_STATUSES: Final = 256
#: Transactions fetched at a time: the rest at the next look.
_MOST_FETCHED: Final = 50
#: What was fetched and left its trade provisional all the same is not fetched again for so long.
_FETCHED_SECONDS: Final = 600.0


class _Status(msgspec.Struct):
    err: Any = None
    confirmationStatus: str | None = None  # noqa: N815 - the chain's name


class _Answer(msgspec.Struct):
    value: list[_Status | None]


class Provisional:
    """One thread, that of *rpc*. *clock* gives unix seconds."""

    def __init__(self, rpc: Rpc, worklist: Worklist, filling: Filling, *, clock: Callable[[], float] = time.time) -> None:
        self._rpc = rpc
        self._worklist = worklist
        self._filling = filling
        self._clock = clock
        #: Signatures that no node knew at the last look.
        self._absent: set[str] = set()
        self._fetched_at: dict[str, float] = {}
        self.dropped = 0

    def look(self) -> int:
        """
        Ask the chain about the trades that wait, and tell the writer. Returns about how many transactions was asked.

        Raises:
            RpcFailed: See :meth:`Rpc.call`.

        """
        now = self._clock()
        before_us = int((now - _ASKED_AFTER_SECONDS) * 1_000_000)
        waiting = self._worklist.provisional(received_before_us=before_us, limit=2 * _MOST_STATUSES)
        self._fetched_at = {key: at for key, at in self._fetched_at.items() if now - at < _FETCHED_SECONDS}
        signatures = [key for key in dict.fromkeys(row[0] for row in waiting) if key not in self._fetched_at][:_MOST_STATUSES]
        if not signatures:
            self._absent.clear()
            return 0
        landed: list[str] = []
        absent: set[str] = set()
        failed: set[str] = set()
        for signature, status in zip(signatures, self._statuses(signatures), strict=True):
            if status is None:
                absent.add(signature)
            elif status.err is not None:
                failed.add(signature)
            elif status.confirmationStatus in ("confirmed", "finalized"):
                landed.append(signature)
        expired_us = int((now - _EXPIRED_AFTER_SECONDS) * 1_000_000)
        for signature, mint, received_at_us in waiting:
            is_gone = signature in absent and signature in self._absent and received_at_us < expired_us
            if signature in failed or is_gone:
                self._filling.say(TradesDropped(signature=signature, mint=mint))
                self.dropped += 1
        self._absent = absent
        self._fetch(landed[:_MOST_FETCHED], now)
        return len(signatures)

    def _fetch(self, signatures: list[str], now: float) -> None:
        pieces = self._filling.fetch(signatures)
        while True:
            try:
                next(pieces)
            except StopIteration as ended:
                self._fetched_at.update(dict.fromkeys(ended.value, now))
                return

    def _statuses(self, signatures: list[str]) -> list[_Status | None]:
        raw = self._rpc.raw("getSignatureStatuses", [signatures, {"searchTransactionHistory": True}])
        try:
            statuses = msgspec.json.decode(raw, type=_Answer).value
        except (msgspec.DecodeError, ValueError) as error:
            raise RpcFailed("getSignatureStatuses: the answer has not the shape that was expected") from error
        if len(statuses) != len(signatures):
            raise RpcFailed("getSignatureStatuses: not as many statuses as were asked for")
        return statuses
