"""Delays between attempts."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pumpwatch.backoff import LONGEST_RETRY_AFTER_SECONDS, Backoff, held, parse_retry_after


def longest(low: float, high: float) -> float:
    """A stand-in for ``random.uniform`` that always draws the longest."""
    assert low <= high
    return high


def shortest(low: float, high: float) -> float:
    assert low <= high
    return low


def test_delays_double_up_to_the_longest() -> None:
    backoff = Backoff(first_seconds=1, longest_seconds=30, uniform=longest)

    assert [backoff.next_seconds() for _ in range(8)] == [1, 2, 4, 8, 16, 30, 30, 30]


def test_each_delay_is_drawn_from_zero_on() -> None:
    backoff = Backoff(first_seconds=1, longest_seconds=30, uniform=shortest)

    assert [backoff.next_seconds() for _ in range(3)] == [0, 0, 0]


def test_a_reset_begins_anew() -> None:
    backoff = Backoff(first_seconds=1, longest_seconds=30, uniform=longest)
    for _ in range(5):
        backoff.next_seconds()
    assert backoff.attempts == 5
    backoff.reset()

    assert backoff.next_seconds() == 1


@given(
    first=st.floats(0.05, 3600), longest_seconds=st.floats(0.05, 3600), attempts=st.integers(0, 3000), draw=st.floats(0.0, 1.0)
)
def test_no_delay_is_negative_or_above_the_longest(first: float, longest_seconds: float, attempts: int, draw: float) -> None:
    backoff = Backoff(first_seconds=first, longest_seconds=longest_seconds, uniform=lambda low, high: low + (high - low) * draw)
    backoff._attempts = attempts

    assert 0 <= backoff.next_seconds() <= longest_seconds


@given(retry_after=st.one_of(st.none(), st.floats(-10, 1e9)), draw=st.floats(0.0, 1.0), attempts=st.integers(0, 100))
def test_a_slow_down_is_obeyed_within_reason_and_never_faster_than_half_the_longest(
    retry_after: float | None, draw: float, attempts: int
) -> None:
    backoff = Backoff(first_seconds=1, longest_seconds=30, uniform=lambda low, high: low + (high - low) * draw)
    backoff._attempts = attempts
    delay = backoff.slowed_seconds(retry_after)

    assert 15 <= delay <= max(30, LONGEST_RETRY_AFTER_SECONDS)
    if retry_after is not None:
        assert delay >= min(retry_after, LONGEST_RETRY_AFTER_SECONDS)


@pytest.mark.parametrize(
    ("connected_seconds", "had_data", "expected"), [(31, True, True), (29, True, False), (31, False, False), (0, False, False)]
)
def test_only_a_connection_that_held_and_brought_data_begins_anew(
    connected_seconds: float, had_data: bool, expected: bool
) -> None:
    assert expected is held(connected_seconds=connected_seconds, had_data=had_data, healthy_after_seconds=30)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("120", 120.0), (" 2.5 ", 2.5), ("0", 0.0), *((text, None) for text in (None, "", "soon", "-5", "1e9", "²"))],
)
def test_retry_after_in_seconds(text: str | None, expected: float | None) -> None:
    assert expected == parse_retry_after(text)


def test_retry_after_as_a_date() -> None:
    now = 1_790_000_000.0
    date = format_datetime(datetime.fromtimestamp(now + 90, tz=UTC), usegmt=True)

    assert parse_retry_after(date, now=now) == 90
    assert parse_retry_after(date, now=now + 1000) == 0
    assert (parse_retry_after(date) or 0) >= 0


@given(st.text(max_size=60))
def test_any_retry_after_is_none_or_not_negative(text: str) -> None:
    seconds = parse_retry_after(text)
    assert seconds is None or seconds >= 0
