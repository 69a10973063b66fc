"""The writer notes the size of the file once an hour, and what is noted stays few rows."""

from __future__ import annotations

from pathlib import Path

import pytest
from storage_samples import chain_trade, delivery

from pumpwatch.storage.census import Census
from pumpwatch.storage.queries import open_reader
from pumpwatch.storage.sizes import measured
from pumpwatch.storage.store import Store

HOUR = 3600
NOW = 1_790_000_000 // HOUR * HOUR


def fill(store: Store, start: int) -> None:
    store.apply([delivery("helius", chain_trade(signature=f"{start + number:088}")) for number in range(1000)])


def test_growth_is_what_the_file_took_since(tmp_path: Path) -> None:
    path = tmp_path / "p.db"
    store = Store.open(path, origin="simulator")
    fill(store, 0)
    store.prune(now_us=NOW * 1_000_000)
    with open_reader(path) as reader:
        before = measured(reader.rows, now=NOW + HOUR)
    fill(store, 1000)
    store.prune(now_us=(NOW + 60) * 1_000_000)
    with open_reader(path) as reader:
        after = measured(reader.rows, now=NOW + HOUR)
        assert reader.rows("SELECT hour, at FROM sizes") == [(NOW // HOUR, NOW)]
    store.close()

    assert before.growth_bytes_per_day == pytest.approx(0, abs=24 * 16_384)
    assert after.used_bytes > before.used_bytes + 100_000
    assert after.growth_bytes_per_day == pytest.approx(24 * (after.used_bytes - before.used_bytes), rel=0.1)


def test_what_waits_in_the_log_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "p.db"
    store = Store.open(path, origin="simulator")
    fill(store, 0)
    with open_reader(path) as reader:
        assert measured(reader.rows, now=NOW).used_bytes > path.stat().st_size
    store.close()


def test_of_each_hour_one_row_stays_for_fifteen_days_whatever_the_clock_does(tmp_path: Path) -> None:
    path = tmp_path / "p.db"
    store = Store.open(path, origin="simulator")
    hours = [*range(400), 390, 10_000, 401]
    for hour in hours:
        store.prune(now_us=(NOW + hour * HOUR) * 1_000_000)
    with open_reader(path) as reader:
        found = [hour - NOW // HOUR for (hour,) in reader.rows("SELECT hour FROM sizes ORDER BY hour")]
    store.close()
    assert len(found) <= 360
    assert found[-1] == 401


def test_the_census_has_it(tmp_path: Path) -> None:
    path = tmp_path / "p.db"
    store = Store.open(path, origin="simulator")
    store.prune(now_us=1)
    census = Census(path)
    assert census.take(since_us=0).growth_bytes_per_day is None
    census.close()
    store.close()
