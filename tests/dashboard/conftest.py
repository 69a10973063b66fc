"""A record that the real store writes while others look."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from written_record import Written


@pytest.fixture
def record(tmp_path: Path) -> Iterator[Written]:
    written = Written(tmp_path / "market.db")
    written.open()
    yield written
    written.close()
