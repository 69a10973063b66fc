"""What a person asked for, done for a while at each turn: a token's whole history, or all gaps that are open now."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from pumpwatch.backfill.answers import RpcBehind, RpcFailed
from pumpwatch.backfill.asked import Asked, Order
from pumpwatch.backfill.filling import Filled, Filling, NotYet, Pieces
from pumpwatch.backfill.repairs import Repairs, whole
from pumpwatch.storage.worklist import Gap, Worklist

#: Tries after which an order does not wait for a gap any more.
_TRIES: Final = 5
_MOST_GAPS: Final = 100_000


class Orders:
    """Works on the orders, one after the other. One thread, that of *filling*."""

    def __init__(self, asked: Asked, worklist: Worklist, filling: Filling, repairs: Repairs) -> None:
        self._asked = asked
        self._worklist = worklist
        self._filling = filling
        self._repairs = repairs
        #: Of the history that is being fetched.
        self._pieces: Pieces | None = None
        self._fetched_before = 0

    @property
    def is_fetching(self) -> bool:
        """A history is under way."""
        return self._pieces is not None

    def work(self, is_up: Callable[[], bool]) -> bool:
        """
        Go on with the next order until the time *is_up*. Returns whether there is one.

        Raises:
            RpcFailed: See :meth:`Rpc.call`. The order goes on with the next call.

        """
        order = self._asked.next()
        if order is None:
            return False
        order.progress.state = "working"
        if not order.gap_ids and not order.has_history:
            order.gap_ids = frozenset(gap.id for gap in self._gaps_of(order))
            self._repairs.hurry(order.gap_ids)
        if order.mint is not None and not order.has_history:
            self._fetch_whole(order, order.mint, is_up)
        else:
            self._wait_for_gaps(order)
        return True

    def give_up(self, reason: str) -> None:
        """End all orders: nothing can be asked of the endpoint for long."""
        while (order := self._asked.next()) is not None:
            self._pieces = None
            order.progress.reason, order.progress.remaining, order.progress.state = reason, max(1, len(order.gap_ids)), "done"

    def _fetch_whole(self, order: Order, mint: str, is_up: Callable[[], bool]) -> None:
        if self._pieces is None:
            self._fetched_before = self._filling.fetched
        pieces, self._pieces = self._pieces or self._filling.fill(whole(self._worklist.token(mint), mint)), None
        progress = order.progress
        try:
            while not is_up():
                progress.left = next(pieces)
                progress.done = self._filling.fetched - self._fetched_before
            self._pieces = pieces
        except StopIteration as ended:
            filled: Filled = ended.value
            progress.done, progress.left, progress.reason = filled.fetched, 0, filled.missing
            order.has_history = True
            order.gap_ids |= frozenset(gap.id for gap in self._gaps_of(order))
        except (NotYet, RpcBehind):
            return
        except RpcFailed as error:
            progress.reason = str(error)
            raise

    def _wait_for_gaps(self, order: Order) -> None:
        """The gaps of an order are worked on like all others; it is done when they are, or cannot be for now."""
        open_ids = {gap.id for gap in self._gaps_of(order)} & order.gap_ids
        given_up = [gap for gap in map(self._worklist.gap, order.gap_ids - open_ids) if gap and gap.state == "unfillable"]
        progress = order.progress
        if order.mint is None:
            progress.done, progress.left = len(order.gap_ids) - len(open_ids) - len(given_up), len(open_ids)
        if all(self._repairs.tries(gap_id) >= _TRIES for gap_id in open_ids):
            progress.remaining = max(len(open_ids) + len(given_up), 1 if progress.reason is not None else 0)
            if progress.remaining and progress.reason is None:
                progress.reason = f"{len(open_ids)} gaps are still open, {len(given_up)} cannot be filled"
            progress.state = "done"

    def _gaps_of(self, order: Order) -> list[Gap]:
        """Open ones that have ended: of one that goes on, nothing can be said."""
        gaps = self._worklist.gaps(limit=_MOST_GAPS)
        return [gap for gap in gaps if gap.to_us is not None and (order.mint is None or gap.mint == order.mint)]
