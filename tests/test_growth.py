"""How fast the file grows, and when it is full: measured over a day, and never made up."""

from __future__ import annotations

import pytest

from pumpwatch.growth import Left, Room, bytes_per_day, left

NOW = 1_790_000_000
HOUR = 3600
GB = 10**9


def room(**changes: int | None) -> Room:
    values: dict[str, int | None] = {
        "used_bytes": 10 * GB,
        "unused_bytes": 0,
        "free_bytes": 21 * GB,
        "min_free_bytes": GB,
        "most_bytes": 0,
    }
    return Room(**{**values, **changes})  # type: ignore[arg-type]


def test_growth_is_that_of_the_last_day() -> None:
    samples = [(NOW - days * 24 * HOUR, 1000 * (10 - days)) for days in range(10)]
    assert bytes_per_day([*samples, (NOW - HOUR, 9999)], now=NOW, used_bytes=10_500) == pytest.approx(1500)


def test_a_short_beginning_is_extended_to_a_day() -> None:
    assert bytes_per_day([(NOW - HOUR, 5000), (NOW - 60, 5900)], now=NOW, used_bytes=6000) == pytest.approx(24_000)


@pytest.mark.parametrize("samples", [[], [(NOW - 1700, 5)], [(NOW - 3 * 24 * HOUR, 5)], [(NOW + HOUR, 5)]])
def test_growth_is_unknown_where_nothing_was_measured_lately_or_long_enough(samples: list[tuple[int, int]]) -> None:
    assert bytes_per_day(samples, now=NOW, used_bytes=10) is None


def test_the_disk_is_full_when_what_must_stay_free_is_left() -> None:
    assert left(2.0 * GB, room()) == Left(10.0, "disk")


def test_free_pages_of_the_file_are_filled_first() -> None:
    assert left(2.0 * GB, room(unused_bytes=4 * GB)) == Left(12.0, "disk")


def test_the_limit_of_the_file_counts_where_it_comes_first() -> None:
    assert left(2.0 * GB, room(most_bytes=14 * GB)) == Left(2.0, "max_database_gb")
    assert left(2.0 * GB, room(most_bytes=140 * GB)) == Left(10.0, "disk")


def test_what_is_over_already_leaves_no_day() -> None:
    assert left(2.0 * GB, room(free_bytes=0)) == Left(0.0, "disk")


@pytest.mark.parametrize("growth", [None, 0.0, -5.0])
def test_nothing_is_full_of_what_does_not_grow(growth: float | None) -> None:
    assert left(growth, room()) is None


def test_an_unknown_disk_without_a_limit_is_never_full() -> None:
    assert left(2.0 * GB, room(free_bytes=None)) is None
