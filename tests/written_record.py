"""A record that the real store writes while others look at it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cli_samples import Maker

from pumpwatch.events import Trade
from pumpwatch.storage.store import Store


@dataclass
class Written:
    """A record, and who writes it."""

    database: Path
    make: Maker = field(default_factory=Maker)
    number: int = 0
    store: Store | None = None

    def open(self) -> None:
        self.store = Store.open(self.database, origin="simulator")

    def close(self) -> None:
        if self.store is not None:
            self.store.close()
            self.store = None

    def commit(self) -> None:
        """Everything that was made since the last."""
        assert self.store is not None
        self.store.apply(self.make.deliveries)
        self.make.deliveries.clear()

    def created(self, **changes: Any) -> str:
        """A new token, committed."""
        mint = self.make.address()
        self.make.create(mint, self.make.address(), **{"symbol": "NEW", "name": "A new one", **changes})
        self.commit()
        return mint

    def traded(self, mint: str, *, wallet: str | None = None, times: int = 1) -> None:
        """Trades of it, committed together."""
        for _ in range(times):
            self.number += 1
            self.make.trade(mint, wallet or self.make.address(), self.number)
        self.commit()

    def told_first(self, mint: str) -> str:
        """A trade that only PumpPortal has told of, committed; its signature."""
        self.make.provisional(mint, self.make.address(), self.number)
        [event] = self.make.deliveries[-1].events
        assert isinstance(event, Trade)
        self.commit()
        return event.signature
