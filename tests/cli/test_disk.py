"""``status`` says what the record takes, what it grows by, and how long that goes well."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing

import pytest
from cli_samples import Record, Run

from pumpwatch.cli.disk import print_room
from pumpwatch.overview import Disk


def grew(record: Record, by: int, hours: float) -> None:
    with closing(sqlite3.connect(record.database)) as connection, connection:
        now = time.time()
        pages, size = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
        at = int(now - hours * 3600)
        connection.execute("INSERT INTO sizes VALUES (?, ?, ?)", (at // 3600, at, pages * size - by))


def test_before_half_an_hour_growth_is_unknown(run: Run, record: Record) -> None:
    outcome = run("status")
    assert "disk: " in outcome.out
    assert "known after half an hour" in " ".join(outcome.out.split())
    disk = run("status", "--json").json()["disk"]
    assert disk["database_bytes"] == record.database.stat().st_size
    assert (disk["growth_bytes_per_day"], disk["days_left"], disk["full"]) == (None, None, None)


def test_days_left_until_the_limit_of_the_file(run: Run, record: Record) -> None:
    grew(record, 500_000, hours=12)
    limit = {"PUMPWATCH_RETENTION_MAX_DATABASE_GB": "0.02"}

    disk = run("status", "--json", **limit).json()["disk"]
    outcome = run("status", **limit)

    assert disk["growth_bytes_per_day"] == pytest.approx(1_000_000, rel=0.02)
    assert disk["full"] == "max_database_gb"
    assert disk["days_left"] == pytest.approx((20_000_000 - disk["database_bytes"]) / 1_000_000, rel=0.02)
    assert "days left, then the oldest trades go" in " ".join(outcome.out.split())


def shown(capsys: pytest.CaptureFixture[str], **changes: float | str | None) -> str:
    values = {
        "database_bytes": 2_460_000_000,
        "wal_bytes": 0,
        "unused_bytes": 0,
        "free_bytes": 74_000_000_000,
        "growth_bytes_per_day": 1.3e9,
        "days_left": 56.2,
        "full": "disk",
    }
    print_room(Disk(**{**values, **changes}))  # type: ignore[arg-type]
    out = capsys.readouterr().out
    assert all(len(line) <= 80 for line in out.splitlines())
    return " ".join(out.split())


def test_the_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys) == (
        "disk: 2.46 GB, 74 GB free; it grows by 1.3 GB a day: 56 days left, until [retention] min_free_gb is reached"
    )
    assert "and 57 MB of log" in shown(capsys, wal_bytes=57_000_000)
    assert "5 h left" in shown(capsys, days_left=0.21)
    assert "more than ten years" in shown(capsys, days_left=9000)
    assert shown(capsys, growth_bytes_per_day=-1e9, days_left=None, full=None).endswith("free; it does not grow")
