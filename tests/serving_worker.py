"""What of a worker matters to a command that asks it: it holds the lock, writes, prunes, and serves what is asked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

from pumpwatch.commands import Answer, CommandBox, Request, directory_of
from pumpwatch.storage.intake import Intake
from pumpwatch.storage.lock import WriterLock, beside
from pumpwatch.storage.pruner import Pruner
from pumpwatch.storage.store import Store
from pumpwatch.threads import Deadline
from pumpwatch.writer import Writer

Handlers: TypeAlias = Mapping[str, Callable[[Request], Answer]]


class ServingWorker:
    """
    Runs from its making to :meth:`end`.

    Args:
        handlers: Makes what it knows to do.

    """

    def __init__(self, database: Path, handlers: Callable[[Intake, Pruner], Handlers] = lambda _intake, _pruner: {}) -> None:
        self.lock = WriterLock(database)
        self.lock.acquire()
        store = Store.open(database, origin="simulator")
        pruner = store.pruner(trade_days=0.0, max_bytes=0)
        intake = Intake(beside(database, "spill"), queue_size=100, spill_bytes=1_000_000, now_us=0)
        self.writer = Writer(store, intake, batch_size=50, pruner=pruner)
        self.box = CommandBox(directory_of(database), handlers=handlers(intake, pruner))
        self.stopping = threading.Event()
        self.server = threading.Thread(target=self.serve)
        self.writer.start()
        self.server.start()

    def serve(self) -> None:
        while not self.stopping.wait(0.02):
            self.box.serve()

    def end(self) -> None:
        self.stopping.set()
        self.server.join(10)
        self.writer.finish(Deadline(5))
        self.writer.join(10)
        self.lock.release()
        assert self.writer.error is None
