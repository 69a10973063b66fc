"""What a person asks backfill for, and how far it is: asked by any thread, done by backfill's own."""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from pumpwatch.commands import Answer, Request
from pumpwatch.decode.addresses import is_address

#: Commands of the running worker. The answer to the first is the number of the order, to the second a :class:`Progress` in JSON.
BACKFILL: Final = "backfill"
PROGRESS: Final = "backfill progress"

#: Orders remembered; more than a few at once nobody gives.
_MOST_ORDERS: Final = 100
_MOST_WAITING: Final = 20
_MOST_DIGITS: Final = 18


class Progress(msgspec.Struct, kw_only=True):
    """
    Of one order.

    Attributes:
        state: ``waiting``, ``working``, ``done``.
        done: Transactions fetched so far (of a token's history), or gaps that are open no more.
        left: The same that are still to come, as far as is known.
        remaining: When it is done: what could not be done.
        reason: Why, or why it takes long.
    """

    state: str = "waiting"
    done: int = 0
    left: int = 0
    remaining: int = 0
    reason: str | None = None


class Order(msgspec.Struct, kw_only=True, eq=False):
    """
    One thing to do.

    Attributes:
        mint: The token whose whole history is wanted; None: all open gaps.
        gap_ids: The gaps that it is about, once it has begun.
    """

    mint: str | None
    progress: Progress
    gap_ids: frozenset[int] = frozenset()
    has_history: bool = False


class Asked:
    """The orders, in order. Any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._orders: OrderedDict[int, Order] = OrderedDict()

    def ask(self, mint: str | None) -> int | None:
        """Take an order; its number. None: too many wait already."""
        with self._lock:
            if sum(order.progress.state != "done" for order in self._orders.values()) >= _MOST_WAITING:
                return None
            number = next(self._numbers)
            self._orders[number] = Order(mint=mint, progress=Progress())
            while len(self._orders) > _MOST_ORDERS:
                self._orders.popitem(last=False)
            return number

    def progress(self, number: int) -> Progress | None:
        """How far an order is; None if there is none of that number."""
        with self._lock:
            order = self._orders.get(number)
            return None if order is None else msgspec.structs.replace(order.progress)

    def next(self) -> Order | None:
        """The order that is to be worked on."""
        with self._lock:
            return next((order for order in self._orders.values() if order.progress.state != "done"), None)

    def handlers(self) -> Mapping[str, Callable[[Request], Answer]]:
        """What the running worker answers to the commands."""
        return {BACKFILL: self._take, PROGRESS: self._tell}

    def _take(self, request: Request) -> Answer:
        mint = request.arguments.get("mint")
        if mint is not None and not is_address(mint):
            return Answer(ok=False, text="that is not the address of a token")
        number = self.ask(mint)
        if number is None:
            return Answer(ok=False, text="too many are waiting already: try again when some are done")
        return Answer(ok=True, text=str(number))

    def _tell(self, request: Request) -> Answer:
        text = request.arguments.get("order", "")
        is_number = text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS
        progress = self.progress(int(text)) if is_number else None
        if progress is None:
            return Answer(ok=False, text="the worker knows no such order: it was started anew meanwhile")
        return Answer(ok=True, text=msgspec.json.encode(progress).decode())
