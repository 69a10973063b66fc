"""A real file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pumpwatch.storage.store import Store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "trades.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    store = Store.open(path, origin="simulator")
    yield store
    store.close()
