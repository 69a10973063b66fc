"""A record that the real store writes while others look."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from api_record import Api, Shown, shown_record
from written_record import Written


@pytest.fixture
def record(tmp_path: Path) -> Iterator[Written]:
    written = Written(tmp_path / "market.db")
    written.open()
    yield written
    written.close()


@pytest.fixture(scope="session")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    """A record that has something of everything. Nobody changes it."""
    return shown_record(tmp_path_factory.mktemp("shown") / "market.db")


@pytest.fixture
def api(shown: Shown) -> Api:
    """The API over it."""
    return Api(shown.database)
