"""The signals that ask a command to stop, as a flag that it looks at."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from loguru import logger


class Signals:
    """A plain flag: anything more in a handler can deadlock the main thread."""

    def __init__(self) -> None:
        self.received: int | None = None

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        self.received = number

    def requested(self) -> bool:
        """Whether one has come."""
        return self.received is not None


@contextmanager
def stop_signals() -> Iterator[Signals]:
    """Ctrl-C, Ctrl-Break and SIGTERM set the flag."""
    signals = Signals()
    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name)]
    before = {number: signal.signal(number, signals) for number in numbers}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if signals.received is not None:
            logger.debug("ended by signal {}", signals.received)
